import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { checkAdvisories } from '../../../src/gates/collectors/operations/advisories.ts';
import { readNpmPackages } from '../../../src/gates/collectors/operations/npm-packages.ts';
import { licencesCollector, sbomCollector } from '../../../src/gates/collectors/operations/sbom.ts';
import { isAllowed } from '../../../src/gates/collectors/operations/spdx.ts';
import { compareVersions } from '../../../src/gates/collectors/operations/versions.ts';
import type { CollectContext, Collector } from '../../../src/gates/collector.ts';
import { Project, collect, readingOf } from './documents-support.ts';

const LICENCES = 'licence_violations';
const SBOM = 'sbom_complete';
const HASH = `sha512-${Buffer.alloc(64, 7).toString('base64')}`;
const LOCK = {
  lockfileVersion: 3,
  packages: {
    '': { name: 'docs-links', dependencies: { a: '^1.0.0' } },
    'node_modules/a': { version: '1.2.3', integrity: HASH, license: 'MIT', dependencies: { '@x/b': '*' } },
    'node_modules/a/node_modules/@x/b': { version: '2.0.0', integrity: HASH, license: '(GPL-3.0 OR ISC)' },
    'node_modules/@x/b': { version: '1.0.0', integrity: HASH, license: 'Apache-2.0', dev: true },
  },
};
type Entry = Record<string, unknown>;

/** A project that depends on packages, with changes to what is locked. */
function dependent(changes: Record<string, Entry | undefined> = {}, lock: Entry = {}): Project {
  const packages: Record<string, Entry> = Object.fromEntries(
    Object.entries<Entry>(LOCK.packages).map(([path, entry]) => [path, { ...entry, ...changes[path] }]),
  );
  return new Project()
    .edit(
      'package.json',
      '"scripts"',
      '"dependencies": { "a": "^1.0.0" },\n  "devDependencies": { "@x/b": "1" },\n  "scripts"',
    )
    .write('package-lock.json', JSON.stringify({ ...LOCK, packages, ...lock }));
}

async function measure(collector: Collector, project: Project, metric: string, allowed?: string[]) {
  const specs = allowed === undefined ? {} : { [metric]: { allowed } };
  const collected = await collect(collector, project, [metric], { specs });
  return { reading: readingOf(collected, metric), findings: collected.findings.map(({ message }) => message) };
}

describe('the licences collector', () => {
  it('allows what leaves a choice of allowed licences', async () => {
    expect(await measure(licencesCollector, dependent(), LICENCES)).toEqual({
      reading: { value: 0, examined: 2 },
      findings: [],
    });
  });

  it('counts every package whose licence is not allowed, or that states none', async () => {
    const project = dependent({
      'node_modules/a': { license: 'GPL-3.0' },
      'node_modules/@x/b': { license: undefined },
    });
    const { reading, findings } = await measure(licencesCollector, project, LICENCES);
    expect(reading).toEqual({ value: 2, examined: 2 });
    expect(findings[0]).toContain('node_modules/@x/b has no known licence');
    expect(findings[1]).toContain('node_modules/a is licensed as "GPL-3.0", which is not allowed');
  });

  it('takes the allowed licences from the policy', async () => {
    expect((await measure(licencesCollector, dependent(), LICENCES, ['MIT'])).reading).toEqual({
      value: 2,
      examined: 2,
    });
  });

  it('reads the installed manifest when the lock file states no licence', async () => {
    const project = dependent({ 'node_modules/a': { license: undefined } });
    project.write('node_modules/a/package.json', '{ "license": "ISC" }');
    expect((await measure(licencesCollector, project, LICENCES)).reading).toEqual({ value: 0, examined: 2 });
  });

  it.each([
    ['MIT', true],
    ['mit', true],
    ['GPL-3.0', false],
    ['MIT OR GPL-3.0', true],
    ['MIT AND GPL-3.0', false],
    ['(MIT OR GPL-3.0) AND Apache-2.0', true],
    ['GPL-2.0 WITH Classpath-exception-2.0', false],
    ['SEE LICENSE IN file', undefined],
    ['(MIT', undefined],
    ['MIT OR', undefined],
    ['', undefined],
  ])('reads the expression "%s"', (expression, expected) => {
    expect(isAllowed(expression, ['MIT', 'Apache-2.0'])).toBe(expected);
  });
});

describe('the sbom collector', () => {
  const Document = z.looseObject({
    components: z.array(z.looseObject({})),
    dependencies: z.array(z.looseObject({})),
    serialNumber: z.string(),
  });
  const documentOf = (project: Project) =>
    Document.parse(JSON.parse(readFileSync(join(project.outDir, 'sbom.cdx.json'), 'utf8')));

  it('lists every locked package with its hash and what it asks for', async () => {
    const project = dependent();
    expect((await measure(sbomCollector, project, SBOM)).reading).toEqual({ value: 1, examined: 2 });
    const document = documentOf(project);
    expect(document).toMatchObject({ bomFormat: 'CycloneDX', specVersion: '1.6', version: 1 });
    expect(document.serialNumber).toMatch(/^urn:uuid:[\da-f]{8}-[\da-f]{4}-5[\da-f]{3}-a[\da-f]{3}-[\da-f]{12}$/);
    expect(document.components[1]).toMatchObject({
      'bom-ref': 'node_modules/a',
      purl: 'pkg:npm/a@1.2.3',
      hashes: [{ alg: 'SHA-512', content: '07'.repeat(64) }],
      licenses: [{ license: { id: 'MIT' } }],
    });
    expect(document.components[0]).toMatchObject({ purl: 'pkg:npm/%40x/b@1.0.0', scope: 'excluded' });
    expect(document.dependencies).toContainEqual({
      ref: 'node_modules/a',
      dependsOn: ['node_modules/a/node_modules/@x/b'],
    });
  });

  it('says 0 of 0 for a project that declares nothing', async () => {
    const project = new Project();
    const collected = await collect(sbomCollector, project, [SBOM]);
    expect(readingOf(collected, SBOM)).toEqual({ value: 1, examined: 1 });
    expect(JSON.stringify(collected.values)).toContain('0 of 0 locked packages are listed');
    expect(documentOf(project).components).toEqual([]);
  });

  it('fails a package that is locked without a hash', async () => {
    const { reading, findings } = await measure(
      sbomCollector,
      dependent({ 'node_modules/a': { integrity: undefined } }),
      SBOM,
    );
    expect(reading).toEqual({ value: 0, examined: 2 });
    expect(findings[0]).toContain('node_modules/a is locked without an integrity hash');
  });

  it.each([
    ['there is no manifest', () => new Project().remove('package.json'), 'no package.json'],
    ['the manifest is none', () => new Project().write('package.json', '{'), 'package.json cannot be read'],
    ['nothing is locked', () => dependent().remove('package-lock.json'), 'no lock file says'],
    ['a package is not locked', () => dependent().edit('package.json', '"a"', '"left"'), 'does not hold left'],
    ['the lock file is another one', () => dependent().write('yarn.lock', ''), "only npm's lock files"],
    ['the lock file is old', () => dependent({}, { lockfileVersion: 1 }), 'old form'],
    ['the lock file is none', () => dependent().write('package-lock.json', '[]'), 'package-lock.json cannot be read'],
    ['a package is linked', () => dependent({ 'node_modules/a': { link: true } }), 'linked'],
  ])('knows nothing when %s', async (_, make, reason) => {
    for (const [collector, metric] of [
      [sbomCollector, SBOM],
      [licencesCollector, LICENCES],
    ] as const) {
      expect((await measure(collector, make(), metric)).reading).toContain(reason);
    }
  });
});

const NOW = Date.parse('2026-06-10T00:00:00Z');
const vuln = (events: object[], more: object = {}) => ({
  id: 'GHSA-1',
  summary: 'It can be made to run code',
  affected: [{ package: { ecosystem: 'npm', name: 'a' }, ranges: [{ type: 'SEMVER', events }], ...more }],
});
const SNAPSHOT = {
  schema: 'maestro.advisories/v1',
  source: 'osv.dev',
  taken: '2026-06-05T00:00:00Z',
  ecosystem: 'npm',
  covers: 'all',
  vulns: [vuln([{ introduced: '0' }, { fixed: '1.2.4' }])],
};

async function check(snapshot: object | undefined, project = dependent(), days = 5) {
  const seen: CollectContext[] = [];
  const keeper: Collector = {
    id: 'keeper',
    version: '1',
    metrics: ['security_vulnerabilities'],
    timeoutMs: 1000,
    collect: (context) => {
      seen.push(context);
      return Promise.resolve({ values: {}, findings: [], evidence: [] });
    },
  };
  const given = snapshot === undefined ? {} : { advisories: { name: 'osv.json', text: JSON.stringify(snapshot) } };
  const specs = { security_vulnerabilities: { maximum_age_days: days } };
  await collect(keeper, project, ['security_vulnerabilities'], { run: { given }, specs });
  const [context] = seen;
  if (context === undefined) throw new Error('nothing was collected');
  const result = await checkAdvisories(context, readNpmPackages, NOW);
  return 'notEvaluable' in result
    ? result.notEvaluable
    : { found: result.findings.length, packages: result.packages, evidence: result.evidence.summary };
}

describe('advisories', () => {
  it.each([
    ['below the fixed version', [{ introduced: '0' }, { fixed: '1.2.4' }], 1],
    ['at the fixed version', [{ introduced: '0' }, { fixed: '1.2.3' }], 0],
    ['at the version that introduced it', [{ introduced: '1.2.3' }, { fixed: '2.0.0' }], 1],
    ['below the version that introduced it', [{ introduced: '1.2.4' }], 0],
    ['at the last affected version', [{ introduced: '1.0.0' }, { last_affected: '1.2.3' }], 1],
    ['above the last affected version', [{ introduced: '1.0.0' }, { last_affected: '1.2.2' }], 0],
    [
      'in the second of two spans',
      [{ introduced: '0' }, { fixed: '1.1.0' }, { introduced: '1.2.0' }, { fixed: '1.3.0' }],
      1,
    ],
    ['between two spans', [{ introduced: '0' }, { fixed: '1.1.0' }, { introduced: '1.3.0' }], 0],
  ])('finds a package %s', async (_, events, found) => {
    expect(await check({ ...SNAPSHOT, vulns: [vuln(events)] })).toMatchObject({ found, packages: 3 });
  });

  it('takes listed versions, and no version that is known at all, as affected; not what was withdrawn', async () => {
    expect(
      await check({ ...SNAPSHOT, vulns: [vuln([{ introduced: '9.0.0' }], { versions: ['1.2.3'] })] }),
    ).toMatchObject({ found: 1 });
    expect(await check({ ...SNAPSHOT, vulns: [vuln([], { ranges: [{ type: 'GIT', events: [] }] })] })).toMatchObject({
      found: 1,
    });
    expect(
      await check({ ...SNAPSHOT, vulns: [{ ...SNAPSHOT.vulns[0], withdrawn: '2026-01-01T00:00:00Z' }] }),
    ).toMatchObject({ found: 0 });
  });

  it('says how old they are, and refuses them when that is more than the policy allows', async () => {
    expect(JSON.stringify(await check(SNAPSHOT))).toContain('5 days old');
    expect(await check(SNAPSHOT, dependent(), 4)).toContain('5 days old, 4 at most');
  });

  it.each([
    ['nobody gave them', undefined, '--advisories FILE'],
    ['they are of the future', { ...SNAPSHOT, taken: '2026-06-11T00:00:00Z' }, 'in the future'],
    ['they hold nothing about a package', { ...SNAPSHOT, covers: ['a'] }, 'holds nothing about @x/b'],
    ['they are of another form', { ...SNAPSHOT, schema: 'other' }, 'cannot be used'],
    ['a version cannot be compared', { ...SNAPSHOT, vulns: [vuln([{ introduced: 'first' }])] }, 'cannot be compared'],
  ])('judge nothing when %s', async (_, snapshot, reason) => {
    expect(await check(snapshot)).toContain(reason);
  });

  it('compare versions as Semantic Versioning orders them', () => {
    const order = [
      '1.0.0-alpha',
      '1.0.0-alpha.1',
      '1.0.0-alpha.beta',
      '1.0.0-beta.2',
      '1.0.0-beta.11',
      '1.0.0',
      '1.0.1',
      '1.10.0',
      '2.0.0',
    ];
    for (const [index, version] of order.entries()) {
      expect(compareVersions(version, `${version}+build`)).toBe(0);
      expect(compareVersions(version, order[index + 1] ?? '3.0.0')).toBeLessThan(0);
    }
    expect(compareVersions('1.x', '1.0.0')).toBeUndefined();
  });
});
