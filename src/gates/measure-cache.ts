import { createHash } from 'node:crypto';
import { lstat, mkdir, readFile, readdir, readlink, realpath, writeFile } from 'node:fs/promises';
import { dirname, join, sep } from 'node:path';
import { z } from 'zod';
import { errorMessage } from '../shared/errors.ts';
import type { Logger } from '../shared/logger.ts';
import { IntegrityCheck } from '../shared/round-evidence.ts';
import { Finding, Measurement } from '../shared/verdict.ts';
import { sha256Of } from '../shared/sha256-of.ts';
import type { CollectContext, Collector } from './collector.ts';
import type { Report } from './harvest-reports.ts';
import type { CollectorRun } from './run-collector.ts';
import type { SealedCache } from './sealed-cache.ts';
import { type ToolFingerprint, toolFingerprint } from './tool-fingerprint.ts';

const MAX_REPORT_BYTES = 8 * 1024 ** 2;
const KEY_VERSION = 1;

const KeptReports = z.array(z.strictObject({ name: z.string(), base64: z.string() }));
type KeptReports = z.infer<typeof KeptReports>;
const Kept = z.strictObject({
  /** When it was measured. */
  at: z.string(),
  measurements: z.array(Measurement),
  findings: z.array(Finding),
  reports: KeptReports,
});
const KeptIntegrity = Kept.omit({ measurements: true }).extend({ checks: z.array(IntegrityCheck) });

export type MeasuredContext = Omit<CollectContext, 'outDir' | 'signal'>;

const entriesByName = <T>(record: Readonly<Record<string, T>>): [string, T][] =>
  Object.entries(record).toSorted(([a], [b]) => (a < b ? -1 : Number(a > b)));

/** Everything that a result of a cacheable collector depends on. */
export function measurementKey(
  collector: Pick<Collector, 'id' | 'version'>,
  context: Pick<MeasuredContext, 'tree' | 'phase' | 'metrics' | 'artifacts' | 'sandbox'>,
  surroundings: { tools: ToolFingerprint; beside: string },
): string {
  return JSON.stringify({
    format: KEY_VERSION,
    tree: context.tree,
    beside: surroundings.beside,
    phase: context.phase,
    collector: collector.id,
    version: collector.version,
    metrics: entriesByName(context.metrics),
    artifacts: entriesByName(context.artifacts),
    tools: surroundings.tools,
    sandbox: [context.sandbox.kind, context.sandbox.description],
  });
}

/**
 * A print of what the tree hash leaves out and collectors can still see: installed packages and repositories below
 * the top. By size and times, which nobody can set back: the time of the last change is the system's own. Undefined
 * when a link leads out of the tree, to files that nothing here knows of.
 */
export async function besideTree(root: string): Promise<string | undefined> {
  const hash = createHash('sha256');
  const home = await realpath(root);
  const visit = async (folder: string, isLeftOut: boolean): Promise<boolean> => {
    for (const entry of (await readdir(join(home, folder), { withFileTypes: true })).toSorted(byName)) {
      const path = folder === '' ? entry.name : `${folder}/${entry.name}`;
      if (path === '.git') continue;
      const isOut = isLeftOut || entry.name === 'node_modules' || entry.name === '.git';
      if (entry.isDirectory()) {
        if (!(await visit(path, isOut))) return false;
      } else if (isOut) {
        const stats = await lstat(join(home, path), { bigint: true });
        hash.update(`${path}\0${stats.size}\0${stats.mtimeNs}\0${stats.ctimeNs}\0${stats.mode}\0`);
        if (!stats.isSymbolicLink()) continue;
        hash.update(`${await readlink(join(home, path))}\0`);
        const target = await realpath(join(home, path)).catch(() => '');
        if (!target.startsWith(home + sep)) return false;
      } else if (entry.isSymbolicLink()) {
        const target = await realpath(join(home, path)).catch(() => home + sep);
        if (!target.startsWith(home + sep)) return false;
      }
    }
    return true;
  };
  return (await visit('', false)) ? hash.digest('hex').slice(0, 32) : undefined;
}

const byName = (a: { name: string }, b: { name: string }): number => (a.name < b.name ? -1 : Number(a.name > b.name));

/** Checks of integrity with their reports; only what no limit cut short is kept. */
export interface CheckedWork {
  checks: IntegrityCheck[];
  findings: Finding[];
  reports: Report[];
  isWhole: boolean;
}

const SAME_WORK = 'the same files were held against the same base with the same tools, settings and sandbox';

/** A result, and how to keep it for the next time once nothing speaks against it. */
export interface ReusableRun extends CollectorRun {
  keep?: () => Promise<void>;
}

/**
 * Results of collectors that depend on the files alone, kept between measurements. It lies outside every measured
 * tree and every sandbox, and each entry is sealed, so that no measured project can put one there.
 */
export class MeasureCache {
  readonly #sealed: SealedCache;
  readonly #toolCache: string | undefined;

  /** `toolCache` is where tools are unpacked: a new one there makes earlier results useless. */
  constructor(sealed: SealedCache, toolCache?: string) {
    this.#sealed = sealed;
    this.#toolCache = toolCache;
  }

  /** The result of an earlier measurement of the same thing, or a new one. */
  async reuse(
    input: { collector: Collector; context: MeasuredContext; reportsDir: string },
    measure: () => Promise<CollectorRun>,
  ): Promise<ReusableRun> {
    const key = await this.#keyOf(input);
    if (key === undefined) return measure();
    const kept = Kept.safeParse(await this.#sealed.read(key));
    if (kept.success) return revive(kept.data, input.reportsDir);
    const run = await measure();
    const at = new Date().toISOString();
    const keep = async (): Promise<void> => {
      // What lay beside the tree may have changed while it was measured.
      if ((await this.#keyOf(input)) === key) await this.#keep(key, at, run, input.context);
    };
    return isLasting(run) ? { ...run, keep } : run;
  }

  /**
   * The checks of an earlier comparison of the same work with the same base, or new ones. `about` names everything that
   * they depend on beside the tools and what lies beside the tree; undefined where they depend on what cannot be named.
   */
  async reuseChecks(
    input: { root: string; reportsDir: string; logger: Logger; about: () => Promise<object | undefined> },
    check: () => Promise<CheckedWork>,
  ): Promise<CheckedWork> {
    const keyOf = async (): Promise<string | undefined> => {
      const surroundings = await this.#surroundingsOf(input.root);
      const about = await input.about();
      if (surroundings === undefined || about === undefined) return undefined;
      return JSON.stringify({ format: KEY_VERSION, integrity: about, ...surroundings });
    };
    const key = await keyOf();
    if (key === undefined) return check();
    const kept = KeptIntegrity.safeParse(await this.#sealed.read(key));
    if (kept.success) {
      const { at, checks, findings, reports } = kept.data;
      const note = { kind: 'record' as const, summary: `reused from ${at}, when ${SAME_WORK}` };
      return {
        checks: checks.map((each) => ({ ...each, evidence: [...each.evidence, note] })),
        findings,
        reports: await writeReports(reports, input.reportsDir),
        isWhole: true,
      };
    }
    const work = await check();
    const at = new Date().toISOString();
    // The work, or what lies beside it, may have changed while it was checked.
    if (work.isWhole && (await keyOf()) === key)
      await this.#write(key, work.reports, input.logger, (reports) => ({
        at,
        checks: work.checks,
        findings: work.findings,
        reports,
      }));
    return work;
  }

  async #keyOf({
    collector,
    context,
  }: {
    collector: Collector;
    context: MeasuredContext;
  }): Promise<string | undefined> {
    if (collector.cacheable !== true) return undefined;
    // Advisories age by themselves: what they said yesterday must be judged anew.
    if (context.run.given?.advisories !== undefined) return undefined;
    const surroundings = await this.#surroundingsOf(context.root);
    return surroundings && measurementKey(collector, context, surroundings);
  }

  /** What a result depends on beside the files of the tree; undefined where that cannot be told. */
  async #surroundingsOf(measured: string): Promise<{ tools: ToolFingerprint; beside: string } | undefined> {
    const [root, folder] = await Promise.all([realpath(measured), realpath(this.#sealed.folder)]);
    if (`${folder}${sep}`.startsWith(`${root}${sep}`)) return undefined;
    const beside = await besideTree(root);
    return beside === undefined ? undefined : { tools: await toolFingerprint(this.#toolCache), beside };
  }

  #keep(key: string, at: string, run: CollectorRun, { logger }: MeasuredContext): Promise<void> {
    const { measurements, findings } = run;
    return this.#write(key, run.reports, logger, (reports) => ({ at, measurements, findings, reports }));
  }

  async #write(
    key: string,
    reports: readonly Report[],
    logger: Logger,
    keptWith: (reports: KeptReports) => z.infer<typeof Kept> | z.infer<typeof KeptIntegrity>,
  ): Promise<void> {
    if (reports.reduce((sum, report) => sum + report.bytes, 0) > MAX_REPORT_BYTES) return;
    try {
      const texts = await Promise.all(
        reports.map(async ({ name, path }) => ({ name, base64: (await readFile(path)).toString('base64') })),
      );
      await this.#sealed.write(key, keptWith(texts));
    } catch (err) {
      // The measurement stands; only the next one takes longer.
      logger.warn({ reason: errorMessage(err) }, 'a measurement could not be kept for reuse');
    }
  }
}

/** Only what was fully measured is kept. What a limit cut short may be the machine's fault, and is measured again. */
function isLasting(run: CollectorRun): boolean {
  return run.measurements.every(
    (measurement) =>
      measurement.status === 'measured' && measurement.evidence.every((evidence) => evidence.exitCode !== null),
  );
}

async function revive(
  { at, measurements, findings, reports }: z.infer<typeof Kept>,
  reportsDir: string,
): Promise<CollectorRun> {
  const note = {
    kind: 'record' as const,
    summary: `reused from ${at}, when the same files were measured with the same collector, settings, tools and sandbox`,
  };
  return {
    measurements: measurements.map((each) => ({
      ...each,
      evidence: [...each.evidence, { ...note, tree: treeOf(each) }],
    })),
    findings,
    reports: await writeReports(reports, reportsDir),
  };
}

function writeReports(reports: KeptReports, reportsDir: string): Promise<Report[]> {
  return Promise.all(
    reports.map(async ({ name, base64 }) => {
      const bytes = Buffer.from(base64, 'base64');
      const path = join(reportsDir, name);
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, bytes);
      return { name, path, sha256: await sha256Of(bytes), bytes: bytes.length };
    }),
  );
}

const treeOf = (measurement: Measurement): string | undefined =>
  measurement.evidence.find((evidence) => evidence.tree !== undefined)?.tree;
