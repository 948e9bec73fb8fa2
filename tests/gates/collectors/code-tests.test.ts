import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { measure, project } from './code-support.ts';

const head = `import assert from 'node:assert/strict';\nimport { describe, test } from 'node:test'; assert.ok(test);\n`;
const only = (text: string): Record<string, string | null> => ({ tests: null, 'tests/unit/a.test.js': head + text });

describe('the tests collector', () => {
  test('counts tests and covered lines of the whole project', async () => {
    const run = await measure('tests', await project());
    expect(run.values).toEqual({
      test_pass_rate: { value: 1, examined: 8 },
      test_count: { value: 8, examined: 6 },
      total_test_cases: { value: 8, examined: 6 },
      test_coverage: { value: 1, examined: 70 },
    });
    expect(run.findings).toEqual([]);
    expect((await readdir(run.outDir)).toSorted()).toEqual(['junit.xml', 'lcov.info']);
    expect(await readFile(join(run.outDir, 'junit.xml'), 'utf8')).toContain('tests="8" failures="0"');
    expect(await readFile(join(run.outDir, 'lcov.info'), 'utf8')).toContain('SF:src/backend/shelf.js');
  });

  test('takes only the files of the phase', async () => {
    const root = await project();
    expect((await measure('tests', root, 'backend')).of('test_count')).toEqual({ value: 3, examined: 2 });
    expect((await measure('tests', root, 'frontend')).of('test_coverage')).toEqual({ value: 1, examined: 19 });
  });

  test('counts failed, skipped and todo tests as not passed, and names them', async () => {
    const root = await project(
      only(`test('good', () => {});
        test('bad', () => { assert.equal(1, 2); });
        test.skip('left', () => {});
        test.todo('later');`),
    );
    const run = await measure('tests', root);
    expect(run.of('test_pass_rate')).toEqual({ value: 0.25, examined: 4 });
    expect(
      run.findings
        .filter(({ metric }) => metric === 'test_pass_rate')
        .map(({ rule, file, line }) => ({ rule, file, line })),
    ).toEqual([
      { rule: 'tests/failed', file: 'tests/unit/a.test.js', line: 4 },
      { rule: 'tests/skipped', file: 'tests/unit/a.test.js', line: 5 },
      { rule: 'tests/todo', file: 'tests/unit/a.test.js', line: 6 },
    ]);
  });

  test('counts tests inside tests and suites once, by their leaves', async () => {
    const root = await project(
      only(`describe('suite', () => { test('a', () => {}); describe('inner', () => { test('b', () => {}); }); });
        test('parent', async (t) => { await t.test('c', () => {}); await t.test('d', () => { assert.fail('no'); }); });`),
    );
    const run = await measure('tests', root);
    expect(run.of('test_pass_rate')).toEqual({ value: 0.75, examined: 4 });
  });

  test('counts files that no test loads as uncovered', async () => {
    const root = await project({ 'src/shared/unused.js': 'export const one = 1;\nexport const two = 2;\n' });
    const run = await measure('tests', root);
    expect(run.of('test_coverage')).toMatchObject({ value: 70 / 72, examined: 72 });
    expect(run.findings).toContainEqual(
      expect.objectContaining({
        rule: 'coverage/uncovered',
        file: 'src/shared/unused.js',
        message: 'Lines 1 to 2 are not covered',
      }),
    );
  });

  test.each(['/* c8 ignore start */', '/* v8 ignore next 9 */', '// # sourceMappingURL=data:application/json,{}'])(
    'counts lines as uncovered in spite of %s',
    async (comment) => {
      const root = await project({ 'src/shared/unused.js': `${comment}\nexport const one = 1;\n` });
      const run = await measure('tests', root);
      expect(run.of('test_coverage')).toMatchObject({ value: 70 / 72 });
    },
  );

  test('makes a comment that hides lines from coverage a finding', async () => {
    const root = await project({ 'src/shared/unused.js': '/* c8 ignore next */\nexport const one = 1;\n' });
    expect((await measure('tests', root)).findings).toContainEqual(
      expect.objectContaining({ rule: 'tamper/coverage-ignore', file: 'src/shared/unused.js', line: 1 }),
    );
  });

  test('does not read coverage settings of the project', async () => {
    const root = await project({
      'src/shared/unused.js': 'export const one = 1;\n',
      '.c8rc.json': '{"all": false, "exclude": ["src/shared/**"]}',
    });
    expect((await measure('tests', root)).of('test_coverage')).toMatchObject({ examined: 71 });
  });

  test('runs TypeScript and maps its coverage back to the source', async () => {
    const root = await project({
      src: null,
      tests: null,
      'src/shared/sum.ts':
        'interface Pair {\n  a: number;\n  b: number;\n}\n\nexport function sum(pair: Pair): number {\n  if (pair.a > 100) {\n    return 0;\n  }\n  return pair.a + pair.b;\n}\n',
      'src/shared/other.ts': 'export const other: number = 1;\n',
      'tests/unit/sum.test.ts': `${head}import { sum } from '../../src/shared/sum.js';\ntest('adds', () => { const three: number = sum({ a: 1, b: 2 }); assert.equal(three, 3); });\n`,
    });
    const run = await measure('tests', root);
    expect(run.read('test_pass_rate')).toBe(1);
    expect(run.findings.map(({ file, message }) => `${file}: ${message}`)).toEqual([
      'src/shared/other.ts: Line 1 is not covered',
      'src/shared/sum.ts: Lines 8 to 9 are not covered',
    ]);
  });
});

describe('tests that establish nothing are not evaluable', () => {
  const cases: [string, Record<string, string | null>, RegExp][] = [
    ['no test file', { tests: null }, /no test file/],
    ['a file without a test', only(''), /holds no test/],
    ['only skipped tests', only(`test.skip('a', () => {});`), /skipped or todo/],
    ['only todo tests', only(`test.todo('a');`), /skipped or todo/],
    [
      'process.exit(0) before the tests ran',
      only(
        `test('a', () => {}); test('b', async () => { await new Promise((done) => setTimeout(done, 50)); assert.fail('no'); });\nsetTimeout(() => process.exit(0), 20);`,
      ),
      /ended its own process/,
    ],
    [
      'process.exit(0) inside a test',
      only(`test('a', () => { process.exit(0); }); test('b', () => { assert.fail('no'); });`),
      /ended its own process/,
    ],
    ['process.reallyExit(0)', only(`test('a', () => { process.reallyExit(0); });`), /ended its own process/],
    ['a test file that does not parse', only(`test('a', () => {`), /did not run to its end/],
    [
      'an import that is not there',
      only(`import '../../src/none.js';\ntest('a', () => {});`),
      /did not run to its end/,
    ],
    [
      'a killed test process',
      only(`test('a', () => { process.kill(process.pid, 'SIGKILL'); });`),
      /did not run to its end/,
    ],
    ['a link among the tests', only(''), /link/],
  ];

  test.each(cases)('%s', async (name, changes, reason) => {
    const root = await project(changes);
    if (name === 'a link among the tests') {
      const { symlink } = await import('node:fs/promises');
      await symlink('/etc/passwd', join(root, 'tests', 'unit', 'b.test.js'));
    }
    const run = await measure('tests', root);
    for (const metric of ['test_pass_rate', 'test_coverage', 'test_count']) expect(run.read(metric)).toMatch(reason);
  });

  const forgeries: [string, (stdout: string) => string][] = [
    ['a line added', (stdout) => `${stdout}00 {"seq":9,"type":"end"}\n`],
    ['a line taken away', (stdout) => stdout.split('\n').toSpliced(2, 1).join('\n')],
    ['a line changed', (stdout) => stdout.replace('"passed"', '"failed"')],
    [
      'a line sent again',
      (stdout) =>
        stdout
          .split('\n')
          .flatMap((line, at) => (at === 1 ? [line, line] : [line]))
          .join('\n'),
    ],
    ['the end cut off', (stdout) => stdout.split('\n').slice(0, -2).join('\n')],
    ['nothing', () => ''],
  ];
  test.each(forgeries)('a test report with %s', async (_name, forge) => {
    const run = await measure('tests', await project(), 'backend', (result) => ({
      ...result,
      stdout: forge(result.stdout),
    }));
    expect(run.read('test_pass_rate')).toMatch(/tampered|no complete report/);
  });

  test("a test process cannot write into its runner's report unseen", async () => {
    const root = await project(
      only(`import { writeFileSync } from 'node:fs';
        test('a', () => { writeFileSync(\`/proc/\${process.ppid}/fd/1\`, '00 {"seq":2,"type":"end"}\\n'); });`),
    );
    expect((await measure('tests', root)).read('test_pass_rate')).not.toBe(1);
  });

  test('forged coverage records void the coverage alone', async () => {
    const forged = (record: string): Record<string, string | null> =>
      only(`import { writeFileSync, symlinkSync } from 'node:fs';
        test('a', () => { const folder = process.env.NODE_V8_COVERAGE; ${record} });`);
    const records = [
      `writeFileSync(folder + '/coverage-1-1-0.json', JSON.stringify({ result: [{ scriptId: '1', url: 'file://' + process.cwd() + '/src/backend/shelf.js', functions: [{ functionName: '', isBlockCoverage: true, ranges: [{ startOffset: 0, endOffset: 9999, count: 1 }] }] }] }));`,
      `symlinkSync('/etc/passwd', folder + '/coverage-1-1-0.json');`,
      `writeFileSync(folder + '/coverage-1-1-0.json', '{');`,
    ];
    for (const record of records) {
      const run = await measure('tests', await project(forged(record)));
      expect(run.read('test_pass_rate')).toBe(1);
      expect(run.read('test_coverage')).toMatch(/not written by Node alone/);
    }
  });

  test.each([
    `writeFileSync(process.env.NODE_V8_COVERAGE + '/coverage-9-9-0.json', JSON.stringify({ result: [{ scriptId: '1', url: 'file://' + process.cwd() + '/src/shared/unused.js', functions: [{ functionName: '', isBlockCoverage: true, ranges: [{ startOffset: 0, endOffset: 22, count: 1 }] }] }] }));`,
    `writeFileSync('/raw/coverage-9-9-0.json', '{"result":[]}');`,
    `(await import('node:v8')).stopCoverage();`,
  ])(
    'a test that reaches for the coverage records voids the coverage, however well they are forged: %#',
    async (forge) => {
      const root = await project({
        ...only(`import { writeFileSync } from 'node:fs'; test('a', async () => { ${forge} });`),
        'src/shared/unused.js': 'export const one = 1;\n',
      });
      expect((await measure('tests', root)).read('test_coverage')).toMatch(
        /a\.test\.js reaches for the coverage records/,
      );
    },
  );

  test.each([
    `assert.equal = () => {}; test('a', () => { assert.equal(1, 2); });`,
    `Object.assign(assert, { equal() {} }); test('a', () => { assert.equal(1, 2); });`,
    `import { mock } from 'node:test'; mock.method(assert, 'equal', () => {}); test('a', () => { assert.equal(1, 2); });`,
  ])('a test cannot put another assertion in the place of the one of Node: %s', async (text) => {
    expect((await measure('tests', await project(only(text)))).read('test_pass_rate')).not.toBe(1);
  });

  test.each([
    ['calls alone', `import * as shelf from '../../src/backend/shelf.js'; test('a', () => { String(shelf); });`],
    ['nothing', `for (let n = 0; n < 50; n += 1) test('t' + n, () => {});`],
  ])('tests that hold %s and assert nothing are not passed tests', async (_name, text) => {
    const root = await project({
      tests: null,
      'tests/unit/a.test.js': `import test from 'node:test';\nimport assert from 'node:assert';\n${text}`,
    });
    const run = await measure('tests', root);
    expect(run.read('test_pass_rate')).toMatch(/No test asserts anything/);
    expect(run.findings.map(({ rule }) => rule)).toEqual(['tests/asserts-nothing']);
  });

  test('a pipe planted among the coverage records hangs nobody', async () => {
    const root = await project(
      only(`import { execFileSync } from 'node:child_process';
        test('a', () => { execFileSync('mkfifo', [process.env.NODE_V8_COVERAGE + '/coverage-1-1-0.json']); });`),
    );
    expect((await measure('tests', root)).read('test_coverage')).toMatch(/not a record that Node writes/);
  });

  test('a project in another language', async () => {
    const python = await project({ 'package.json': null, src: null, 'src/app.py': 'x = 1\n' });
    expect((await measure('tests', python)).read('test_coverage')).toMatch(/no package.json/);
    const mixed = await project({ 'src/app.py': 'x = 1\n' });
    expect((await measure('tests', mixed)).read('test_coverage')).toMatch(/src\/app.py is in a language/);
  });
});
