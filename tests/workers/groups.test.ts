import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { enqueueRun } from '../../src/producer/enqueue.ts';
import { cancelRun, pauseRun, unpauseRun } from '../../src/producer/run-control.ts';
import { ConcurrencyGroups } from '../../src/shared/groups.ts';
import { allRunKeys } from '../../src/shared/run-keys.ts';
import type { PlannedPhase, RunPlan } from '../../src/shared/run-record.ts';
import { RunStore } from '../../src/shared/run-store.ts';
import { childModule } from '../support/child-module.ts';
import { noopPlan } from '../support/noop-fleet.ts';
import { startNoopRuns } from '../support/noop-runs.ts';
import { testRedis } from '../support/test-redis.ts';

const GROUP = { group: 'deploy', limit: 1 };

/** Runs of one phase each, in the group. */
const deploys = (count: number, overrides: Partial<PlannedPhase> = {}): RunPlan[] =>
  Array.from({ length: count }, () => noopPlan({ deploy: [] }, { concurrency: GROUP, ...overrides }));

/** Counts how many phases work at the same time. */
function gauge(ms: number) {
  const seen = { now: 0, most: 0 };
  const work = async (): Promise<void> => {
    seen.now += 1;
    seen.most = Math.max(seen.most, seen.now);
    await sleep(ms);
    seen.now -= 1;
  };
  return { seen, work };
}

describe('phases of a group', () => {
  test.each([1, 3])('run at most %i at a time over all runs, and a place is passed on at once', async (limit) => {
    const { seen, work } = gauge(150);
    const { run } = await startNoopRuns({ work, concurrency: 20 });
    const began = performance.now();
    const plans = deploys(9, { concurrency: { group: 'deploy', limit } });
    const ends = await Promise.all(plans.map(run));
    expect(new Set(ends)).toEqual(new Set(['passed']));
    expect(seen.most).toBe(limit);
    // Had everybody waited for the slow check, which looks every ten seconds, it would have taken longer.
    expect(performance.now() - began).toBeLessThan(19_000);
  });

  test('get their places in the order in which they asked, and hold no worker while they wait', async () => {
    const order: string[] = [];
    const { add, endOf, run } = await startNoopRuns({
      concurrency: 1,
      work: async (phase, _attempt, runId) => {
        order.push(runId);
        if (phase === 'deploy') await sleep(50);
      },
    });
    const plans = deploys(4);
    for (const plan of plans) await add(plan);
    const other = noopPlan({ plain: [] });
    expect(await run(other)).toBe('passed');
    for (const plan of plans) expect(await endOf(plan)).toBe('passed');
    expect(order.filter((id) => id !== other.runId)).toEqual(plans.map(({ runId }) => runId));
  });

  test('give their place back however they end', async () => {
    const { run } = await startNoopRuns({
      verdictOf: (runId) => (runId === blocked?.runId ? 'blocked' : 'passed'),
      work: (_phase, _attempt, runId) => {
        if (runId === failing?.runId) throw new Error('no luck');
      },
    });
    const [blocked, failing, skipped, last] = [
      ...deploys(2, { attempts: 1 }),
      ...deploys(1, { conditions: [{ text: 'false', prefix: '' }] }),
      ...deploys(1),
    ];
    const ends = await Promise.all([blocked, failing, skipped, last].map(async (plan) => (plan ? run(plan) : '')));
    expect(ends).toEqual(['blocked', 'failed', 'passed_with_warnings', 'passed']);
  });

  test('with several personas take one place', async () => {
    const { run } = await startNoopRuns({ personas: ['noop', 'other'], work: () => sleep(100) });
    const plans = deploys(3, { personas: ['noop', 'other'] });
    expect(new Set(await Promise.all(plans.map(run)))).toEqual(new Set(['passed']));
  });

  test('whole runs of a group run at most so many at a time', async () => {
    const began: string[] = [];
    const { run, store } = await startNoopRuns({
      work: async (_phase, _attempt, runId) => {
        began.push(runId);
        await sleep(30);
      },
    });
    const plans = Array.from({ length: 4 }, () => ({ ...noopPlan({ a: [], b: ['a'], c: ['b'] }), concurrency: GROUP }));
    await Promise.all(plans.map(run));
    // Three phases of one run, then three of the next.
    for (let index = 0; index < 12; index += 3) expect(new Set(began.slice(index, index + 3)).size).toBe(1);
    expect((await store.getRun(plans[0]?.runId ?? '')).status).toBe('passed');
  });
});

describe('whoever waits for a place gets it', { timeout: 60_000 }, () => {
  /** A run that holds the place of the group, and one that waits for it. */
  async function heldAndWaiting(ms = 60_000) {
    const [holder, waiter] = deploys(2);
    const fleet = await startNoopRuns({
      work: async (_phase, _attempt, runId) => {
        if (runId === holder?.runId) await sleep(ms, undefined, { ref: false });
      },
    });
    if (holder === undefined || waiter === undefined) throw new Error('two runs');
    await fleet.add(holder);
    await expect.poll(async () => (await fleet.store.getPhase(holder.runId, 'deploy')).status).toBe('running');
    await fleet.add(waiter);
    const groups = new ConcurrencyGroups(fleet.redis, fleet.at.prefix);
    await expect.poll(async () => (await groups.members('deploy')).waiters).toHaveLength(1);
    await sleep(300);
    expect((await fleet.store.getPhase(waiter.runId, 'deploy')).status).toBe('waiting');
    return { ...fleet, holder, waiter, groups };
  }

  test('when the run that holds it is cancelled', async () => {
    const { target, holder, waiter, endOf, groups } = await heldAndWaiting();
    await cancelRun(target, holder.runId, 'by hand');
    expect(await endOf(waiter)).toBe('passed');
    await expect.poll(() => groups.members('deploy'), { timeout: 15_000 }).toEqual({ holders: [], waiters: [] });
  });

  test('when the run that holds it is gone from Redis altogether', async () => {
    const { redis, at, holder, waiter, endOf } = await heldAndWaiting();
    await redis.del(...allRunKeys(at.prefix, holder.runId));
    expect(await endOf(waiter)).toBe('passed');
  });

  test('and not before the phase that holds it has ended, though its worker was killed', async () => {
    const at = testRedis();
    const [holder, waiter] = deploys(2);
    if (holder === undefined || waiter === undefined) throw new Error('two runs');
    const { child } = await childModule(`
      import { connectRedis } from '../../src/shared/redis.ts';
      import { startFleet } from '../../src/workers/fleet.ts';
      import { noopContext, noopHandlers } from './noop-handlers.ts';
      (async () => {
        const redis = await connectRedis(${JSON.stringify(at.url)}, 'worker');
        const ctx = noopContext({ redis, redisUrl: ${JSON.stringify(at.url)}, prefix: ${JSON.stringify(at.prefix)}, home: '/tmp' });
        await startFleet(ctx, { personas: ['noop'], gates: false, concurrency: 1 }, noopHandlers({
          work: () => new Promise(() => setInterval(() => {}, 1000)),
        }));
        console.log('ready');
      })();
    `);
    const redis = await at.connect();
    const store = new RunStore(redis, at.prefix);
    const target = { redis, prefix: at.prefix, store };
    await enqueueRun(target, holder);
    await expect.poll(async () => (await store.getPhase(holder.runId, 'deploy')).status).toBe('running');
    child.kill('SIGKILL');
    const log: string[] = [];
    const fleet = await startNoopRuns(
      {
        work: async (_phase, _attempt, runId) => {
          log.push(`${runId}+`);
          await sleep(500);
          log.push(`${runId}-`);
        },
      },
      at,
    );
    await enqueueRun(target, waiter);
    expect(await fleet.endOf(waiter)).toBe('passed');
    expect(await fleet.endOf(holder)).toBe('passed');
    expect(log).toEqual([`${holder.runId}+`, `${holder.runId}-`, `${waiter.runId}+`, `${waiter.runId}-`]);
  });

  test('when the run before it in the line is paused, which gets its place when it goes on', async () => {
    const { target, holder, waiter, add, endOf, store } = await heldAndWaiting(3_000);
    const [behind] = deploys(1);
    if (behind === undefined) throw new Error('a run');
    await add(behind);
    await pauseRun(target, waiter.runId, 'by hand');
    expect(await endOf(holder)).toBe('passed');
    expect(await endOf(behind)).toBe('passed');
    expect((await store.getPhase(waiter.runId, 'deploy')).status).toBe('waiting');
    await unpauseRun(target, waiter.runId);
    expect(await endOf(waiter)).toBe('passed');
  });

  test('when nobody woke it: it looks for itself', async () => {
    const { groups, holder, waiter, endOf, store } = await heldAndWaiting();
    // The place is given back behind everybody's back, so that no job is woken.
    await groups.release('deploy', { holders: [`${holder.runId}.g0/deploy`], limit: 1 });
    const began = performance.now();
    expect(await endOf(waiter)).toBe('passed');
    expect(performance.now() - began).toBeLessThan(50_000);
    expect((await store.getRun(holder.runId)).status).toBe('running');
  });
});
