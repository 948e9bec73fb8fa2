import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { pythonSecurity } from '../../../src/gates/collectors/code/python/security.ts';
import { comparePythonVersions } from '../../../src/gates/collectors/operations/pep440.ts';
import { licencesCollector, sbomCollector } from '../../../src/gates/collectors/operations/sbom.ts';
import type { GivenFile } from '../../../src/shared/definitions.ts';
import type { Sandbox } from '../../../src/shared/sandbox/sandbox.ts';
import { Project, collect, readingOf, realSandbox } from './documents-support.ts';

const VULNERABLE = 'security_vulnerabilities';
const HASHES = ['a'.repeat(64), 'b'.repeat(64)] as const;
const LOCK = `[[package]]
name = "Flask"
version = "2.3.2"
files = [{ file = "flask.whl", hash = "sha256:${HASHES[0]}" }]

[[package]]
name = "jinja2"
version = "3.1.2"
files = [{ file = "jinja2.whl", hash = "sha256:${HASHES[0]}" }, { file = "jinja2.tar.gz", hash = "sha256:${HASHES[1]}" }]
`;

let sandbox: Sandbox;
beforeAll(async () => {
  sandbox = await realSandbox();
}, 300_000);

/** A Python project with these files. */
function python(files: Record<string, string>): Project {
  const project = new Project().remove('package.json').remove('src').remove('tests');
  project.write('src/app.py', '"""An app."""\n\n\ndef one():\n    """One."""\n    return 1\n');
  for (const [path, text] of Object.entries(files)) project.write(path, text);
  return project;
}

const snapshot = (more: object = {}): GivenFile => ({
  name: 'osv.json',
  text: JSON.stringify({
    schema: 'maestro.advisories/v1',
    source: 'osv.dev',
    taken: new Date(Date.now() - 86_400_000).toISOString(),
    ecosystem: 'PyPI',
    covers: 'all',
    vulns: [
      {
        id: 'PYSEC-1',
        affected: [
          {
            package: { ecosystem: 'PyPI', name: 'Jinja2' },
            ranges: [{ type: 'ECOSYSTEM', events: [{ introduced: '0' }, { fixed: '3.1.3' }] }],
          },
        ],
      },
    ],
    ...more,
  }),
});

async function vulnerabilities(files: Record<string, string>, advisories: GivenFile | undefined = snapshot()) {
  const run = { given: { advisories } };
  const collected = await collect(pythonSecurity, python(files), [VULNERABLE], { sandbox, run });
  const value = readingOf(collected, VULNERABLE);
  return {
    value: typeof value === 'string' ? value : value.value,
    rules: collected.findings.map(({ rule, file }) => `${file} ${rule}`),
  };
}

describe('known vulnerabilities of Python packages', () => {
  it('are found in pinned requirements, and that nothing is locked is said', async () => {
    const { value, rules } = await vulnerabilities({
      'requirements.txt': 'Jinja2[i18n]==3.1.2 ; python_version > "3"\n',
    });
    expect(value).toBe(1);
    expect(rules).toEqual(['requirements.txt advisory/PYSEC-1', 'requirements.txt dependencies/not-locked']);
    expect((await vulnerabilities({ 'requirements.txt': 'jinja2==3.1.3\n' })).value).toBe(0);
  });

  it('are found in lock files, those of packages included that nobody declared', async () => {
    const pyproject = '[tool.poetry]\nname = "x"\n[tool.poetry.dependencies]\npython = "^3.11"\nflask = "^2.3"\n';
    const locked = await vulnerabilities({ 'pyproject.toml': pyproject, 'poetry.lock': LOCK });
    expect(locked).toEqual({ value: 1, rules: ['poetry.lock advisory/PYSEC-1'] });
    const uv = LOCK.replaceAll('files = [', 'wheels = [').replace('3.1.2', '3.1.3');
    const clean = await vulnerabilities({
      'pyproject.toml': '[project]\nname = "x"\ndependencies = ["flask"]\n',
      'uv.lock': uv,
    });
    expect(clean).toEqual({ value: 0, rules: [] });
    const pipenv = { default: { jinja2: { version: '==3.1.2', hashes: [] } }, _meta: { hash: {} } };
    expect((await vulnerabilities({ 'requirements.txt': '', 'Pipfile.lock': JSON.stringify(pipenv) })).value).toBe(1);
  });

  it.each([
    ['a range', { 'requirements.txt': 'jinja2>=3.1.3\n' }, 'jinja2 of requirements.txt is pinned to no version'],
    ['a wildcard', { 'requirements.txt': 'jinja2==3.*\n' }, 'is pinned to no version'],
    ['an address', { 'requirements.txt': 'jinja2 @ file:///tmp/jinja2.whl\n' }, 'is pinned to no version'],
    [
      'two bounds',
      { 'pyproject.toml': '[project]\nname="x"\ndependencies=["jinja2==3.1.3,!=3"]\n' },
      'pinned to no version',
    ],
    [
      'a lock file without it',
      { 'requirements.txt': 'rich\n', 'poetry.lock': LOCK },
      'rich of requirements.txt is pinned',
    ],
    [
      'a lock file that cannot be read',
      { 'requirements.txt': '', 'poetry.lock': '[[package' },
      'poetry.lock cannot be read',
    ],
    [
      'a Pipfile that nobody locked',
      { 'requirements.txt': '', Pipfile: '[packages]\njinja2 = "*"\n' },
      'no Pipfile.lock',
    ],
  ])('are never counted as none for %s', async (_what, files, reason) => {
    expect((await vulnerabilities(files)).value).toContain(reason);
  });

  it('are not judged without advisories, nor with those of other packages', async () => {
    const files = { 'requirements.txt': 'jinja2==3.1.3\n' };
    const run = { given: {} };
    const bare = await collect(pythonSecurity, python(files), [VULNERABLE], { sandbox, run });
    expect(readingOf(bare, VULNERABLE)).toContain('give it with --advisories FILE');
    const npm = await vulnerabilities(files, snapshot({ ecosystem: 'npm' }));
    expect(npm.value).toContain('holds nothing about PyPI, where jinja2 comes from');
    const few = await vulnerabilities(files, snapshot({ ecosystem: ['npm', 'PyPI'], covers: ['flask'] }));
    expect(few.value).toContain('holds nothing about jinja2');
  });
});

describe('what a Python project is made of', () => {
  const metadata = (name: string, version: string, lines: string): Record<string, string> => ({
    [`.venv/lib/python${VERSION}/site-packages/${name}-${version}.dist-info/METADATA`]: `Metadata-Version: 2.4\nName: ${name}\nVersion: ${version}\n${lines}\n`,
  });
  const VERSION = '3.11';
  const project = (flask: string, more: Record<string, string> = {}): Project =>
    python({
      'pyproject.toml': '[project]\nname = "x"\ndependencies = ["flask"]\n',
      'poetry.lock': LOCK,
      ...metadata('flask', '2.3.2', flask),
      ...metadata('jinja2', '3.1.2', 'Classifier: License :: OSI Approved :: MIT License'),
      ...more,
    });

  it('is listed with versions and the hashes of what was locked', async () => {
    const locked = project('');
    const collected = await collect(sbomCollector, locked, ['sbom_complete'], { sandbox });
    expect(readingOf(collected, 'sbom_complete')).toEqual({ value: 1, examined: 2 });
    const Sbom = z.object({
      components: z.array(
        z.object({ purl: z.string(), hashes: z.array(z.object({ alg: z.string(), content: z.string() })) }),
      ),
      dependencies: z.array(z.object({ ref: z.string(), dependsOn: z.array(z.string()) })),
    });
    const sbom = Sbom.parse(JSON.parse(readFileSync(join(locked.outDir, 'sbom.cdx.json'), 'utf8')));
    expect(sbom.components).toEqual([
      { purl: 'pkg:pypi/flask@2.3.2', hashes: [{ alg: 'SHA-256', content: HASHES[0] }] },
      { purl: 'pkg:pypi/jinja2@3.1.2', hashes: HASHES.map((content) => ({ alg: 'SHA-256', content })) },
    ]);
    expect(sbom.dependencies).toEqual([{ ref: 'pkg:pypi/project@0.0.0', dependsOn: ['pypi/flask@2.3.2'] }]);
    const bare = await collect(sbomCollector, python({ 'requirements.txt': 'flask==2.3.2\n' }), ['sbom_complete'], {
      sandbox,
    });
    expect(readingOf(bare, 'sbom_complete')).toEqual({ value: 0, examined: 1 });
    expect(bare.findings).toMatchObject([{ rule: 'sbom/no-hash', file: 'requirements.txt' }]);
  });

  const licences = async (subject: Project) => {
    const collected = await collect(licencesCollector, subject, ['licence_violations'], { sandbox });
    return {
      reading: readingOf(collected, 'licence_violations'),
      found: collected.findings.map(({ message }) => message.split(';')[0]),
    };
  };

  it('has licences that are read where it is installed, in the version that is locked', async () => {
    expect((await licences(project('License-Expression: BSD-3-Clause'))).reading).toEqual({ value: 0, examined: 2 });
    expect((await licences(project('License: GPL-3.0-only'))).found).toEqual([
      'pypi/flask@2.3.2 is licensed as "GPL-3.0-only", which is not allowed',
    ]);
    expect((await licences(project('License: UNKNOWN'))).found).toEqual(['pypi/flask@2.3.2 has no known licence']);
    const other = python({ 'requirements.txt': 'flask==2.3.2\n', ...metadata('flask', '2.3.1', 'License: MIT') });
    expect((await licences(other)).found).toEqual(['pypi/flask@2.3.2 has no known licence']);
  });
});

it('compares versions as PEP 440 orders them', () => {
  const order =
    '1.0.dev1 1.0a1.dev1 1.0a1 1.0a2 1.0b1 1.0rc1 1.0 1.0+local 1.0.post1.dev1 1.0.post1 1.1 1.10 2.0 1!0.1'.split(' ');
  for (const [index, version] of order.slice(0, -1).entries()) {
    expect(comparePythonVersions(version, version)).toBe(0);
    expect(comparePythonVersions(version, order[index + 1] ?? '')).toBeLessThan(0);
  }
  expect(comparePythonVersions('v1.0-ALPHA.1', '1.0a1')).toBe(0);
  expect(comparePythonVersions('1.0', '1')).toBe(0);
  expect(comparePythonVersions('first', '1')).toBeUndefined();
});
