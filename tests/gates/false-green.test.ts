import { cp, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse, stringify } from 'yaml';
import { z } from 'zod';
import { evaluatePhase } from '../../src/gates/evaluate.ts';
import { findPolicy, loadPolicySet } from '../../src/gates/load-policy.ts';
import { type PhaseMeasurement, measurePhase } from '../../src/gates/measure.ts';
import { silentLogger } from '../../src/shared/logger.ts';
import { packagePath } from '../../src/shared/package-root.ts';
import type { SandboxCommand, SandboxResult } from '../../src/shared/sandbox/sandbox.ts';
import type { PhaseVerdict } from '../../src/shared/verdict.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { type Files, put, realSandbox } from './integrity/support.ts';
import { problemsOf, shippedPolicies, shippedText, unexpected } from './support.ts';

/*
 * Every way in which other gate systems were seen to be green with nothing established, each as a project that ends
 * blocked here. What is named beside a way is the test that closes it, here or elsewhere.
 *
 *  passes a missing measure                      "a metric that nobody measured"
 *  passes an empty gate, an empty objective list "a policy without gates is refused"
 *  passes a missing policy file, a misspelt name "a misspelt policy, metric or gate is refused"
 *  passes a first run with no history            "a comparison with a run that is not there is refused"
 *  a skipped required job counts as success      "a collector that was left out"
 *  an unmeasured metric is outweighed            "a metric that nobody measured"
 *  one scanner died beside one that worked       "a scanner that died beside those that worked"
 *  0 files scanned is not 0 problems             "a project without source"
 *  0 tests, skipped and todo tests               "node --test: ..."
 *  the author weakens the measurement            "switches in comments", "settings of the author",
 *                                                integrity/tamper.test.ts: deleted, skipped, weakened tests
 *  tests that check nothing                      integrity/new-tests.test.ts
 *  a == 0 || b == 0 with b never measured        "a short circuit", and conditions.test.ts for the rest of its kind
 *  npm audit --offline: zeros, nothing consulted "dependencies without advisory data"
 *  node --test: nothing, only skipped, exit(0)   "node --test: ..."
 *  vitest --passWithNoTests                      "vitest --passWithNoTests"
 *  c8 with nothing covered                       "c8: nothing covered"
 *  tools on nothing (madge, jscpd ...)           "a project without source"
 *  tools on unparsable source                    "source that does not parse"
 *  LCOV of loaded files alone                    "coverage of loaded files alone"
 *  outputs: link, FIFO, forged 100% coverage     "outputs: ..."
 */

const GOOD = packagePath('tests', 'fixtures', 'code-good');
const gates: Readonly<Record<string, string>> = {
  built: 'build_success_rate >= 0.95',
  tested: 'test_pass_rate >= 0.95',
  covered: 'test_coverage >= 0.8',
  clean: 'security_vulnerabilities == 0',
  good: 'code_quality_score >= 8',
};

/** The shipped catalogue with one policy of these gates. */
function policyWith(conditions: Readonly<Record<string, string>>): string {
  const shipped = z.record(z.string(), z.unknown()).parse(parse(shippedText()));
  const custom_component = {
    phase_name: 'Custom',
    phase_id: 'custom_component',
    description: 'd',
    success_criteria: {},
    required_artifacts: [],
    optional_artifacts: [],
    exit_gates: Object.entries(conditions).map(([gate, condition]) => ({ gate, condition, severity: 'BLOCKING' })),
    metrics: [],
  };
  const bypass_rules = {
    bypassable_gates: [],
    non_bypassable_gates: [],
    audit_trail: { log: 'l', alert_threshold: 0.1 },
  };
  return stringify({ ...shipped, phases: { custom_component }, bypass_rules });
}
const load = (text: string): ReturnType<typeof loadPolicySet> => loadPolicySet([{ file: 'p.yaml', text }]);

interface Judged {
  verdict: PhaseVerdict;
  measured: PhaseMeasurement;
  /** The messages of everything that did not pass. */
  why: string;
}
interface Options {
  skip?: string[];
  alter?: (command: SandboxCommand, result: SandboxResult) => SandboxResult;
}

/** Measures and judges the good project with changes: real collectors, the real sandbox. */
async function judge(names: readonly string[], changes: Files, { skip, alter }: Options = {}): Promise<Judged> {
  const folder = await tempFolder();
  const root = join(folder, 'project');
  const scratch = join(folder, 'scratch');
  await cp(GOOD, root, { recursive: true });
  await mkdir(scratch);
  await put(root, changes);
  const real = await realSandbox();
  const policySet = load(policyWith(Object.fromEntries(names.map((name) => [name, gates[name] ?? unexpected(name)]))));
  const measured = await measurePhase({
    root,
    scratch,
    phase: 'part',
    policySet,
    policy: 'custom_component',
    sandbox: {
      kind: real.kind,
      description: real.description,
      pathOf: (mounts, inside) => real.pathOf(mounts, inside),
      run: async (command) => {
        const result = await real.run(command);
        return alter?.(command, result) ?? result;
      },
    },
    run: { approvals: [], judgements: [], phaseStartedAt: undefined, round: 0, inputs: {} },
    signal: new AbortController().signal,
    logger: silentLogger(),
    ...(skip ? { skipCollectors: skip } : {}),
  });
  const verdict = evaluatePhase({ policySet, policy: 'custom_component', phase: 'part', fallback: true, ...measured });
  const why = verdict.gates.filter(({ outcome }) => outcome !== 'passed').map(({ message }) => message);
  return { verdict, measured, why: why.join('\n') };
}

const head = `import assert from 'node:assert/strict';\nimport { describe, test } from 'node:test';\n`;
const only = (text: string): Files => ({ tests: null, 'tests/unit/a.test.js': head + text });

test('the good project passes all of these gates, so that what blocks below is the change', async () => {
  const { verdict, why } = await judge(Object.keys(gates), {});
  expect(why).toBe('');
  expect(verdict.verdict).toBe('passed');
});

describe('tests that establish nothing end blocked', () => {
  test.each<[string, Files, RegExp]>([
    ['node --test: a file without a test', only(''), /holds no test/],
    ['node --test: only skipped tests', only(`test.skip('a', () => {});`), /skipped or todo/],
    ['node --test: only todo tests', only(`test.todo('a');`), /skipped or todo/],
    [
      'node --test: most tests skipped',
      only(`test('a', () => { assert.ok(1); }); test.skip('b', () => {});`),
      /test_pass_rate 0.5/,
    ],
    [
      'node --test: tests that assert nothing',
      only(`test('a', () => {}); test('b', () => {});`),
      /No test asserts anything/,
    ],
    [
      'node --test: process.exit(0) in a test file',
      only(`test('a', () => { assert.fail('no'); });\nprocess.exit(0);`),
      /ended its own process/,
    ],
    [
      'node --test: a suite switched off as a whole',
      only(`describe.skip('s', () => { test('a', () => {}); });`),
      /skipped or todo/,
    ],
    [
      'node --test: failing tests hidden in a suite that is switched off',
      only(`test('b', () => {}); describe.skip('s', () => { test('a', () => { assert.fail('no'); }); });`),
      /test_pass_rate 0.5/,
    ],
    [
      'vitest --passWithNoTests',
      {
        tests: null,
        'package.json': JSON.stringify({
          type: 'module',
          scripts: { build: 'node scripts/build.js', test: 'vitest --passWithNoTests' },
        }),
      },
      /no test file/,
    ],
  ])('%s', async (_, changes, reason) => {
    const { verdict, why } = await judge(['tested'], changes);
    expect(verdict.verdict).toBe('blocked');
    expect(why).toMatch(reason);
  });
});

describe('coverage ends blocked', () => {
  const big = Array.from({ length: 60 }, (_, index) => `export const n${index} = ${index};`).join('\n');

  test('c8: nothing covered', async () => {
    const { verdict, why } = await judge(['covered'], only(`test('a', () => { assert.equal(1, 1); });`));
    expect(verdict.verdict).toBe('blocked');
    expect(why).toMatch(/test_coverage 0, required/);
  });

  test('coverage of loaded files alone', async () => {
    const { verdict, measured } = await judge(['covered'], { 'src/shared/never-loaded.js': big });
    expect(verdict.verdict).toBe('blocked');
    expect(verdict.gates[0]?.values['test_coverage']?.value).toBeCloseTo(70 / 130);
    expect(measured.findings).toContainEqual(
      expect.objectContaining({ rule: 'coverage/uncovered', file: 'src/shared/never-loaded.js' }),
    );
  });

  test.each([
    '/* c8 ignore start */',
    '/* v8 ignore start */',
    '/* node:coverage disable */',
    '/* istanbul ignore file */',
  ])('switches in comments: %s', async (comment) => {
    const { verdict, measured } = await judge(['covered'], { 'src/shared/never-loaded.js': `${comment}\n${big}` });
    expect(verdict.verdict).toBe('blocked');
    expect(measured.findings).toContainEqual(expect.objectContaining({ rule: 'tamper/coverage-ignore' }));
  });

  test('settings of the author', async () => {
    const { verdict } = await judge(['covered'], {
      'src/shared/never-loaded.js': big,
      '.c8rc.json': '{"all": false, "exclude": ["src/shared/**"]}',
      'package.json': JSON.stringify({ type: 'module', c8: { exclude: ['src/**'] }, scripts: { test: 'true' } }),
    });
    expect(verdict.verdict).toBe('blocked');
  });
});

describe('source that cannot be judged ends blocked', () => {
  test.each<[string, string[], Files, RegExp]>([
    ['a project without source', ['good', 'clean'], { src: null }, /There is no JavaScript or TypeScript file/],
    ['source that does not parse', ['good', 'built'], { 'src/shared/codes.js': 'export const = ;\n' }, /pars|error/i],
    [
      'eslint-disable over a flaw',
      ['clean'],
      { 'src/shared/codes.js': '/* eslint-disable */\nexport const isCode = (text) => eval(text);\n' },
      /security_vulnerabilities [1-9]/,
    ],
    [
      'ts-nocheck over a type error',
      ['built'],
      { 'src/shared/codes.js': '// @ts-nocheck\nexport const n = 1;\nn.missing();\n' },
      /build_success_rate 0.5/,
    ],
    [
      'a build script that does nothing',
      ['built'],
      { 'package.json': JSON.stringify({ type: 'module', scripts: { build: 'true' } }) },
      /made no file/,
    ],
    [
      'dependencies without advisory data',
      ['clean'],
      { 'package.json': JSON.stringify({ type: 'module', dependencies: { express: '4.0.0' } }) },
      /no advisory data/,
    ],
  ])('%s', async (_, names, changes, reason) => {
    const { verdict, why } = await judge(names, changes);
    expect(verdict.verdict).toBe('blocked');
    expect(why).toMatch(reason);
  });
});

describe('outputs: hostile ones end blocked and hang nobody', () => {
  const plant = (code: string): Files => ({
    'tests/unit/hostile.test.js': `${head}import { symlinkSync, writeFileSync } from 'node:fs';\nimport { execFileSync } from 'node:child_process';\nconst out = process.env.NODE_V8_COVERAGE;\ntest('a', () => { ${code} });\n`,
  });
  test.each<[string, string, RegExp]>([
    ['a link', `symlinkSync('/etc/passwd', out + '/coverage-1-1-0.json');`, /not a record that Node writes/],
    ['a FIFO', `execFileSync('mkfifo', [out + '/coverage-1-1-0.json']);`, /not a record that Node writes/],
    [
      'forged coverage of 100 %',
      `writeFileSync(out + '/coverage-1-1-0.json', JSON.stringify({ result: [{ scriptId: '1', url: 'file://' + process.cwd() + '/src/backend/shelf.js', functions: [{ functionName: '', isBlockCoverage: true, ranges: [{ startOffset: 0, endOffset: 9999, count: 1 }] }] }] }));`,
      /not written by Node alone/,
    ],
  ])('%s', async (_, code, reason) => {
    const { verdict, why } = await judge(['covered'], plant(code));
    expect(verdict.verdict).toBe('blocked');
    expect(why).toMatch(reason);
  });

  test('a forged test report', async () => {
    const { verdict, why } = await judge(['tested'], only(`test('a', () => { assert.fail('no'); });`), {
      alter: (command, result) =>
        command.argv.includes('--test')
          ? { ...result, stdout: result.stdout.replaceAll('"failed"', '"passed"'), exitCode: 0 }
          : result,
    });
    expect(verdict.verdict).toBe('blocked');
    expect(why).toMatch(/tampered/);
  });

  test('reports that lie in the work are not read', async () => {
    const { verdict } = await judge(['tested', 'covered'], {
      tests: null,
      'coverage/lcov.info': 'SF:src/backend/shelf.js\nDA:1,1\nend_of_record\n',
      'junit.xml': '<testsuites tests="9" failures="0"/>',
    });
    expect(verdict.verdict).toBe('blocked');
    expect(verdict.gates.map(({ outcome }) => outcome)).toEqual(['error', 'error']);
  });
});

describe('what was not measured ends blocked', () => {
  test('a scanner that died beside those that worked', async () => {
    const { verdict, why } = await judge(
      ['clean'],
      {},
      {
        alter: (command, result) =>
          command.argv.some((part) => part.includes('code-secrets'))
            ? { ...result, exitCode: null, endedBy: 'signal', stdout: '' }
            : result,
      },
    );
    expect(verdict.verdict).toBe('blocked');
    expect(why).toMatch(/code-secrets/);
  });

  test('a collector that was left out', async () => {
    const { verdict, why } = await judge(['tested', 'built'], {}, { skip: ['tests'] });
    expect(verdict.verdict).toBe('blocked');
    expect(why).toMatch(/not measured yet/);
  });

  test('a metric that nobody measured, however good all others are', () => {
    const policySet = load(policyWith({ ...gates, extra: 'documentation_coverage >= 0.01' }));
    const verdict = evaluatePhase({
      policySet,
      policy: 'custom_component',
      phase: 'part',
      fallback: true,
      artifacts: [],
      measurements: [
        ['build_success_rate', 1],
        ['test_pass_rate', 1],
        ['test_coverage', 1],
        ['security_vulnerabilities', 0],
        ['code_quality_score', 10],
      ].map(([metric, value]) => ({
        status: 'measured' as const,
        metric: String(metric),
        value: Number(value),
        examined: 1_000,
        source: 'collector' as const,
        simulated: false,
        collector: 'c',
        collectorVersion: '1',
        evidence: [],
      })),
    });
    expect(verdict.verdict).toBe('blocked');
    expect(
      verdict.gates.filter(({ outcome }) => outcome !== 'passed').map(({ gate, outcome }) => `${gate} ${outcome}`),
    ).toEqual(['extra error']);
  });

  test('a short circuit over a metric that was never measured', async () => {
    const policySet = load(policyWith({ either: 'security_vulnerabilities == 0 OR critical_bugs == 0' }));
    const verdict = evaluatePhase({
      policySet,
      policy: 'custom_component',
      phase: 'part',
      fallback: true,
      artifacts: [],
      measurements: [
        {
          status: 'measured',
          metric: 'security_vulnerabilities',
          value: 0,
          examined: 9,
          source: 'collector',
          simulated: false,
          collector: 'c',
          collectorVersion: '1',
          evidence: [],
        },
      ],
    });
    expect(verdict).toMatchObject({ verdict: 'blocked', gates: [{ outcome: 'error' }] });
  });

  test('a project of no files', async () => {
    const { verdict } = await judge(Object.keys(gates), {
      src: null,
      tests: null,
      docs: null,
      scripts: null,
      'package.json': null,
    });
    expect(verdict.verdict).toBe('blocked');
    expect(verdict.gates.every(({ outcome }) => outcome === 'error')).toBe(true);
  });
});

describe('a policy that would decide nothing', () => {
  test('a policy without gates is refused', () => {
    expect(problemsOf(() => load(policyWith({})))).not.toEqual([]);
    expect(problemsOf(() => load('')).length).toBeGreaterThan(0);
  });

  test('a misspelt policy, metric or gate is refused, and a phase that no policy names is told to be judged by another', () => {
    expect(() => findPolicy(shippedPolicies, 'backend', 'bakcend')).toThrow(/no policy "bakcend".*backend/);
    expect(problemsOf(() => load(policyWith({ a: 'tset_coverage >= 0.8' }))).join()).toContain('test_coverage');
    expect(findPolicy(shippedPolicies, 'bakcend')).toEqual({ policy: 'custom_component', fallback: true });
  });

  test('a comparison with a run that is not there is refused: there is no implicit baseline', () => {
    expect(problemsOf(() => load(policyWith({ a: 'test_coverage >= previous.test_coverage' })))).not.toEqual([]);
  });
});
