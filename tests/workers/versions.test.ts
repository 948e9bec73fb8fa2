import { type Job, Queue, Worker } from 'bullmq';
import { afterEach, expect, onTestFinished, test } from 'vitest';
import { enqueueRun } from '../../src/producer/enqueue.ts';
import { PutBackLog } from '../../src/shared/put-back.ts';
import { connectRedis } from '../../src/shared/redis.ts';
import { TERMINAL_RUN } from '../../src/shared/run-record.ts';
import { type NoopFleet, noopPlan, startNoopFleet } from '../support/noop-fleet.ts';
import { testRedis } from '../support/test-redis.ts';

const open: NoopFleet[] = [];
afterEach(async () => {
  for (const { fleet } of open.splice(0)) await fleet.close(500);
});

test('a job of a version that a worker does not know is put back at no cost, named, and done by one that knows it', async () => {
  const at = testRedis();
  const redis = await at.connect();
  const queue = new Queue('persona.noop', { connection: redis, prefix: at.prefix });
  onTestFinished(() => queue.close());
  const older = await startNoopFleet(at);
  open.push(older);
  const { runId } = noopPlan({ a: [] });
  const data = { schemaVersion: 2, runId, generation: 0, phase: 'a', new: 'field' };
  const job: Job = await queue.add('a: noop', data, { jobId: `${runId}.a.noop.r0`, attempts: 1 });
  await expect.poll(() => job.getState()).toBe('delayed');
  const log = new PutBackLog(redis, at.prefix);
  const named = {
    queue: 'persona.noop',
    jobId: job.id,
    reason: `job ${job.id} has schema version 2; this maestro knows version 1`,
  };
  expect(await log.recent()).toEqual([named]);
  const back = await queue.getJob(String(job.id));
  expect([back?.attemptsMade, back?.failedReason]).toEqual([0, undefined]);
  expect(back?.delay).toBeGreaterThan(10_000);

  // Both versions consume the queue: each time the older one meets the job, it puts it back again.
  const done: unknown[] = [];
  const connection = await connectRedis(at.url, 'worker');
  const newer = new Worker('persona.noop', (taken) => Promise.resolve(done.push(taken.data)), {
    connection,
    prefix: at.prefix,
  });
  onTestFinished(async () => {
    await newer.close();
    connection.disconnect();
  });
  await newer.waitUntilReady();
  await expect
    .poll(
      async () => {
        const parked = await queue.getJob(String(job.id));
        if ((await parked?.isDelayed()) === true) await parked?.promote().catch(() => undefined);
        return done;
      },
      { timeout: 20_000, interval: 100 },
    )
    .toEqual([data]);
  expect(await job.getState()).toBe('completed');
});

test('a run whose plan another version made waits for it, whatever queue its jobs are in', async () => {
  const at = testRedis();
  const redis = await at.connect();
  const fleet = await startNoopFleet(at, { personas: [] });
  open.push(fleet);
  const { store } = fleet;
  const plan = noopPlan({ a: [], b: ['a'] }, { attempts: 1 });
  await enqueueRun({ redis, prefix: at.prefix, store }, plan);
  const key = `${at.prefix}:maestro:run:${plan.runId}`;
  const [known, record] = await redis.hmget(key, 'plan', 'run');
  await redis.hset(key, { plan: JSON.stringify({ ...plan, schemaVersion: 2, more: true }), run: '{"new":"form"}' });
  await expect(store.getPlan(plan.runId)).rejects.toThrow(
    `run ${plan.runId} has schema version 2; this maestro knows version 1`,
  );
  expect(await store.listRuns({ limit: 5 })).toEqual({ runs: [], next: null, unreadable: [plan.runId] });
  open.push(await startNoopFleet(at));
  const work = new Queue('persona.noop', { connection: redis, prefix: at.prefix });
  onTestFinished(() => work.close());
  const id = `${plan.runId}.a.noop.r0`;
  await expect.poll(async () => (await work.getJob(id))?.getState()).toBe('delayed');
  expect((await work.getJob(id))?.attemptsMade).toBe(0);
  expect((await new PutBackLog(redis, at.prefix).recent()).map((put) => put.jobId)).toEqual([id]);
  // The version that knows the run is back.
  await redis.hset(key, { plan: known ?? '', run: record ?? '' });
  await (await work.getJob(id))?.promote();
  await expect.poll(async () => TERMINAL_RUN.includes((await store.getRun(plan.runId)).status)).toBe(true);
  expect((await store.getRun(plan.runId)).status).toBe('passed');
});
