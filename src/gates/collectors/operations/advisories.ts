import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { GivenFile } from '../../../shared/definitions.ts';
import { FleetError } from '../../../shared/errors.ts';
import type { Evidence, Finding } from '../../../shared/verdict.ts';
import { parseYaml } from '../../../shared/yaml-file.ts';
import type { CollectContext } from '../../collector.ts';
import { finding } from '../documents/define-collector.ts';
import type { Ecosystem, LockedPackage, PackagesReading } from './packages.ts';
import { comparePythonVersions } from './pep440.ts';
import { compareVersions } from './versions.ts';

const DAY_MS = 86_400_000;
const CLOCK_SKEW_MS = 300_000;
const DEFAULT_AGE_DAYS = 7;

const Event = z.looseObject({
  introduced: z.string().optional(),
  fixed: z.string().optional(),
  last_affected: z.string().optional(),
});
const Range = z.looseObject({ type: z.string(), events: z.array(Event) });
const Affected = z.looseObject({
  package: z.looseObject({ ecosystem: z.string(), name: z.string() }),
  ranges: z.array(Range).default([]),
  versions: z.array(z.string()).default([]),
});
type Affected = z.infer<typeof Affected>;

const Ecosystems = z.enum(['npm', 'PyPI']);

/** Advisories as osv.dev exports them, with what the export holds and when it was made. */
const AdvisorySnapshot = z.strictObject({
  schema: z.literal('maestro.advisories/v1'),
  source: z.string().min(1),
  taken: z.iso.datetime({ offset: true }),
  ecosystem: z.union([Ecosystems, z.array(Ecosystems).min(1)]),
  /** `all` packages of the ecosystems, or the names that were asked for: silence about any other means nothing. */
  covers: z.union([z.literal('all'), z.array(z.string()).min(1)]),
  vulns: z.array(
    z.looseObject({
      id: z.string().min(1),
      summary: z.string().optional(),
      withdrawn: z.string().optional(),
      affected: z.array(Affected).default([]),
    }),
  ),
});
type AdvisorySnapshot = z.infer<typeof AdvisorySnapshot>;

export type DependencyCheck = { notEvaluable: string } | { findings: Finding[]; packages: number; evidence: Evidence };

class NotComparable extends Error {}

type Compare = (a: string, b: string) => number;
const comparing =
  (ecosystem: Ecosystem): Compare =>
  (a, b) => {
    const order = (ecosystem === 'npm' ? compareVersions : comparePythonVersions)(a, b);
    if (order === undefined) throw new NotComparable(`the versions ${a} and ${b} cannot be compared`);
    return order;
  };

const inRange = (version: string, { events }: z.infer<typeof Range>, compare: Compare): boolean => {
  const introduced = events.flatMap((event) => event.introduced ?? []);
  const starts = introduced.filter((each) => each === '0' || compare(each, version) <= 0);
  if (starts.length === 0) return false;
  const start = starts.reduce((last, each) =>
    each === '0' || (last !== '0' && compare(each, last) < 0) ? last : each,
  );
  const isAfterStart = (each: string): boolean => start === '0' || compare(each, start) >= 0;
  return !events.some(
    ({ fixed, last_affected: last }) =>
      (fixed !== undefined && isAfterStart(fixed) && compare(fixed, version) <= 0) ||
      (last !== undefined && isAfterStart(last) && compare(last, version) < 0),
  );
};

function isAffected(version: string, { ranges, versions }: Affected, compare: Compare): boolean {
  if (versions.includes(version)) return true;
  const comparable = ranges.filter(({ type }) => type === 'SEMVER' || type === 'ECOSYSTEM');
  // Without a range or a list that can be read, nothing says that this version is spared.
  if (comparable.length === 0) return versions.length === 0;
  return comparable.some((range) => inRange(version, range, compare));
}

/** Names as PyPI compares them; those of npm are compared as they are. */
const canonical = (name: string, ecosystem: Ecosystem): string =>
  ecosystem === 'npm' ? name : name.toLowerCase().replaceAll(/[-_.]+/g, '-');

function advisoriesFor({ ecosystem, name, version, path, file }: LockedPackage, snapshot: AdvisorySnapshot): Finding[] {
  const compare = comparing(ecosystem);
  return snapshot.vulns
    .filter(({ withdrawn }) => withdrawn === undefined)
    .filter(({ affected }) =>
      affected.some(
        (each) =>
          each.package.ecosystem === ecosystem &&
          canonical(each.package.name, ecosystem) === name &&
          isAffected(version, each, compare),
      ),
    )
    .map(({ id, summary }) =>
      finding(
        'security_vulnerabilities',
        `advisory/${id}`,
        `${path} ${version}: ${summary ?? id}; take a version that is not affected`,
        { file },
      ),
    );
}

/** Reads a snapshot: every problem with its place. */
export const parseAdvisories = ({ name, text }: GivenFile): AdvisorySnapshot =>
  parseYaml(AdvisorySnapshot, { file: name, text }).value;

/** The oldest snapshot that the policy allows, in days. */
const maximumAge = (context: CollectContext): number =>
  Math.min(...Object.values(context.metrics).map(({ maximum_age_days: days }) => days ?? DEFAULT_AGE_DAYS));

/** Every resolved package against the advisories that the operator of the fleet gave. */
export async function checkAdvisories(
  context: CollectContext,
  readPackages: (context: CollectContext) => Promise<PackagesReading>,
  now = Date.now(),
): Promise<DependencyCheck> {
  const given = context.run.given?.advisories;
  if (given === undefined) {
    return { notEvaluable: 'there is no advisory data to check them against: give it with --advisories FILE' };
  }
  const read = await readPackages(context);
  if ('notEvaluable' in read) return read;
  const { packages } = read.project;
  try {
    const snapshot = parseAdvisories(given);
    const ageMs = now - Date.parse(snapshot.taken);
    const days = Math.floor(ageMs / DAY_MS);
    if (ageMs < -CLOCK_SKEW_MS) return { notEvaluable: `${given.name} says that it was taken in the future` };
    if (ageMs > maximumAge(context) * DAY_MS) {
      return {
        notEvaluable: `${given.name} is ${days} days old, ${maximumAge(context)} at most are allowed: export it again`,
      };
    }
    const { covers } = snapshot;
    const ecosystems = [snapshot.ecosystem].flat();
    const foreign = packages.find(({ ecosystem }) => !ecosystems.includes(ecosystem));
    if (foreign !== undefined)
      return {
        notEvaluable: `${given.name} holds nothing about ${foreign.ecosystem}, where ${foreign.name} comes from`,
      };
    const unknown =
      covers === 'all'
        ? undefined
        : packages.find((each) => !covers.some((name) => canonical(name, each.ecosystem) === each.name));
    if (unknown !== undefined)
      return { notEvaluable: `${given.name} holds nothing about ${unknown.name}: export it for all locked packages` };
    const findings = packages.flatMap((each) => advisoriesFor(each, snapshot));
    const sha256 = createHash('sha256').update(given.text).digest('hex');
    const summary = `${findings.length} advisories hold for ${packages.length} locked packages; ${snapshot.vulns.length} advisories of ${snapshot.source}, taken ${snapshot.taken}, ${days} days old, sha256 ${sha256}`;
    return { findings, packages: packages.length, evidence: { kind: 'record', summary, tree: context.tree } };
  } catch (err) {
    if (err instanceof NotComparable) return { notEvaluable: err.message };
    if (err instanceof FleetError) return { notEvaluable: `the advisories cannot be used: ${err.message}` };
    throw err;
  }
}
