import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { CollectContext } from '../../collector.ts';
import { type Reading, defineCollector, finding, measured, notEvaluable } from '../documents/define-collector.ts';
import { type LockedPackage, type ProjectPackages, readPackages } from './npm-packages.ts';
import { isAllowed } from './spdx.ts';

const SBOM = 'sbom.cdx.json';
const MANIFEST = 'package.json';
/** Licences that ask for no more than to be named, when the policy names no others. */
const ALLOWED = [
  'MIT',
  'ISC',
  'Apache-2.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  '0BSD',
  'BlueOak-1.0.0',
  'CC0-1.0',
  'Unlicense',
];

const purl = ({ name, version }: { name: string; version: string }): string =>
  `pkg:npm/${name.replace(/^@/, '%40')}@${version}`;

/** `sha512-…` of a lock file as CycloneDX writes it; packages of old registries may have several. */
const hashesOf = (integrity: string | undefined): { alg: string; content: string }[] =>
  (integrity ?? '').split(/\s+/).flatMap((part) => {
    const [, size, base64] = /^sha(1|256|384|512)-([A-Za-z\d+/]+=*)$/.exec(part) ?? [];
    if (size === undefined || base64 === undefined) return [];
    return [{ alg: `SHA-${size}`, content: Buffer.from(base64, 'base64').toString('hex') }];
  });

const licensesOf = (license: string | undefined): object[] =>
  license === undefined
    ? []
    : [
        /\s|\(/.test(license)
          ? { expression: license }
          : { license: isAllowed(license, []) === undefined ? { name: license } : { id: license } },
      ];

/** A component is identified by where it lies, because a project may hold two copies of one version. */
const component = (each: LockedPackage): object => ({
  type: 'library',
  'bom-ref': each.path,
  name: each.name,
  version: each.version,
  purl: purl(each),
  scope: each.isDev ? 'excluded' : 'required',
  hashes: hashesOf(each.integrity),
  licenses: licensesOf(each.license),
});

/** The same files give the same document, so its number comes from the files too. */
function cycloneDx(project: ProjectPackages, tree: string): object {
  const root = purl(project);
  const hex = createHash('sha256').update(`${tree}\0${root}`).digest('hex');
  const uuid = [hex.slice(0, 8), hex.slice(8, 12), `5${hex.slice(13, 16)}`, `a${hex.slice(17, 20)}`, hex.slice(20, 32)];
  return {
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    serialNumber: `urn:uuid:${uuid.join('-')}`,
    version: 1,
    metadata: {
      component: { type: 'application', 'bom-ref': root, name: project.name, version: project.version, purl: root },
    },
    components: project.packages.map(component),
    dependencies: [
      { ref: root, dependsOn: project.needs },
      ...project.packages.map(({ path, needs }) => ({ ref: path, dependsOn: needs })),
    ],
  };
}

type Read = Awaited<ReturnType<typeof readPackages>>;

const filesRead = (project: ProjectPackages): number => (project.lock === undefined ? 1 : 2);
const none = (project: ProjectPackages): string =>
  project.packages.length === 0 ? '; package.json declares no package and none is locked' : '';

/** Every locked package is in the SBOM, with a hash of what was locked. */
function complete(read: Read, _context: CollectContext, metric: string): Reading {
  if ('notEvaluable' in read) return notEvaluable(metric, 'sbom/unknown', read.notEvaluable, { file: MANIFEST });
  const { packages } = read.project;
  const unhashed = packages.filter(({ integrity }) => hashesOf(integrity).length === 0);
  return measured(
    unhashed.length === 0 ? 1 : 0,
    filesRead(read.project),
    `${packages.length - unhashed.length} of ${packages.length} locked packages are listed with version and hash${none(read.project)}`,
    {
      findings: unhashed.map(({ path }) =>
        finding(metric, 'sbom/no-hash', `${path} is locked without an integrity hash: install it from a registry`, {
          file: read.project.lock,
        }),
      ),
      evidence: { report: SBOM },
    },
  );
}

/** Makes a CycloneDX list of what the project is made of. */
export const sbomCollector = defineCollector({
  id: 'sbom',
  version: '1',
  timeoutMs: 30_000,
  prepare: async (context) => {
    const read = await readPackages(context);
    if ('project' in read) {
      const document = JSON.stringify(cycloneDx(read.project, context.tree), null, 2);
      await writeFile(join(context.outDir, SBOM), `${document}\n`);
    }
    return read;
  },
  measures: { sbom_complete: complete },
});

/** Packages whose licence is unknown, or leaves no choice that the policy allows. */
function violations(read: Read, context: CollectContext, metric: string): Reading {
  if ('notEvaluable' in read) return notEvaluable(metric, 'licences/unknown', read.notEvaluable, { file: MANIFEST });
  const { packages, lock } = read.project;
  const allowed = context.metrics[metric]?.allowed ?? ALLOWED;
  const findings = packages.flatMap(({ path, license }) => {
    if (license !== undefined && isAllowed(license, allowed) === true) return [];
    const why = license === undefined ? 'has no known licence' : `is licensed as "${license}", which is not allowed`;
    return [
      finding(metric, 'licences/not-allowed', `${path} ${why}; allowed are ${allowed.join(', ')}`, { file: lock }),
    ];
  });
  return measured(
    findings.length,
    filesRead(read.project),
    `${findings.length} of ${packages.length} locked packages have a licence that is unknown or not allowed${none(read.project)}`,
    { findings },
  );
}

/** Holds the licences of all packages against those that the policy allows. */
export const licencesCollector = defineCollector({
  id: 'licences',
  version: '1',
  timeoutMs: 30_000,
  prepare: readPackages,
  measures: { licence_violations: violations },
});
