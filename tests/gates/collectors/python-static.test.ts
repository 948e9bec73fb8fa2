import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { pythonTools } from '../../../src/gates/collectors/code/python/toolchain.ts';
import { FleetError } from '../../../src/shared/errors.ts';
import { silentLogger } from '../../../src/shared/logger.ts';
import { measure } from './code-support.ts';
import { byHand, pythonProject } from './python-support.ts';

const Radon = z.record(z.string(), z.array(z.object({ complexity: z.number(), type: z.string() })));
const Bandit = z.object({ results: z.array(z.object({ test_id: z.string(), line_number: z.number() })) });

test('a project that compiles and whose types hold is built', async () => {
  const measured = await measure('build', await pythonProject());
  expect(measured.of('build_success_rate')).toEqual({ value: 1, examined: 2 });
  expect(measured.findings).toEqual([]);
});

test('type errors fail one of two steps, at the places that mypy names by hand', async () => {
  const root = await pythonProject({
    'src/shortener/wrong.py': 'from .codes import encode\n\n\ndef wrong() -> int:\n    return encode("1")\n',
  });
  const measured = await measure('build', root);
  expect(measured.of('build_success_rate')).toEqual({ value: 0.5, examined: 2 });
  const hand = await byHand(root, ['-m', 'mypy', '--cache-dir=/dev/null', 'src/shortener']);
  const lines = [...hand.stdout.matchAll(/^(\S+?):(\d+): error:/gm)].map(([, file, line]) => `${file}:${line}`);
  expect(lines.length).toBe(2);
  expect(measured.findings.map(({ file, line }) => `${file}:${line}`)).toEqual(lines);
});

test('comments that switch mypy off have no effect and are findings', async () => {
  const measured = await measure(
    'build',
    await pythonProject({
      'src/shortener/wrong.py': '# mypy: ignore-errors\n\nNUMBER: int = "one"  # type: ignore\n',
    }),
  );
  expect(measured.read('build_success_rate')).toBe(0.5);
  expect(measured.findings.map(({ rule, line }) => [rule, line])).toEqual([
    ['mypy/assignment', 3],
    ['tamper/mypy-config', 1],
    ['tamper/type-ignore', 3],
  ]);
});

test('a file that is no Python fails the build, and nothing else can be read from the project', async () => {
  const root = await pythonProject({ 'src/shortener/wrong.py': 'def wrong(:\n' });
  const build = await measure('build', root);
  expect(build.of('build_success_rate')).toEqual({ value: 0, examined: 2 });
  expect(build.findings[0]).toMatchObject({ rule: 'build/syntax', file: 'src/shortener/wrong.py', line: 1 });
  const [quality, security] = [await measure('quality', root), await measure('security', root)];
  expect(quality.read('code_quality_score')).toMatch(/wrong\.py:1 cannot be parsed/);
  expect(security.read('security_vulnerabilities')).toMatch(/wrong\.py/);
});

test('an import of a declared package that is not installed cannot be judged; an undeclared one is a mistake', async () => {
  const changes = { 'src/shortener/far.py': 'import nowhere_to_be_found\n\nprint(nowhere_to_be_found.x)\n' };
  const undeclared = await measure('build', await pythonProject(changes));
  expect(undeclared.read('build_success_rate')).toBe(0.5);
  const declared = await measure(
    'build',
    await pythonProject({ ...changes, 'requirements.txt': 'nowhere-to-be-found==1.0\n' }),
  );
  expect(declared.read('build_success_rate')).toMatch(/not installed: nowhere-to-be-found/);
});

test('complexity is the highest that radon gives by hand', async () => {
  const root = await pythonProject({
    'src/shortener/deep.py': `def deep(n: int) -> int:\n${Array.from({ length: 11 }, (_, i) => `    if n == ${i}:\n        return ${i}\n`).join('')}    return n\n`,
  });
  const measured = await measure('quality', root);
  const hand = Radon.parse(JSON.parse((await byHand(root, ['-m', 'radon', 'cc', '-j', 'src'])).stdout));
  const functions = Object.values(hand)
    .flat()
    .filter(({ type }) => type !== 'class');
  expect(measured.of('component_complexity')).toEqual({
    value: Math.max(...functions.map(({ complexity }) => complexity)),
    examined: functions.length,
  });
  expect(measured.findings).toContainEqual(
    expect.objectContaining({ rule: 'radon/complexity', file: 'src/shortener/deep.py', line: 1 }),
  );
});

test('cases of a match statement count, though this radon does not know them', async () => {
  const measured = await measure(
    'quality',
    await pythonProject({
      'src/shortener/cases.py': `def cases(n: int) -> int:\n    match n:\n${Array.from({ length: 7 }, (_, i) => `        case ${i}:\n            return ${i + 1}\n`).join('')}        case _:\n            return 0\n`,
    }),
  );
  expect(measured.of('component_complexity')).toMatchObject({ value: 8 });
});

test('lint and duplicates lower the score, and comments cannot hide them', async () => {
  expect((await measure('quality', await pythonProject())).read('code_quality_score')).toBe(10);
  const body = Array.from(
    { length: 12 },
    (_, i) => `    total = total + number * ${i} - (number + ${i})  # step\n`,
  ).join('');
  const copied = (name: string): string =>
    `# jscpd:ignore-start\ndef ${name}(number: int) -> int:\n    total = 0\n${body}    return total\n`;
  const measured = await measure(
    'quality',
    await pythonProject({
      'src/shortener/lint.py': 'import os  # noqa\n\n\ndef lint() -> int:\n    return missing_name  # noqa\n',
      'src/shortener/one.py': copied('one'),
      'src/shortener/two.py': copied('two'),
    }),
  );
  expect(Number(measured.read('code_quality_score'))).toBeLessThan(7);
  expect(measured.findings.map(({ rule }) => rule)).toEqual(
    expect.arrayContaining([
      'pyflakes/UnusedImport',
      'pyflakes/UndefinedName',
      'jscpd/duplicate',
      'tamper/noqa',
      'tamper/jscpd-ignore',
    ]),
  );
});

test('each kind of stub counts, and what the language only declares does not', async () => {
  const green = await measure('stubs', await pythonProject());
  expect(green.of('stub_rate')).toEqual({ value: 0, examined: 6 });
  const root = await pythonProject({
    'src/shortener/stubs.py': [
      'from abc import ABC, abstractmethod',
      'from typing import Protocol',
      'class Declared(ABC):',
      '    @abstractmethod',
      '    def one(self) -> int: ...',
      'class Shape(Protocol):',
      '    def two(self) -> int: ...',
      'def empty(): pass',
      'def dots():',
      '    """Does a lot."""',
      '    ...',
      'def missing():',
      '    raise NotImplementedError',
      'def route():',
      '    return {"error": "no"}, 501',
      'def later():',
      '    return None  # TODO: write this',
      'def done():',
      '    return None',
      'def said():',
      '    return "Not implemented yet"',
      'def sent(app):',
      '    return app.send("coming soon")',
    ].join('\n'),
  });
  const red = await measure('stubs', root);
  expect(red.of('stub_rate')).toEqual({ value: 7 / 14, examined: 14 });
  expect(red.findings.map(({ rule, line }) => [rule, line])).toEqual([
    ['stub/empty-body', 8],
    ['stub/empty-body', 9],
    ['stub/not-implemented', 12],
    ['stub/route-501', 14],
    ['stub/todo-only', 16],
    ['stub/placeholder-text', 20],
    ['stub/placeholder-text', 22],
  ]);
  const none = await measure('stubs', await pythonProject({ src: null, 'src/one.py': 'X = 1\n' }));
  expect(none.read('stub_rate')).toMatch(/no function/);
});

const DEFECTS = [
  'import pickle, subprocess, yaml',
  'password = "correct horse battery"',
  'def run(text, cursor):',
  '    eval(text)  # nosec',
  '    exec(text)',
  '    subprocess.call(text, shell=True)',
  '    pickle.loads(text)',
  '    yaml.load(text)',
  `    cursor.execute("select * from users where name = '%s'" % text)`,
].join('\n');

test('unsafe code is counted, with everything that bandit by hand sees and what it passes over', async () => {
  const green = await measure('security', await pythonProject());
  expect(green.of('security_vulnerabilities')).toEqual({ value: 0, examined: 14 });
  expect(green.of('security_scan_complete')).toEqual({ value: 1, examined: 3 });
  expect(green.of('security_testing_complete')).toEqual({ value: 1, examined: 1 });

  const root = await pythonProject({ 'src/shortener/unsafe.py': DEFECTS });
  const red = await measure('security', root);
  expect(red.of('security_vulnerabilities')).toMatchObject({ value: 7 });
  const seen = red.findings.filter(({ rule }) => rule.startsWith('bandit/')).map(({ rule, line }) => `${rule}:${line}`);
  const hand = await byHand(root, ['-m', 'bandit', '-q', '-f', 'json', '--ignore-nosec', '-r', 'src']);
  const byBandit = Bandit.parse(JSON.parse(hand.stdout)).results.map(
    (each) => `bandit/${each.test_id}:${each.line_number}`,
  );
  expect(seen).toEqual(expect.arrayContaining(byBandit));
  // An old bandit under a new Python is blind to these two, and says nothing of it.
  expect(seen).toEqual(expect.arrayContaining(['bandit/B105:2', 'bandit/B608:9']));
  expect(red.findings).toContainEqual(expect.objectContaining({ rule: 'tamper/nosec', line: 4 }));
});

test('a secret in any file counts', async () => {
  const root = await pythonProject({ 'deploy.env': 'AWS_ACCESS_KEY_ID=AKIAQWERTYUIOPASDFGH\n' });
  const measured = await measure('security', root);
  expect(measured.read('security_vulnerabilities')).toBe(1);
  expect(measured.findings[0]).toMatchObject({ file: 'deploy.env', line: 1 });
});

const unknownDependencies: [string, Record<string, string>, RegExp][] = [
  ['requirements.txt', { 'requirements.txt': 'requests>=2 # http\n' }, /1 dependencies are declared \(requests\)/],
  [
    'an included file that is not there',
    { 'requirements.txt': '-r ../other.txt\n' },
    /cannot be read as a requirement/,
  ],
  ['pyproject.toml', { 'pyproject.toml': '[project]\nname = "x"\ndependencies = ["rich"]\n' }, /are declared \(rich\)/],
  ['dynamic dependencies', { 'pyproject.toml': '[project]\nname = "x"\ndynamic = ["dependencies"]\n' }, /dynamic/],
  [
    'a computed setup.py',
    { 'setup.py': 'from setuptools import setup\nsetup(install_requires=open("r").read())\n' },
    /is computed/,
  ],
  ['a broken manifest', { 'pyproject.toml': '[project\n' }, /pyproject\.toml cannot be read/],
  ['a lock file', { 'poetry.lock': '[[package]]\nname = "x"\n' }, /poetry\.lock locks packages/],
];
test.each(unknownDependencies)(
  'dependencies by %s are not taken as free of known faults',
  async (_what, changes, reason) => {
    const measured = await measure('security', await pythonProject(changes));
    expect(measured.read('security_vulnerabilities')).toMatch(reason);
    expect(measured.read('security_scan_complete')).toMatch(reason);
  },
);

test('public functions and classes without a docstring lower the documentation coverage', async () => {
  expect((await measure('docs-coverage', await pythonProject())).of('documentation_coverage')).toEqual({
    value: 1,
    examined: 5,
  });
  const red = await measure(
    'docs-coverage',
    await pythonProject({ 'src/shortener/bare.py': 'class Bare:\n    pass\n\n\ndef _own():\n    pass\n' }),
  );
  expect(red.of('documentation_coverage')).toEqual({ value: 5 / 6, examined: 6 });
  expect(red.findings).toEqual([expect.objectContaining({ rule: 'docs/missing-docstring', line: 1 })]);
});

test('size counts lines of code, declared dependencies and defects', async () => {
  const root = await pythonProject({
    'requirements.txt': 'requests\n',
    'src/shortener/defects.py': '# A comment.\n"""A docstring."""\n\nX = missing\nY = eval("1")\n',
  });
  const measured = await measure('size', root);
  expect(measured.of('lines_of_code')).toEqual({ value: 50, examined: 5 });
  expect(measured.of('service_dependencies')).toEqual({ value: 1, examined: 2 });
  expect(measured.of('defect_density')).toEqual({ value: 4, examined: 50 });
});

test('without the tools nothing is measured, and the remedy is named', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'python-tools-'));
  const path = process.env['PATH'];
  try {
    process.env['PATH'] = '/nonexistent';
    const asked = pythonTools(
      {
        outDir: folder,
        sandbox: {
          kind: 'off',
          description: 'a machine without Python tools',
          pathOf: (_mounts, inside) => inside,
          run: () =>
            Promise.resolve({
              exitCode: 1,
              endedBy: 'exit',
              stdout: '',
              stderr: "No module named 'pytest'",
              truncated: false,
              durationMs: 1,
            }),
        },
        signal: AbortSignal.timeout(30_000),
        logger: silentLogger(),
      },
      { cache: join(folder, 'cache') },
    );
    await expect(asked).rejects.toThrow('Python cannot be measured here');
    const { code, remedy } = await asked.then(
      () => new FleetError('INTERNAL', 'found'),
      (err: FleetError) => err,
    );
    expect([code, remedy]).toEqual(['TOOL_UNAVAILABLE', expect.stringMatching(/^Install .*python3-pytest/)]);
  } finally {
    process.env['PATH'] = path;
    await rm(folder, { recursive: true, force: true });
  }
});
