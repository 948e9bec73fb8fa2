import { describe, expect, onTestFinished, test } from 'vitest';
import { assertCached } from '../../src/cli/commands/demo.ts';
import { runText } from '../../src/cli/commands/costs.ts';
import { RunCosts } from '../../src/producer/api-cost-schemas.ts';
import { costBound } from '../../src/producer/cost-bound.ts';
import { runCosts } from '../../src/producer/cost-report.ts';
import { resumeRun } from '../../src/producer/resume.ts';
import { costsBy, tokensOfCall } from '../../src/shared/call-ledger.ts';
import type { RunId } from '../../src/shared/names.ts';
import { runKey } from '../../src/shared/run-keys.ts';
import { readSpendDays } from '../../src/shared/spend-days.ts';
import { DefinitionsCache } from '../../src/workers/worker-context.ts';
import { Script } from '../../src/workers/scripted/script-schema.ts';
import { type Interference, startScriptedProvider } from '../../src/workers/scripted/server.ts';
import { PRICES, bill, countsOf } from '../support/bill.ts';
import { recordedCosts } from '../support/recorded-costs.ts';
import { looksReal } from '../support/real-looking.ts';
import { startSuppliedFleet } from '../support/supplied-fleet.ts';
import { testRedis } from '../support/test-redis.ts';

const MODELS = `apiVersion: maestro/v1
aliases: { claude-sonnet: claude-sonnet-5-5, claude-haiku: claude-haiku-5-5 }
${PRICES}`;
const write = (path: string, content = path) => ({ tools: [{ tool: 'write_file', input: { path, content } }] });
const done = { tools: [{ tool: 'hand_off', input: { summary: 'done' } }] };
const LONG = 'a long line of text that fills the cache\n'.repeat(300);

const workflow = (phases: string, more = ''): string => `apiVersion: maestro/v1
name: costly
defaults: { model: claude-sonnet, attempts: 4, rework: 0 }
${more}
phases:
${phases}`;
const phase = (name: string, more = ''): string => `  ${name}: { persona: author, policy: none${more} }\n`;

interface Playing {
  jobs: Readonly<Record<string, readonly unknown[]>>;
  interfere?: (request: { nth: number; model: string }) => Interference | undefined;
  models?: string;
  isPaid?: boolean;
  personas?: Readonly<Record<string, string>>;
}

async function fleetOf({ jobs, interfere, models = MODELS, isPaid = true, personas }: Playing) {
  const script = Script.parse({
    workflow: 'costly',
    jobs: Object.entries(jobs).map(([name, turns]) => ({ phase: name, persona: 'author', turns })),
  });
  const provider = await startScriptedProvider({
    scripts: [script],
    ...(interfere === undefined ? {} : { interfere }),
  });
  onTestFinished(() => provider.close());
  const model = isPaid ? await looksReal(provider.url) : provider.url;
  const fleet = await startSuppliedFleet(testRedis(), {
    metrics: () => ({}),
    model,
    isPaid,
    models,
    ...(personas === undefined ? {} : { personas }),
  });
  const sources = { redis: fleet.redis, prefix: fleet.at.prefix, store: fleet.store, models: fleet.models };
  const costs = (runId: RunId) => recordedCosts(sources, runId);
  return { fleet, provider, sources, costs };
}

describe('the costs of a run', () => {
  test('add up to what the provider counted, call by call, whatever went wrong on the way', async () => {
    const faults: Record<number, Interference> = {
      1: { fault: { status: 529, type: 'overloaded_error', retry_after_s: 0 } },
      3: { fault: { mid_stream: 'cut' } },
      5: { fault: { mid_stream: 'error' } },
      6: { fault: { status: 500, type: 'api_error' } },
      8: { cut: true },
    };
    const { fleet, provider, costs } = await fleetOf({
      jobs: {
        one: [write('a.txt', LONG), write('b.txt', LONG), done],
        two: [write('c.txt', LONG), write('d.txt'), done],
      },
      interfere: ({ nth }) => faults[nth],
    });
    const ended = await fleet.run(workflow(phase('one') + phase('two', ', needs: [one]')));
    expect(ended.run).toMatchObject({ status: 'passed_with_warnings', simulated: false });
    const found = await costs(ended.run.runId);
    const heard = provider.ledger.filter(({ isComplete }) => isComplete);
    const answered = found.calls.filter(({ outcome }) => outcome === 'answered');
    expect(answered).toHaveLength(6);
    expect(answered.map(({ requestId }) => requestId)).toEqual(heard.map(({ requestId }) => requestId));
    expect(answered.map(countsOf)).toEqual(heard.map(countsOf));
    // Calls that got no answer were made again, and no attempt was used up for them.
    expect(Object.values(ended.phases).map((record) => record.faults)).toEqual([0, 0]);
    expect(new Set(found.calls.map(({ attempt }) => attempt))).toEqual(new Set([1]));
    // Exactly, in whole millionths of a dollar, and in each way of adding it up.
    expect(found.totals.micros).toBe(bill(heard));
    expect(found.totals.costUsd).toBe(bill(heard) / 1e6);
    for (const groups of [found.byPhase, found.byPersona, found.byModel, found.byDay])
      expect(groups.reduce((sum, { totals }) => sum + (totals.micros ?? Number.NaN), 0)).toBe(bill(heard));
    expect(ended.run.usage).toMatchObject({ calls: 6, costUsd: found.totals.costUsd });
    // What broke off is not guessed: it stands apart, and is no less than what the provider has counted for it.
    const lost = provider.ledger.filter(({ isComplete }) => !isComplete);
    expect(lost).toHaveLength(2);
    expect(found.totals).toMatchObject({ failedCalls: 2, unknownCalls: 3 });
    expect((found.totals.unknownUsd ?? 0) * 1e6).toBeGreaterThanOrEqual(bill(lost));
    const [today] = await readSpendDays(fleet.redis, fleet.at.prefix, { kind: 'paid', days: 2 });
    expect(today?.totals).toEqual(found.totals);
    expect(today?.by.model.map(({ key }) => key)).toEqual(['claude-sonnet-5-5']);
    const standing = found.budgets.map(({ tokens, usd }) => [tokens.spent, tokens.reserved, usd.reserved]);
    expect(new Set(standing.map(String)).size).toBe(1);
    expect(standing[0]?.slice(1)).toEqual([0, 0]);
    // What counts against the budgets is the exact sum and the worst case of what nobody knows, to the millionth.
    const taken = (found.totals.micros ?? Number.NaN) + Math.round((found.totals.unknownUsd ?? Number.NaN) * 1e6);
    expect(found.budgets.map(({ usd }) => Math.round(usd.spent * 1e6))).toEqual([taken, taken, taken]);
  });

  test('stay within what the plan was said to cost at most, in each phase', async () => {
    const models = `${MODELS}contextTokens: { claude-sonnet-5-5: 9000 }\n`;
    const { fleet, costs } = await fleetOf({
      models,
      personas: { author: 'maxTurns: 4\nmaxTokensPerTurn: 300\n' },
      jobs: { one: [write('a.txt', LONG), write('b.txt'), write('c.txt'), done], two: [write('d.txt'), done] },
      interfere: ({ nth }) =>
        nth === 2 ? { fault: { status: 529, type: 'overloaded_error', retry_after_s: 0 } } : undefined,
    });
    const { plan, run } = await fleet.run(workflow(phase('one') + phase('two', ', needs: [one], attempts: 1')));
    expect(run.status).toBe('passed_with_warnings');
    const { definitions } = await new DefinitionsCache(fleet.blobs).get(plan.definitions);
    const bound = costBound({ plan, definitions, policySet: fleet.policySet, models: fleet.models });
    const { byPhase, totals } = await costs(run.runId);
    expect(byPhase.map(({ key }) => key)).toEqual(['one', 'two']);
    for (const { key, totals: spent } of byPhase) {
      const most = bound.phases.find((planned) => planned.phase === key)?.most;
      expect(spent.calls).toBeLessThanOrEqual(most?.calls ?? 0);
      expect(tokensOfCall(spent)).toBeLessThanOrEqual(most?.tokens ?? 0);
      expect(spent.micros).toBeGreaterThan(0);
      expect(spent.micros).toBeLessThanOrEqual(most?.micros ?? 0);
    }
    expect(totals.micros).toBeLessThanOrEqual(bound.most?.micros ?? 0);
  });

  test('are nothing when simulated, and unknown without a price or a ledger, and say so', async () => {
    const jobs = { one: [write('a.txt'), done] };
    const free = await fleetOf({ jobs, isPaid: false });
    const first = await free.fleet.run(workflow(phase('one')));
    const simulated = await free.costs(first.run.runId);
    expect(simulated).toMatchObject({ simulated: true, totals: { micros: 0, costUsd: 0, simulatedCalls: 2 } });
    expect(simulated.totals.inputTokens + simulated.totals.cacheWriteTokens).toBeGreaterThan(0);
    await free.fleet.redis.del(runKey(free.fleet.at.prefix, first.run.runId, 'calls'));
    const unrecorded = await runCosts(free.sources, first.run.runId);
    expect(unrecorded).toMatchObject({ recorded: false, totals: null, byPhase: null, calls: null, simulated: true });
    expect(RunCosts.parse(unrecorded)).toEqual(unrecorded);
    expect(runText(unrecorded, 'phase')).toMatch(/^run .* of costly \[simulated\]\nnot recorded: /);
    const unpriced = MODELS.replace(/claude-sonnet-5-5: \{.*\}/, 'claude-sonnet-5-5: null');
    const paid = await fleetOf({ jobs, models: unpriced });
    const second = await paid.fleet.run(workflow(phase('one')));
    const unknown = await paid.costs(second.run.runId);
    expect(unknown).toMatchObject({ simulated: false, totals: { micros: null, costUsd: null, unpricedCalls: 2 } });
    expect(second.run.usage.costUsd).toBeNull();
  });

  test('show that what is sent again comes from the cache', async () => {
    const turns = Array.from({ length: 8 }, (_, turn) => write(`f${turn}.txt`, LONG));
    const { fleet, costs } = await fleetOf({ jobs: { one: [...turns, done] }, isPaid: false });
    const { run } = await fleet.run(workflow(phase('one')));
    const { totals, calls } = await costs(run.runId);
    expect(totals.repeatTokens).toBeGreaterThan(20_000);
    expect(totals.cachedShare).toBeGreaterThan(0.9);
    // The demo fails without it, and when nothing tells of it.
    assertCached(totals);
    for (const cachedShare of [0.799, 0, null]) expect(() => assertCached({ cachedShare })).toThrow('at least 80%');
    expect(() => assertCached(null)).toThrow('at least 80%');
    assertCached({ cachedShare: 0.8 });
    expect(costsBy(calls, 'persona')).toMatchObject([{ key: 'author', totals: { repeatTokens: totals.repeatTokens } }]);
  });
});

describe('a budget', () => {
  const two = { one: [write('a.txt', LONG), done], two: [write('b.txt', LONG), done] };
  const TWO = phase('one') + phase('two', ', needs: [one]');

  test.each([
    ['of the run', 'budget: { tokens: 26000 }', MODELS, /the budget of the run is used up/],
    ['of the workflow in a day', 'budget: { perDay: { tokens: 26000 } }', MODELS, /the workflow's budget of the day/],
    [
      'of the fleet in a day',
      '',
      `${MODELS}budgets: { perDay: { usd: 0.35 } }\n`,
      /the fleet's budget of the day is used up: .*\$0\.35 /,
    ],
  ])('%s ends the run as blocked before a call could pass it, and says why', async (_, more, models, reason) => {
    const { fleet, provider, costs } = await fleetOf({ jobs: two, models });
    const { run, phases } = await fleet.run(workflow(TWO, more));
    expect(run.status).toBe('blocked');
    expect(run.reason).toMatch(reason);
    expect(phases['two']?.status).not.toBe('passed');
    const { budgets, totals } = await costs(run.runId);
    for (const { tokens, usd } of budgets) {
      expect(tokens.spent).toBeLessThanOrEqual(tokens.limit ?? Infinity);
      expect(usd.spent).toBeLessThanOrEqual(usd.limit ?? Infinity);
    }
    expect(totals.calls).toBe(provider.requests);
  });

  test('that is raised lets the run go on', async () => {
    const { fleet } = await fleetOf({ jobs: two });
    const plan = await fleet.start(workflow(TWO, 'budget: { tokens: 26000 }'));
    expect((await fleet.ended(plan)).run.status).toBe('blocked');
    const target = { redis: fleet.redis, prefix: fleet.at.prefix, store: fleet.store };
    await resumeRun(target, plan.runId, { budget: { tokens: 1_000_000 } });
    expect((await fleet.ended(plan)).run.status).toBe('passed_with_warnings');
  });

  test('that cannot cover the instances of a phase refuses them before the first', async () => {
    const services = Array.from({ length: 9 }, (_, nth) => `s${nth}`);
    const jobs = Object.fromEntries(services.map((name) => [`service--${name}`, [write(`${name}.txt`), done]]));
    const { fleet, provider } = await fleetOf({ jobs });
    const each = phase('service', `, foreach: [${services.join(', ')}]`);
    const plan = await fleet.start(workflow(each, 'budget: { tokens: 100000 }'));
    const { run, phases } = await fleet.ended(plan);
    expect(run.status).toBe('blocked');
    expect(phases['service']?.reason).toMatch(
      /BUDGET_EXCEEDED: .*first call of each of its 9 instances together may use 14\d{4} tokens, and 0 of 100000 are spent.*; none of them was started/,
    );
    expect(provider.requests).toBe(0);
    const target = { redis: fleet.redis, prefix: fleet.at.prefix, store: fleet.store };
    await resumeRun(target, plan.runId, { budget: { tokens: 1_000_000 } });
    expect((await fleet.ended(plan)).run.status).toBe('passed_with_warnings');
    expect(provider.requests).toBe(18);
  });
});
