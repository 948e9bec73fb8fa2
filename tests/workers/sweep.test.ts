import type { Job } from 'bullmq';
import { afterEach, describe, expect, onTestFinished, test } from 'vitest';
import { enqueueRun } from '../../src/producer/enqueue.ts';
import { pauseRun } from '../../src/producer/run-control.ts';
import { jobIds } from '../../src/shared/names.ts';
import { type RunPlan, TERMINAL_RUN } from '../../src/shared/run-record.ts';
import { movePhase } from '../../src/shared/transitions.ts';
import { QueuePool } from '../../src/workers/queue-pool.ts';
import { sweepRun } from '../../src/workers/sweep-runs.ts';
import { type NoopFleet, noopPlan, startNoopFleet } from '../support/noop-fleet.ts';
import { noopContext } from '../support/noop-handlers.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { type TestRedis, testRedis } from '../support/test-redis.ts';

const open: NoopFleet[] = [];
afterEach(async () => {
  for (const { fleet } of open.splice(0)) await fleet.close(500);
});

/** A queued run with nobody to work on it, and a sweep that is patient with nothing. */
async function queued(needs: Record<string, string[]>, overrides: Parameters<typeof noopPlan>[1] = {}) {
  const at = testRedis();
  const redis = await at.connect();
  const ctx = noopContext({ redis, redisUrl: at.url, prefix: at.prefix, home: await tempFolder() });
  const queues = new QueuePool(ctx);
  onTestFinished(() => queues.close());
  const plan = noopPlan(needs, overrides);
  const target = { redis, prefix: at.prefix, store: ctx.store };
  await enqueueRun(target, plan);
  const sweep = (limits = { quietMs: 0, stuckAfterMs: 0 }) => sweepRun(ctx, queues, plan.runId, limits);
  return { at, ctx, queues, plan, target, sweep, take: { runId: plan.runId, generation: 0 } };
}

async function work(at: TestRedis, behaviour: Parameters<typeof startNoopFleet>[1] = {}): Promise<NoopFleet> {
  const fleet = await startNoopFleet(at, behaviour);
  open.push(fleet);
  return fleet;
}

/** All of a queue is gone from Redis, as after somebody cleaned up by hand, or a backup that was too old. */
async function wipe({ at, target }: Pick<Queued, 'at' | 'target'>, queue: string): Promise<void> {
  await target.redis.unlink(await target.redis.keys(`${at.prefix}:${queue}:*`));
}

type Queued = Awaited<ReturnType<typeof queued>>;
const standing = async ({ ctx, plan }: { ctx: Queued['ctx']; plan: RunPlan }) => {
  const { status, reason } = await ctx.store.getRun(plan.runId);
  const phases = await ctx.store.getPhases(plan.runId);
  return { status, reason, phases: Object.fromEntries(phases.map((phase) => [phase.phase, phase.status])) };
};
const ended = (of: Queued): Promise<void> =>
  expect.poll(async () => TERMINAL_RUN.includes((await standing(of)).status), { timeout: 20_000 }).toBe(true);

const CHAIN = { a: [], b: ['a'], c: ['b'], alone: [] };

describe('what can no longer end by itself is named and ended', () => {
  test('a run whose own job is gone has failed, and so have its phases', async () => {
    const of = await queued(CHAIN);
    await wipe(of, 'runs');
    await of.sweep({ quietMs: 60_000, stuckAfterMs: 0 });
    expect((await standing(of)).status).toBe('queued');
    await of.sweep();
    const { status, reason, phases } = await standing(of);
    expect([status, reason]).toEqual(['failed', "the run's own job is no longer in the queue"]);
    expect(new Set(Object.values(phases))).toEqual(new Set(['not_started']));
    await of.sweep();
    const events = await of.ctx.store.readEvents(of.plan.runId, 0);
    expect(events.filter((event) => event.type === 'run.finished')).toHaveLength(1);
  });

  test('persona jobs that were wiped out: their phases fail by name, and the rest of the run ends', async () => {
    const of = await queued(CHAIN);
    await wipe(of, 'persona.noop');
    await of.sweep();
    await work(of.at);
    await ended(of);
    const { status, reason, phases } = await standing(of);
    expect(status).toBe('failed');
    expect(reason).toContain(
      `its job ${jobIds.work(of.take, 'alone', 'noop', 0)} is no longer in the queue persona.noop`,
    );
    expect(phases).toMatchObject({ alone: 'failed', c: 'failed' });
  });

  test('gate jobs that were wiped out', async () => {
    const of = await queued(CHAIN);
    await wipe(of, 'gates');
    await of.sweep();
    await work(of.at);
    await ended(of);
    const { status, reason } = await standing(of);
    expect(status).toBe('failed');
    expect(reason).toContain(`its job ${jobIds.gate(of.take, 'c')} is no longer in the queue gates`);
  });

  test('a single job that vanished from Redis ends its phase and what needs it, and nothing else', async () => {
    const of = await queued(CHAIN);
    const { redis } = of.target;
    const queue = of.queues.get('persona.noop');
    const id = jobIds.work(of.take, 'a', 'noop', 0);
    await redis.lrem(`${of.at.prefix}:persona.noop:wait`, 0, id);
    await redis.unlink(`${of.at.prefix}:persona.noop:${id}`);
    expect(await queue.getJob(id)).toBeUndefined();
    const fleet = await work(of.at);
    await expect.poll(async () => (await standing(of)).phases['alone']).toBe('passed');
    expect((await standing(of)).status).toBe('running');
    await of.sweep();
    await ended(of);
    const { status, phases } = await standing(of);
    expect([status, phases]).toEqual(['failed', { a: 'failed', b: 'not_started', c: 'not_started', alone: 'passed' }]);
    expect(fleet.log).toEqual(['alone+', 'alone-']);
  });

  test('a link between phases that was wiped out', async () => {
    const of = await queued({ a: [], b: ['a'], c: ['a'] });
    await wipe(of, 'edges');
    await of.sweep();
    await work(of.at);
    await ended(of);
    const { status, reason } = await standing(of);
    expect(status).toBe('failed');
    expect(reason).toContain('is no longer in the queue edges');
  });

  test('jobs that somebody obliterated by hand are done again, or their run ends', async () => {
    const of = await queued(CHAIN);
    await of.queues.get('persona.noop').obliterate({ force: true });
    await work(of.at);
    await ended(of);
    expect((await standing(of)).phases['alone']).toBe('passed');
  });

  test('a persona job that somebody removed by hand is done again, or its run ends', async () => {
    const of = await queued(CHAIN);
    const job: Job | undefined = await of.queues.get('persona.noop').getJob(jobIds.work(of.take, 'b', 'noop', 0));
    await job?.remove();
    await work(of.at);
    await ended(of);
    expect((await standing(of)).phases['alone']).toBe('passed');
  });

  test('work that never comes to an end is ended when its time is over, and the run goes on', async () => {
    const of = await queued({ a: [], b: ['a'], alone: [] }, { timeoutMs: 1_000 });
    const fleet = await work(of.at, {
      work: (phase) => (phase === 'a' ? new Promise<void>(() => undefined) : undefined),
    });
    await expect.poll(() => fleet.log.includes('a+') && fleet.log.includes('alone-')).toBe(true);
    await of.sweep();
    expect((await standing(of)).phases['a']).toBe('running');
    await new Promise((resolve) => setTimeout(resolve, 1_200));
    await of.sweep({ quietMs: 0, stuckAfterMs: 60_000 });
    expect((await standing(of)).phases['a']).toBe('running');
    await of.sweep();
    await ended(of);
    const { reason, phases } = await standing(of);
    expect(reason).toMatch(/^a: no progress for \d s \(\w+\.a\.noop\.r0 is active\)/);
    expect(phases).toEqual({ a: 'failed', b: 'not_started', alone: 'passed' });
  });
});

describe('what only waits is left alone', () => {
  test('a run that no worker has touched', async () => {
    const of = await queued(CHAIN);
    await of.sweep();
    expect((await standing(of)).status).toBe('queued');
  });

  test('a phase that waits for a person', async () => {
    const of = await queued(CHAIN, { timeoutMs: 1 });
    for (const status of ['running', 'awaiting_approval'] as const)
      await movePhase(of.ctx.store, of.plan.runId, 'a', status);
    const before = await standing(of);
    await of.sweep();
    expect(await standing(of)).toEqual(before);
  });

  test('a paused run, also when its work takes longer than it may', async () => {
    const of = await queued({ a: [] }, { timeoutMs: 1 });
    const fleet = await work(of.at, { work: () => new Promise((resolve) => setTimeout(resolve, 1_000)) });
    await expect.poll(() => fleet.log.includes('a+')).toBe(true);
    await pauseRun(of.target, of.plan.runId, 'lunch');
    await of.sweep();
    expect((await standing(of)).phases['a']).toBe('running');
  });

  test('a phase whose next attempt waits for a worker', async () => {
    const of = await queued({ a: [] }, { timeoutMs: 1 });
    await movePhase(of.ctx.store, of.plan.runId, 'a', 'running');
    await new Promise((resolve) => setTimeout(resolve, 50));
    await of.sweep();
    expect((await standing(of)).phases['a']).toBe('running');
  });
});

test('a fleet sweeps by itself', async () => {
  const of = await queued(CHAIN);
  await wipe(of, 'runs');
  const { redis } = of.target;
  // As if it had happened some minutes ago: a log that grew lately keeps the sweep away.
  const key = `${of.at.prefix}:maestro:run:${of.plan.runId}:events`;
  await redis.del(key);
  await redis.xadd(
    key,
    '1-0',
    'event',
    JSON.stringify({ type: 'run.queued', workflow: 'noop', simulated: true, at: '2020-01-01T00:00:00.000Z' }),
  );
  await work(of.at, { personas: [] });
  await ended(of);
  expect((await standing(of)).reason).toContain("the run's own job is no longer in the queue");
});
