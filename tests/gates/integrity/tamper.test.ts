import { describe, expect, test } from 'vitest';
import { integrityErrors } from '../../../src/gates/integrity/verdict.ts';
import { isIdleScript } from '../../../src/gates/integrity/measurement-untouched.ts';
import { openBlobStore } from '../../../src/shared/open-blob-store.ts';
import { openWorkspace } from '../../../src/shared/workspace.ts';
import { tempFolder } from '../../support/temp-folder.ts';
import { check, put } from './support.ts';

const head = `import assert from 'node:assert/strict';\nimport { test } from 'node:test';\nimport { one } from '../../src/one.js';\n`;
const T = 'tests/unit/one.test.js';
const TESTS = `${head}test('is one', () => { assert.equal(one, 1); assert.ok(one); });\ntest('is a number', () => { assert.equal(typeof one, 'number'); });\n`;
const base = { 'src/one.js': 'export const one = 1;\n', [T]: TESTS };

describe('tests handed down by another persona', () => {
  test.each([
    ['is deleted', null, /deleted/],
    ['loses an assertion', TESTS.replace(' assert.ok(one);', ''), /weakened: 1 of 3 assertions removed/],
    ['is skipped', TESTS.replace("test('is one'", "test.skip('is one'"), /weakened: 1 tests switched off/],
    ['is skipped by an option', TESTS.replace("'is one', ()", "'is one', { skip: true }, ()"), /1 tests switched off/],
    ['is left to do', TESTS.replace("test('is one'", "test.todo('is one'"), /1 tests switched off/],
    ['is singled out', TESTS.replace("test('is one'", "test.only('is one'"), /1 tests switched off/],
    [
      'loses a test',
      TESTS.replace(/test\('is a number'.*\n/, ''),
      /1 tests removed or renamed, 1 of 3 assertions removed/,
    ],
    ['expects something else', TESTS.replace('one, 1', 'one, 2'), /was changed/],
    ['becomes a link', '-> ../../src/one.js', /./],
  ])('block when one %s', async (_, text, words) => {
    const done = await check({ base, work: { [T]: text } });
    const result = done.of('handed_down_tests');
    expect(result).toMatchObject({ outcome: 'violated', examined: 1 });
    const found = done.findings.find(({ rule }) => rule === 'tamper/handed-down-test');
    expect(found).toMatchObject({ severity: 'error', file: T });
    expect(found?.message).toMatch(words);
    expect(found?.message).toContain('handed down by solution_architect');
    expect(integrityErrors(done.checks).map(({ metric }) => metric)).toContain('handed_down_tests');
  });

  test('block when what they use is changed', async () => {
    const helper = 'tests/unit/helper.js';
    const done = await check({
      base: { ...base, [helper]: 'export const n = 1;\n' },
      work: { [helper]: 'export const n = 2;\n' },
    });
    expect(done.of('handed_down_tests').message).toContain(helper);
  });

  test('may be changed by the persona who wrote them, and have others beside them', async () => {
    const own = await check({
      base,
      work: { [T]: TESTS.replace(' assert.ok(one);', '') },
      owners: { [T]: 'backend_developer' },
    });
    expect(own.of('handed_down_tests').outcome).toBe('not_applicable');
    const beside = await check({ base, work: { 'docs/notes.md': 'Notes\n' } });
    expect(beside.of('handed_down_tests')).toMatchObject({ outcome: 'held', examined: 1 });
  });

  test('belong to the persona whose commit changed them last', async () => {
    const blobs = openBlobStore(await tempFolder());
    const { workspace } = await openWorkspace({ dir: await tempFolder(), blobs, sources: [] });
    const commit = async (persona: string, files: Record<string, string>): Promise<void> => {
      await put(workspace.dir, files);
      const author = { name: 'A', email: 'a@maestro.invalid' };
      await workspace.commitAll({
        message: `x\n\nPersona: forged`,
        trailers: { Persona: persona },
        author,
        date: '2026-01-01T00:00:00Z',
      });
    };
    await commit('solution_architect', { 'tests/a.test.js': '1', 'tests/b.test.js': '1', 'a\u0001by qa\n.js': '' });
    await commit('qa_engineer', { 'tests/b.test.js': '2' });
    const owners = await workspace.lastPersonas(await workspace.head());
    expect(owners).toEqual(
      new Map([
        ['a\u0001by qa\n.js', 'solution_architect'],
        ['tests/a.test.js', 'solution_architect'],
        ['tests/b.test.js', 'qa_engineer'],
      ]),
    );
  });
});

describe('the measurement', () => {
  const manifest = (scripts: Record<string, string>): string => JSON.stringify({ type: 'module', scripts });

  test.each([
    ['true', true],
    ['exit 0', true],
    ['echo "all tests pass"', true],
    ['echo ok && true', true],
    ['node -e ""', true],
    ['node --test || true', true],
    ['node --test; exit 0', true],
    ['node --test', false],
    ['echo start && node --test', false],
    ['node scripts/build.js', false],
  ])('`%s` is a script that does nothing: %s', (script, idle) => {
    expect(isIdleScript(script)).toBe(idle);
  });

  test('blocks when a test or build script is emptied, and says what it was', async () => {
    const done = await check({
      base: { 'package.json': manifest({ test: 'node --test', build: 'node build.js', start: 'true' }) },
      work: { 'package.json': manifest({ test: 'echo fine', build: 'node build.js || true', start: 'true' }) },
    });
    expect(done.of('measurement_untouched').outcome).toBe('violated');
    expect(done.findings.map(({ message }) => message)).toEqual([
      'the script "test" succeeds whatever happens: `echo fine` (it was `node --test`). Let it do what its name says',
      'the script "build" succeeds whatever happens: `node build.js || true` (it was `node build.js`). Let it do what its name says',
    ]);
  });

  test('notes settings and reports of the author, which no gate reads', async () => {
    const done = await check({
      base,
      work: {
        '.c8rc.json': '{}',
        'eslint.config.js': '',
        'coverage/lcov.info': 'x',
        'junit.xml': '<a/>',
        'tsconfig.json': '{}',
      },
    });
    expect(done.of('measurement_untouched').outcome).toBe('held');
    expect(done.findings.map(({ rule, file }) => `${rule} ${file}`)).toEqual([
      'tamper/own-settings .c8rc.json',
      'tamper/own-settings eslint.config.js',
      'tamper/own-settings tsconfig.json',
      'tamper/report-in-work coverage/lcov.info',
      'tamper/report-in-work junit.xml',
    ]);
  });
});
