import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { FleetError } from '../../../src/shared/errors.ts';
import type { Sandbox, SandboxResult } from '../../../src/shared/sandbox/sandbox.ts';
import { check, realSandbox } from './support.ts';

const head = `import assert from 'node:assert/strict';\nimport { test } from 'node:test';\n`;
const RANGE = `export function inRange(value, low, high) {
  if (value < low) {
    return false;
  }
  return value <= high;
}

export function clamp(value, low, high) {
  if (inRange(value, low, high)) return value;
  return value < low ? low : high;
}
`;
const GOOD = `${head}import { clamp, inRange } from '../../src/range.js';
test('a range holds its ends', () => {
  assert.deepEqual([0, 1, 2, 3, 4].map((value) => inRange(value, 1, 3)), [false, true, true, true, false]);
});
test('a value is clamped to its range', () => {
  assert.deepEqual([0, 2, 4].map((value) => clamp(value, 1, 3)), [1, 2, 3]);
});
`;
const EMPTY = `${head}import { clamp, inRange } from '../../src/range.js';
test('a range works', () => { inRange(1, 2, 3); inRange(2, 1, 3); assert.ok(true); });
test('clamping works', () => { clamp(0, 1, 3); clamp(2, 1, 3); assert.ok(true); });
`;
const T = 'tests/unit/range.test.js';

describe('new tests', () => {
  test('hold when each of them was red on the code as it was before', async () => {
    const done = await check({
      base: { 'src/range.js': 'export const inRange = () => undefined;\nexport const clamp = () => undefined;\n' },
      work: { 'src/range.js': RANGE, [T]: GOOD },
    });
    expect(done.of('tests_mean_something')).toMatchObject({ outcome: 'held', examined: 2 });
    expect(done.of('tests_mean_something').message).toMatch(/2 tests fail, 0 pass.*every new test was red first/);
    expect(done.findings).toEqual([]);
  });

  test('of new code hold when they notice planted faults, with the count of them as evidence', async () => {
    const done = await check({
      base: { 'src/other.js': 'export const one = 1;\n' },
      work: { 'src/range.js': RANGE, [T]: GOOD },
    });
    const result = done.of('tests_mean_something');
    expect(result.outcome).toBe('held');
    expect(result.message).toMatch(/1 files cannot be loaded; (\d+) of \1 faults planted/);
    const report: unknown = JSON.parse(await readFile(join(done.outDir, 'new-tests.json'), 'utf8'));
    expect(report).toMatchObject({ onOldCode: { notLoaded: [T] }, mutation: { survived: [], untried: 0 } });
  });

  test('find the packages that the project has installed', async () => {
    const done = await check({
      base: {
        'src/other.js': 'export const one = 1;\n',
        'node_modules/installed/package.json':
          '{"name":"installed","version":"1.0.0","type":"module","main":"index.js"}',
        'node_modules/installed/index.js': 'export const low = 1;\n',
      },
      work: {
        'src/range.js': `import { low as least } from 'installed';\n${RANGE.replace('value < low', 'value < low || value < least')}`,
        [T]: GOOD,
      },
    });
    expect(done.of('tests_mean_something').outcome).toBe('held');
    expect(done.of('tests_mean_something').message).toMatch(/faults planted in the lines they run were noticed/);
  });

  test('of new code that assert nothing are violated, and every fault they let pass is named with its line', async () => {
    const done = await check({
      base: { 'src/other.js': 'export const one = 1;\n' },
      work: { 'src/range.js': RANGE, [T]: EMPTY },
    });
    expect(done.of('tests_mean_something')).toMatchObject({ outcome: 'violated' });
    expect(done.of('tests_mean_something').message).toMatch(/0 of \d+ faults planted/);
    const survivors = done.findings.filter(({ rule }) => rule === 'tests/surviving-mutant');
    expect(survivors.map(({ file, line }) => `${file}:${line}`).toSorted()).toEqual([
      'src/range.js:10',
      'src/range.js:2',
      'src/range.js:3',
      'src/range.js:5',
      'src/range.js:9',
    ]);
    expect(survivors.every(({ severity }) => severity === 'error')).toBe(true);
  });

  test('that only load the new code are violated, though nothing they run can be broken', async () => {
    const done = await check({
      base: { 'src/other.js': 'export const one = 1;\n' },
      work: {
        'src/range.js': RANGE,
        [T]: `${head}import { inRange } from '../../src/range.js';\ntest('is there', () => { assert.ok(inRange); });\n`,
      },
    });
    expect(done.of('tests_mean_something').outcome).toBe('violated');
    expect(done.of('tests_mean_something').message).toMatch(/of the \d+ places in that code .* the new tests run none/);
  });

  test('that run no line of the code are violated, and named because they pass on the old code', async () => {
    const done = await check({
      base: { 'src/range.js': RANGE },
      work: { [T]: `${head}test('all is well', () => { assert.equal(1, 1); });\n` },
    });
    expect(done.of('tests_mean_something')).toMatchObject({ outcome: 'violated' });
    expect(done.of('tests_mean_something').message).toContain('run no line of the code');
    expect(done.findings).toContainEqual(
      expect.objectContaining({ rule: 'tests/not-red-first', severity: 'error', file: T, line: 3 }),
    );
  });

  test('of code that was there before hold by the faults they notice', async () => {
    const done = await check({
      base: { 'src/range.js': RANGE },
      work: { [T]: GOOD },
      persona: 'qa_engineer',
      phase: 'testing',
    });
    expect(done.of('tests_mean_something')).toMatchObject({ outcome: 'held' });
    expect(done.findings.map(({ rule, severity }) => `${rule} ${severity}`)).toEqual([
      'tests/not-red-first info',
      'tests/not-red-first info',
    ]);
  });

  test('end a fault that never ends, and count it as noticed', async () => {
    const loop = `export function sum(list) {\n  let total = 0;\n  let index = 0;\n  for (;;) {\n    if (index >= list.length) return total;\n    total += list[index];\n    index += 1;\n  }\n}\n`;
    const done = await check({
      base: { 'src/other.js': 'export const one = 1;\n' },
      work: {
        'src/sum.js': loop,
        'tests/unit/sum.test.js': `${head}import { sum } from '../../src/sum.js';\ntest('adds', () => { assert.equal(sum([1, 2]), 3); });\n`,
      },
    });
    expect(done.of('tests_mean_something').message).toMatch(/; (\d+) of \1 faults planted/);
  });

  test('the same files give the same faults', async () => {
    const phase = { base: { 'src/other.js': 'export const one = 1;\n' }, work: { 'src/range.js': RANGE, [T]: EMPTY } };
    const [one, two] = [await check(phase), await check(phase)];
    expect(one.findings).toEqual(two.findings);
  });

  test('a phase without new tests has nothing to show', async () => {
    const done = await check({ base: { 'src/range.js': RANGE }, work: { 'src/range.js': `${RANGE}\n` } });
    expect(done.of('tests_mean_something')).toMatchObject({ outcome: 'not_applicable', examined: 0 });
  });
});

describe('a planted fault whose run broke off', () => {
  const phase = { base: { 'src/other.js': 'export const one = 1;\n' }, work: { 'src/range.js': RANGE, [T]: GOOD } };

  /** The real sandbox, where something else happens to the runs that try a fault once they have ended. */
  async function endingWith(end: (result: SandboxResult) => SandboxResult): Promise<Sandbox> {
    const { kind, description, pathOf, run } = await realSandbox().then((sandbox) => ({
      kind: sandbox.kind,
      description: sandbox.description,
      pathOf: sandbox.pathOf.bind(sandbox),
      run: sandbox.run.bind(sandbox),
    }));
    const triesFault: Sandbox['run'] = async (command) => {
      const result = await run(command);
      return command.mounts.some(({ host }) => host.includes('/mutants-')) ? end(result) : result;
    };
    return { kind, description, pathOf, run: triesFault };
  }

  test.each<[string, (result: SandboxResult) => SandboxResult]>([
    ['by a signal', (result) => ({ ...result, exitCode: null, endedBy: 'signal' })],
    ['before its report was whole', (result) => ({ ...result, stdout: '' })],
    [
      'with its sandbox',
      () => {
        throw new FleetError('SANDBOX_UNAVAILABLE', 'the sandbox did not start');
      },
    ],
  ])('%s is untried, never noticed', async (_, end) => {
    const done = await check({ ...phase, sandbox: await endingWith(end) });
    expect(done.of('tests_mean_something')).toMatchObject({ outcome: 'error' });
    expect(done.of('tests_mean_something').message).toMatch(/only 0 of \d+ planted faults could be tried$/);
  });

  test('because a process of the tests was killed is untried, never noticed', async () => {
    const killing = GOOD.replace(
      "test('a value",
      "if (!inRange(2, 1, 3) || inRange(0, 1, 3) || inRange(4, 1, 3)) process.kill(process.pid, 'SIGKILL');\ntest('a value",
    );
    const done = await check({ ...phase, work: { ...phase.work, [T]: killing } });
    const report: unknown = JSON.parse(await readFile(join(done.outDir, 'new-tests.json'), 'utf8'));
    expect(report).not.toMatchObject({ mutation: { untried: 0 } });
  });

  test('because everything was stopped ends the check', async () => {
    const stop = new AbortController();
    const sandbox = await endingWith((result) => {
      stop.abort();
      return { ...result, exitCode: null, endedBy: 'aborted' };
    });
    // One fault for each run at a time, so that no later run stumbles over the signal.
    const work = {
      'src/range.js': 'export const isBig = (value) => value > 3;\n',
      [T]: `${head}import { isBig } from '../../src/range.js';\ntest('big', () => { assert.ok(isBig(4)); assert.ok(!isBig(3)); });\n`,
    };
    await expect(check({ ...phase, work, sandbox, signal: stop.signal })).rejects.toMatchObject({ code: 'CANCELLED' });
  });
});
