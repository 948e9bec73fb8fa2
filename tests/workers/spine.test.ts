import { QueueEvents } from 'bullmq';
import { afterEach, describe, expect, onTestFinished, test } from 'vitest';
import { buildFlow, countJobs, firstTake } from '../../src/producer/flow.ts';
import { enqueueRun } from '../../src/producer/enqueue.ts';
import { connectRedis } from '../../src/shared/redis.ts';
import { FleetError } from '../../src/shared/errors.ts';
import type { RunId } from '../../src/shared/names.ts';
import { TERMINAL_RUN } from '../../src/shared/run-record.ts';
import type { RunStore } from '../../src/shared/run-store.ts';
import { cancelRun } from '../../src/producer/run-control.ts';
import { type NoopFleet, noopPlan, startNoopFleet } from '../support/noop-fleet.ts';
import { cutProxy } from '../support/cut-proxy.ts';
import { type TestRedis, testRedis } from '../support/test-redis.ts';

const DEMO = {
  requirements: [],
  design: ['requirements'],
  backend: ['design'],
  frontend: ['design'],
  testing: ['backend', 'frontend'],
  review: ['testing'],
};

const open: NoopFleet[] = [];
afterEach(async () => {
  for (const { fleet } of open.splice(0)) await fleet.close(2_000);
});

async function start(
  behaviour: Parameters<typeof startNoopFleet>[1] = {},
): Promise<NoopFleet & { prefix: string; at: TestRedis }> {
  const at = testRedis();
  const fleet = await startNoopFleet(at, behaviour);
  open.push(fleet);
  return { ...fleet, prefix: at.prefix, at };
}

const ended = (store: RunStore, runId: RunId): Promise<void> =>
  expect
    .poll(async () => TERMINAL_RUN.includes((await store.getRun(runId)).status), { timeout: 30_000, interval: 50 })
    .toBe(true);

const statuses = async (store: RunStore, runId: RunId): Promise<Record<string, string>> =>
  Object.fromEntries((await store.getPhases(runId)).map((phase) => [phase.phase, phase.status]));

describe('a run as a flow', () => {
  test('a diamond costs one fan job and one edge job beside its phases', () => {
    const plan = noopPlan(DEMO);
    const flow = buildFlow(plan, firstTake(plan));
    // A run job, a gate and a persona job for each of six phases, one fan and one edge for the extra dependent of design.
    expect(countJobs(flow)).toBe(1 + 6 * 2 + 2);
  });

  test('every phase of a diamond runs once, after all it needs', async () => {
    const { store, redis, prefix, log } = await start();
    const plan = noopPlan(DEMO);
    await enqueueRun({ redis, prefix, store }, plan);
    await ended(store, plan.runId);
    expect((await store.getRun(plan.runId)).status).toBe('passed');
    for (const [phase, needs] of Object.entries(DEMO)) {
      expect(log.filter((entry) => entry === `${phase}+`)).toHaveLength(1);
      for (const need of needs) expect(log.indexOf(`${need}-`)).toBeLessThan(log.indexOf(`${phase}+`));
    }
  });

  test('phases that need the same phase overlap', async () => {
    const { store, redis, prefix, log } = await start({
      work: () => new Promise((resolve) => setTimeout(resolve, 300)),
    });
    const plan = noopPlan(DEMO);
    await enqueueRun({ redis, prefix, store }, plan);
    await ended(store, plan.runId);
    expect(Math.max(log.indexOf('backend+'), log.indexOf('frontend+'))).toBeLessThan(
      Math.min(log.indexOf('backend-'), log.indexOf('frontend-')),
    );
  });

  test('parts that hang together in nothing all run', async () => {
    const { store, redis, prefix } = await start();
    const plan = noopPlan({ a: [], b: ['a'], c: [], d: ['c'], e: [] });
    await enqueueRun({ redis, prefix, store }, plan);
    await ended(store, plan.runId);
    expect(await statuses(store, plan.runId)).toEqual({
      a: 'passed',
      b: 'passed',
      c: 'passed',
      d: 'passed',
      e: 'passed',
    });
  });

  test('enqueuing a run again adds nothing, before and after it ended', async () => {
    const { store, redis, prefix, log } = await start();
    const plan = noopPlan(DEMO);
    const target = { redis, prefix, store };
    await Promise.all([enqueueRun(target, plan), enqueueRun(target, plan), enqueueRun(target, plan)]);
    await ended(store, plan.runId);
    await enqueueRun(target, plan);
    expect(log.filter((entry) => entry.endsWith('+'))).toHaveLength(6);
    const finished = (await store.readEvents(plan.runId, 0)).filter((event) => event.type === 'run.finished');
    expect(finished).toHaveLength(1);
  });
});

describe('a phase that does not pass', () => {
  test('blocks its dependents, lets the rest finish, and is a failed job in the queue', async () => {
    const { store, redis, prefix, log, at } = await start({ verdicts: { backend: 'blocked' } });
    const plan = noopPlan(DEMO);
    const events = new QueueEvents('gates', { connection: await connectRedis(at.url, 'worker'), prefix });
    const failed: string[] = [];
    events.on('failed', ({ jobId, failedReason }) => failed.push(`${jobId.split('.')[1]} ${failedReason}`));
    await events.waitUntilReady();
    await enqueueRun({ redis, prefix, store }, plan);
    await ended(store, plan.runId);
    expect(await statuses(store, plan.runId)).toEqual({
      requirements: 'passed',
      design: 'passed',
      backend: 'blocked',
      frontend: 'passed',
      testing: 'not_started',
      review: 'not_started',
    });
    expect((await store.getRun(plan.runId)).status).toBe('blocked');
    expect(log).not.toContain('testing+');
    await expect.poll(() => failed).toContain('backend blocked: told to be blocked');
    await events.close();
  });

  test('names every blocked phase, not only the first', async () => {
    const { store, redis, prefix } = await start({ verdicts: { backend: 'blocked', frontend: 'blocked' } });
    const plan = noopPlan(DEMO);
    await enqueueRun({ redis, prefix, store }, plan);
    await ended(store, plan.runId);
    expect((await store.getRun(plan.runId)).reason).toBe('backend: told to be blocked; frontend: told to be blocked');
  });

  test('a persona that fails in all its attempts fails the run with its reason', async () => {
    const { store, redis, prefix, log } = await start({
      work: (phase) => {
        if (phase === 'design') throw new Error('the disk is on fire');
      },
    });
    const plan = noopPlan(DEMO, { attempts: 2 });
    await enqueueRun({ redis, prefix, store }, plan);
    await ended(store, plan.runId);
    const run = await store.getRun(plan.runId);
    expect(run.status).toBe('failed');
    expect(run.reason).toContain('the disk is on fire');
    expect(log.filter((entry) => entry === 'design+')).toHaveLength(2);
    expect((await statuses(store, plan.runId))['backend']).toBe('not_started');
  });
});

test('a gate that cannot be judged in any attempt fails its phase, with the reason', async () => {
  const { store, redis, prefix } = await start({
    judge: (phase) => {
      if (phase === 'design') throw new FleetError('SANDBOX_UNAVAILABLE', 'there is no sandbox');
    },
  });
  const plan = noopPlan(DEMO);
  await enqueueRun({ redis, prefix, store }, plan);
  await ended(store, plan.runId);
  const { status, reason } = await store.getRun(plan.runId);
  expect(status).toBe('failed');
  expect(reason).toBe('design: its gates could not be judged: SANDBOX_UNAVAILABLE: there is no sandbox');
});

test('a Redis that is away for some seconds costs time, and nothing else', async () => {
  const at = testRedis();
  const way = await cutProxy(at.url);
  onTestFinished(() => way.close());
  const fleet = await startNoopFleet(
    { ...at, url: way.url },
    { work: () => new Promise((resolve) => setTimeout(resolve, 400)) },
  );
  open.push(fleet);
  const { store, log } = fleet;
  const plan = noopPlan(DEMO);
  await enqueueRun({ redis: await at.connect(), prefix: at.prefix, store }, plan);
  await expect.poll(() => log.includes('design+')).toBe(true);
  await way.cut();
  await new Promise((resolve) => setTimeout(resolve, 4_000));
  await way.mend();
  await ended(store, plan.runId);
  expect((await store.getRun(plan.runId)).status).toBe('passed');
});

test('work that a stopping worker broke off is done by another, and costs no attempt', async () => {
  const { store, redis, prefix, at, fleet } = await start({
    work: () => new Promise((resolve) => setTimeout(resolve, 8_000)),
  });
  const plan = noopPlan({ a: [] }, { attempts: 1 });
  await enqueueRun({ redis, prefix, store }, plan);
  await expect.poll(async () => (await store.getPhase(plan.runId, 'a')).status).toBe('running');
  await fleet.close(100);
  open.push(await startNoopFleet(at));
  await ended(store, plan.runId);
  expect((await store.getRun(plan.runId)).status).toBe('passed');
});

test('a cancelled run starts nothing more and ends once', async () => {
  const { store, redis, prefix, log } = await start({ work: () => new Promise((resolve) => setTimeout(resolve, 200)) });
  const plan = noopPlan(DEMO);
  await enqueueRun({ redis, prefix, store }, plan);
  await expect.poll(() => log.includes('requirements+')).toBe(true);
  await cancelRun({ redis, prefix, store }, plan.runId, 'by hand');
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  expect(log.filter((entry) => entry.endsWith('+'))).toEqual(['requirements+']);
  expect((await store.getRun(plan.runId)).status).toBe('cancelled');
  expect((await store.readEvents(plan.runId, 0)).filter((event) => event.type === 'run.finished')).toHaveLength(1);
});

test('a job whose lock was lost can write nothing more', async () => {
  const { store } = await start();
  const plan = noopPlan({ a: [] });
  await store.createRun(plan);
  const stale = store.fence('persona.noop', 'no-such-job', 'old-token', 0);
  await expect(
    store.append(plan.runId, [{ type: 'run.status', status: 'running', reason: '' }], stale),
  ).rejects.toThrow(/another attempt/);
  expect(await store.readEvents(plan.runId, 1)).toEqual([]);
});
