import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { CollectContext } from '../../collector.ts';
import { type Reading, defineCollector, finding, measured, notEvaluable } from '../documents/define-collector.ts';
import { stacksOf } from '../code/stack.ts';
import type { LockedPackage, PackagesReading, ProjectPackages } from './packages.ts';
import { readPackages } from './read-packages.ts';
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

const purl = ({ ecosystem, name, version }: Pick<LockedPackage, 'ecosystem' | 'name' | 'version'>): string =>
  `pkg:${ecosystem.toLowerCase()}/${name.replace(/^@/, '%40')}@${version}`;

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
  hashes: each.hashes,
  licenses: licensesOf(each.license),
});

/** The same files give the same document, so its number comes from the files too. */
function cycloneDx(project: ProjectPackages, tree: string): object {
  const ecosystem = project.files.includes(MANIFEST) ? 'npm' : 'PyPI';
  const root = purl({ ...project, ecosystem });
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
      // Left out where nothing tells what a package asks for; an empty list would say that it asks for none.
      ...project.packages.flatMap(({ path, needs }) => (needs === undefined ? [] : [{ ref: path, dependsOn: needs }])),
    ],
  };
}

const none = ({ packages, files }: ProjectPackages): string =>
  packages.length === 0 ? `; ${files.join(', ')} declare no package and none is locked` : '';
/** Where a reading points that is about no package. */
const manifestOf = async (context: CollectContext): Promise<string> =>
  (await stacksOf(context.root)).javascript ? MANIFEST : 'pyproject.toml';

/** Every locked package is in the SBOM, with a hash of what was locked. */
async function complete(read: PackagesReading, context: CollectContext, metric: string): Promise<Reading> {
  if ('notEvaluable' in read)
    return notEvaluable(metric, 'sbom/unknown', read.notEvaluable, { file: await manifestOf(context) });
  const { packages } = read.project;
  const unhashed = packages.filter(({ hashes }) => hashes.length === 0);
  return measured(
    unhashed.length === 0 ? 1 : 0,
    read.project.files.length,
    `${packages.length - unhashed.length} of ${packages.length} locked packages are listed with version and hash${none(read.project)}`,
    {
      findings: unhashed.map(({ path, file }) =>
        finding(metric, 'sbom/no-hash', `${path} is locked without an integrity hash: install it from a registry`, {
          file,
        }),
      ),
      evidence: { report: SBOM },
    },
  );
}

/** Makes a CycloneDX list of what the project is made of. */
export const sbomCollector = defineCollector({
  id: 'sbom',
  version: '2',
  timeoutMs: 60_000,
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
async function violations(read: PackagesReading, context: CollectContext, metric: string): Promise<Reading> {
  if ('notEvaluable' in read)
    return notEvaluable(metric, 'licences/unknown', read.notEvaluable, { file: await manifestOf(context) });
  const { packages } = read.project;
  const allowed = context.metrics[metric]?.allowed ?? ALLOWED;
  const findings = packages.flatMap(({ path, license, file }) => {
    if (license !== undefined && isAllowed(license, allowed) === true) return [];
    const why = license === undefined ? 'has no known licence' : `is licensed as "${license}", which is not allowed`;
    return [finding(metric, 'licences/not-allowed', `${path} ${why}; allowed are ${allowed.join(', ')}`, { file })];
  });
  return measured(
    findings.length,
    read.project.files.length,
    `${findings.length} of ${packages.length} locked packages have a licence that is unknown or not allowed${none(read.project)}`,
    { findings },
  );
}

/** Holds the licences of all packages against those that the policy allows. */
export const licencesCollector = defineCollector({
  id: 'licences',
  version: '2',
  timeoutMs: 60_000,
  prepare: readPackages,
  measures: { licence_violations: violations },
});
