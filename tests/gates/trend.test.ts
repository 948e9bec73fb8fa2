import { describe, expect, test } from 'vitest';
import { evaluateSupplied } from '../../src/gates/evaluate-supplied.ts';
import { describePolicy } from '../../src/gates/describe-policy.ts';
import { loadPolicySet } from '../../src/gates/load-policy.ts';
import { REPORT_FORMATS, renderPhase } from '../../src/gates/reports/render.ts';
import { suppliedReport } from '../../src/gates/reports/phase-report.ts';
import { baselineFromReport, baselineOf } from '../../src/gates/trend/baselines.ts';
import type { Baseline } from '../../src/shared/baseline.ts';
import { readConfig } from '../../src/shared/config.ts';
import { silentLogger } from '../../src/shared/logger.ts';
import { RedisBypassLog, newBypassId } from '../../src/shared/bypass-log.ts';
import { BlobRef, NO_USAGE, PhaseRecord, type RunPlan } from '../../src/shared/run-record.ts';
import { RunStore } from '../../src/shared/run-store.ts';
import { movePhase, moveRun } from '../../src/shared/transitions.ts';
import type { PhaseVerdict } from '../../src/shared/verdict.ts';
import { readJudgedWith, recordBaselines } from '../../src/workers/judged-with.ts';
import pc from 'picocolors';
import { noopPlan } from '../support/noop-fleet.ts';
import { testRedis } from '../support/test-redis.ts';
import { goodRecord, problemsOf, shippedWith, unexpected } from './support.ts';

const ABSOLUTE = /test_coverage: \{ threshold: 0\.8, direction: min, severity: BLOCKING \}/;
const textWith = (criterion: string): string => shippedWith(ABSOLUTE, `test_coverage: { ${criterion} }`);
const load = (criterion: string) => loadPolicySet([{ file: 'p.yaml', text: textWith(criterion) }]);

const baseline: Baseline = {
  schemaVersion: 1,
  source: 'run 01ARZ3NDEKTSV4RRFFQ69G5FAV',
  phase: 'implementation',
  policy: 'implementation',
  tree: 'f00d',
  at: '2026-11-20T00:00:00.000Z',
  simulated: false,
  values: { test_coverage: { value: 0.9, source: 'run 01ARZ3NDEKTSV4RRFFQ69G5FAV' } },
};
const MARGIN = 'relative_to: last_passed, max_regression: 0.02, direction: min, severity: BLOCKING';
const RATCHET = 'relative_to: last_passed, ratchet: true, direction: min, severity: BLOCKING';

const judge = (criterion: string, coverage: number | null, before: Baseline | null | undefined): PhaseVerdict =>
  evaluateSupplied({
    policySet: load(criterion),
    phase: 'implementation',
    text: JSON.stringify({ metrics: { ...goodRecord('implementation'), test_coverage: coverage } }),
    file: 'M.json',
    ...(before === undefined ? {} : { baseline: before }),
  });
const coverageOf = (verdict: PhaseVerdict) =>
  verdict.criteria.find((each) => each.criterion === 'test_coverage') ?? unexpected('no criterion');

describe('a relative criterion', () => {
  test.each([
    [MARGIN, 0.88, 'passed'],
    [MARGIN, 0.8799, 'failed'],
    [RATCHET, 0.9, 'passed'],
    [RATCHET, 0.8999, 'failed'],
    [`${RATCHET}, threshold: 0.95`, 0.94, 'failed'],
    [`${MARGIN}, threshold: 0.8`, 0.85, 'failed'],
  ])('{ %s } with %d is %s', (criterion, value, outcome) => {
    const verdict = judge(criterion, value, baseline);
    expect(coverageOf(verdict).outcome).toBe(outcome);
    expect(verdict.verdict).toBe(outcome === 'passed' ? 'passed' : 'blocked');
    expect(coverageOf(verdict).message).toContain('baseline 0.9 of run 01ARZ3NDEKTSV4RRFFQ69G5FAV');
  });

  test('of a metric that should be small may rise by its margin and no more', () => {
    const policySet = loadPolicySet([
      {
        file: 'p.yaml',
        text: shippedWith(
          'stub_rate: { threshold: 0.05, direction: max, severity: BLOCKING }',
          'stub_rate: { relative_to: last_passed, max_regression: 0.01, direction: max, severity: BLOCKING }',
        ),
      },
    ]);
    const outcome = (value: number) =>
      evaluateSupplied({
        policySet,
        phase: 'implementation',
        text: JSON.stringify({ metrics: { ...goodRecord('implementation'), stub_rate: value } }),
        file: 'M.json',
        baseline: { ...baseline, values: { stub_rate: { value: 0.02, source: 'run x' } } },
      }).criteria.find((each) => each.criterion === 'stub_rate')?.outcome;
    expect([outcome(0.03), outcome(0.031)]).toEqual(['passed', 'failed']);
  });

  test.each([[undefined], [null]])('blocks without a baseline (%s): there is no implicit one', (none) => {
    const verdict = judge(RATCHET, 0.99, none);
    expect(verdict.verdict).toBe('blocked');
    expect(verdict.baseline).toBeNull();
    expect(coverageOf(verdict)).toMatchObject({ outcome: 'error', threshold: null, value: 0.99 });
    expect(verdict.errors[0]?.reason).toMatch(/no baseline yet/);
  });

  test('blocks when the baseline does not hold its metric', () => {
    const verdict = judge(RATCHET, 0.99, { ...baseline, values: {} });
    expect(verdict.verdict).toBe('blocked');
    expect(verdict.errors[0]?.reason).toMatch(/has no test_coverage/);
  });

  test('warns or passes without a baseline only where the policy declares it, and says so', () => {
    const warned = judge(`${RATCHET}, on_missing: warn`, 0.99, null);
    expect(warned.verdict).toBe('passed_with_warnings');
    expect(coverageOf(warned)).toMatchObject({ outcome: 'failed', severity: 'WARNING' });
    const passed = judge(`${RATCHET}, on_missing: pass_declared`, 0.99, null);
    expect(passed.verdict).toBe('passed');
    expect(coverageOf(passed).message).toMatch(/the policy declares on_missing: pass_declared/);
    const absolute = judge(`${RATCHET}, threshold: 0.95, on_missing: pass_declared`, 0.9, null);
    expect(absolute.verdict, 'its threshold holds all the same').toBe('blocked');
  });

  test('is in error when its metric was not measured, baseline or not', () => {
    expect(judge(`${RATCHET}, on_missing: pass_declared`, null, null).verdict).toBe('blocked');
    expect(judge(RATCHET, null, baseline).verdict).toBe('blocked');
  });

  test('names its baseline in every kind of report', () => {
    const verdict = judge(RATCHET, 0.95, baseline);
    expect(verdict.baseline).toEqual({ source: baseline.source, tree: 'f00d', at: baseline.at });
    for (const format of REPORT_FORMATS)
      expect(renderPhase(suppliedReport(verdict), format, pc.createColors(false))).toContain('f00d');
  });

  test('is told to the persona in words', () => {
    expect(describePolicy(load(`${MARGIN}, threshold: 0.8`), 'implementation')).toContain(
      'test_coverage >= 0.8 and not worse than the last passed run by more than 0.02, BLOCKING',
    );
  });
});

describe('a policy is refused', () => {
  test.each([
    ['direction: min, severity: BLOCKING', /`threshold`, or `relative_to`/],
    ['relative_to: last_passed, direction: min, severity: BLOCKING', /either `max_regression` or `ratchet: true`/],
    [`${RATCHET}, max_regression: 0.1`, /either `max_regression` or `ratchet: true`/],
    ['threshold: 0.8, ratchet: true, direction: min, severity: BLOCKING', /no other has them/],
    ['relative_to: main, ratchet: true, direction: min, severity: BLOCKING', /the baseline is `last_passed`/],
    ['relative_to: last_passed, max_regression: 1, direction: min, severity: BLOCKING', /can never decide anything/],
  ])('with a criterion { %s }', (criterion, message) => {
    const problems = problemsOf(() => load(criterion));
    expect(problems[0]).toMatch(message);
    expect(problems[0]).toMatch(/^p\.yaml:\d+:\d+: /);
  });
});

const record = (verdict: PhaseVerdict): PhaseRecord =>
  PhaseRecord.parse({
    phase: 'implementation',
    status: 'passed',
    reason: '',
    round: 0,
    rounds: [
      { round: 0, verdict, findings: 0, tree: 'beef', evidence: BlobRef.parse('0'.repeat(64)), at: baseline.at },
    ],
    commit: null,
    bundle: null,
    handoffs: {},
    transcripts: {},
    usage: NO_USAGE,
    simulated: false,
    startedAt: baseline.at,
    finishedAt: baseline.at,
  });

describe('the baseline a run leaves', () => {
  const run = { ...noopPlan({ implementation: [] }), finishedAt: '2026-11-22T00:00:00.000Z', simulated: false };
  const good = judge(RATCHET, 0.95, baseline);

  test('holds the values of its phase, its files and its id', () => {
    expect(baselineOf(run, record(good), null)).toMatchObject({
      source: `run ${run.runId}`,
      tree: 'beef',
      values: { test_coverage: { value: 0.95, source: `run ${run.runId}` } },
    });
  });

  test('keeps the value of before for what a bypass or a warning let through', () => {
    const bypassed: PhaseVerdict = {
      ...good,
      criteria: good.criteria.map((each) =>
        each.criterion === 'test_coverage' ? { ...each, value: 0.3, outcome: 'bypassed' } : each,
      ),
    };
    expect(baselineOf(run, record(bypassed), baseline)?.values['test_coverage']).toEqual(
      baseline.values['test_coverage'],
    );
    expect(baselineOf(run, record(bypassed), null)?.values['test_coverage']).toBeUndefined();
  });

  test('begins with the first run that only lacked one', () => {
    const first = judge(`${RATCHET}, on_missing: warn`, 0.85, null);
    expect(baselineOf(run, record(first), null)?.values['test_coverage']?.value).toBe(0.85);
  });

  test('is none for a phase that did not pass, and never replaces a later one', () => {
    expect(baselineOf(run, { ...record(good), status: 'blocked', finishedAt: baseline.at }, null)).toBeNull();
    expect(baselineOf(run, record(good), { ...baseline, at: '2026-11-23T00:00:00.000Z' })).toBeNull();
  });

  test('can be the JSON report of an earlier run of the same phase that passed, and nothing else', () => {
    const of = { phase: 'implementation', policy: 'implementation' };
    const read = (document: unknown, wanted = of) => baselineFromReport(JSON.stringify(document), 'base.json', wanted);
    expect(read({ ...good, tree: 'cafe', findings: [] })).toMatchObject({
      source: 'base.json',
      tree: 'cafe',
      values: { test_coverage: { value: 0.95, source: 'base.json' } },
    });
    expect(() => read({ ...good, verdict: 'blocked' })).toThrow(/that run was blocked/);
    expect(() => read(good, { phase: 'backend', policy: 'backend' })).toThrow(/not phase backend/);
    expect(() => read({ values: {} })).toThrow(/not a report/);
    expect(() => baselineFromReport('{', 'base.json', of)).toThrow(/not JSON/);
  });
});

describe('a run of the fleet', () => {
  const at = testRedis();
  const setUp = async () => {
    const redis = await at.connect();
    const config = { ...readConfig({}, '/'), prefix: at.prefix };
    return { redis, config, store: new RunStore(redis, at.prefix), logger: silentLogger() };
  };
  type Fleet = Awaited<ReturnType<typeof setUp>>;
  const end = async (
    { store }: Fleet,
    plan: RunPlan,
    status: 'passed' | 'blocked',
    coverage: number,
  ): Promise<void> => {
    await store.createRun(plan);
    const [round] = record(judge(RATCHET, coverage, baseline)).rounds;
    await movePhase(store, plan.runId, 'implementation', 'running');
    await movePhase(store, plan.runId, 'implementation', 'passed', {
      change: (before) => ({ ...before, rounds: round ? [round] : [] }),
    });
    await moveRun(store, plan.runId, status);
  };
  const planOf = (change: Partial<RunPlan> = {}): RunPlan => ({
    ...noopPlan({ implementation: [] }),
    provider: 'anthropic',
    ...change,
  });

  test('that passed is the baseline of the next; one that did not, or was simulated, is not', async () => {
    const ctx = await setUp();
    const next = planOf();
    const [phase = unexpected('no phase')] = next.phases;
    const coverage = async (plan = next) => {
      const found = await readJudgedWith(ctx, plan, phase);
      return found.baseline?.values['test_coverage']?.value;
    };
    const runs = [
      { plan: planOf(), status: 'blocked' as const, value: 0.91, after: undefined },
      { plan: planOf({ provider: 'scripted' }), status: 'passed' as const, value: 0.92, after: undefined },
      { plan: planOf(), status: 'passed' as const, value: 0.93, after: 0.93 },
      { plan: planOf(), status: 'blocked' as const, value: 0.99, after: 0.93 },
    ];
    for (const { plan, status, value, after } of runs) {
      await end(ctx, plan, status, value);
      await recordBaselines(ctx, plan.runId);
      await recordBaselines(ctx, plan.runId);
      expect(await coverage()).toBe(after);
    }
    expect(await coverage({ ...next, provider: 'scripted' })).toBe(0.92);
    expect(await coverage({ ...next, workflow: 'other' })).toBeUndefined();
  });

  test('is judged with the bypasses of its own, and with none once the log was touched', async () => {
    const ctx = await setUp();
    const log = new RedisBypassLog(ctx.redis, at.prefix);
    const plan = planOf();
    const [phase = unexpected('no phase')] = plan.phases;
    const scopes = [
      { kind: 'run' as const, run: plan.runId },
      { kind: 'run' as const, run: planOf().runId },
      { kind: 'workflow' as const, workflow: plan.workflow },
      { kind: 'workflow' as const, workflow: 'other' },
      { kind: 'folder' as const },
    ];
    for (const scope of scopes)
      await log.append({
        type: 'requested',
        id: newBypassId(),
        at: new Date().toISOString(),
        scope,
        phase: 'implementation',
        gate: 'documentation_coverage',
        by: 'Ann',
        reason: 'r',
        adr: { file: 'a.md', sha256: BlobRef.parse('a'.repeat(64)), bytes: 1 },
        role: 'tech_lead',
        until: '2999-01-01T00:00:00.000Z',
      });
    const { bypasses } = await readJudgedWith(ctx, plan, phase);
    expect(bypasses.map((bypass) => bypass.scope)).toEqual([scopes[0], scopes[2]]);
    await ctx.redis.xdel(log.location, '4-0');
    expect((await readJudgedWith(ctx, plan, phase)).brokenBypassLog).toMatch(/entry 4 is missing/);
  });
});
