import { afterEach, expect, test } from 'vitest';
import { listDead, redrive } from '../../src/producer/dead-letters.ts';
import { enqueueRun } from '../../src/producer/enqueue.ts';
import { cancelRun } from '../../src/producer/run-control.ts';
import { type RunPlan, TERMINAL_RUN } from '../../src/shared/run-record.ts';
import type { RunStore } from '../../src/shared/run-store.ts';
import { type NoopFleet, noopPlan, startNoopFleet } from '../support/noop-fleet.ts';
import { testRedis } from '../support/test-redis.ts';

const open: NoopFleet[] = [];
afterEach(async () => {
  for (const { fleet } of open.splice(0)) await fleet.close(500);
});

async function start(behaviour: Parameters<typeof startNoopFleet>[1] = {}) {
  const at = testRedis();
  const fleet = await startNoopFleet(at, behaviour);
  open.push(fleet);
  return { ...fleet, target: { redis: fleet.redis, prefix: at.prefix, store: fleet.store } };
}
const ended = (store: RunStore, { runId }: RunPlan): Promise<void> =>
  expect.poll(async () => TERMINAL_RUN.includes((await store.getRun(runId)).status), { timeout: 20_000 }).toBe(true);
const inMs = (ms: number): string => new Date(Date.now() + ms).toISOString();

test('a delayed run is queued until its time, and then all of it runs', async () => {
  const { target, store, log } = await start();
  const startAt = inMs(1_500);
  const plan = { ...noopPlan({ a: [], b: ['a'], c: ['a'], alone: [] }), startAt };
  await enqueueRun(target, plan);
  await new Promise((resolve) => setTimeout(resolve, 700));
  expect((await store.getRun(plan.runId)).status).toBe('queued');
  expect((await store.getPlan(plan.runId)).startAt).toBe(startAt);
  expect(log).toEqual([]);
  await ended(store, plan);
  const run = await store.getRun(plan.runId);
  expect(run.status).toBe('passed');
  expect(Date.parse(run.startedAt ?? '')).toBeGreaterThanOrEqual(Date.parse(startAt));
});

test('a delayed run that is cancelled never begins', async () => {
  const { target, store, log } = await start();
  const plan = { ...noopPlan({ a: [], b: ['a'] }), startAt: inMs(800) };
  await enqueueRun(target, plan);
  expect(await cancelRun(target, plan.runId, 'not today')).toBe(true);
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  expect(log).toEqual([]);
  expect((await store.getRun(plan.runId)).status).toBe('cancelled');
});

test('the same key gives the same run, whenever it is to start, and another request is refused', async () => {
  const { target, store } = await start();
  const ask = (inputs: RunPlan['inputs'], key = 'release-7') => {
    const plan = { ...noopPlan({ a: [] }, {}, { inputs }), startAt: inMs(60_000) };
    return enqueueRun(target, plan, { once: { key } });
  };
  const ids = await Promise.all([ask({ x: 1, y: 2 }), ask({ y: 2, x: 1 }), ask({ x: 1, y: 2 })]);
  expect(new Set(ids).size).toBe(1);
  expect((await store.listRuns({ limit: 10 })).runs).toHaveLength(1);
  await expect(ask({ x: 1, y: 3 })).rejects.toThrow('this idempotency key was used before with another request');
  expect(await ask({ x: 1, y: 3 }, 'release-8')).not.toBe(ids[0]);
});

test('whoever died after claiming a key leaves nothing that asking again does not mend', async () => {
  const { target, store, redis } = await start();
  const plan = noopPlan({ a: [] });
  await enqueueRun(target, plan, { once: { key: 'k' } });
  await ended(store, plan);
  // The claim alone is left, as after a death right after it.
  const claims = await redis.keys(`${target.prefix}:maestro:idempotency:*`);
  const others = (await redis.keys(`${target.prefix}:*${plan.runId}*`)).concat(
    await redis.keys(`${target.prefix}:maestro:runs:*`),
  );
  await redis.unlink(others);
  expect(claims).toHaveLength(1);
  const again = noopPlan({ a: [] });
  expect(await enqueueRun(target, again, { once: { key: 'k' } })).toBe(plan.runId);
  await ended(store, plan);
  expect((await store.getRun(plan.runId)).status).toBe('passed');
});

test('phases that failed for good are dead letters until their run is redriven, which runs them alone', async () => {
  let isBroken = true;
  const { target, store, log } = await start({
    work: (phase, _attempt, runId) => {
      if (phase === 'b' && isBroken) throw new Error(`the disk of ${runId.slice(-3)} is on fire`);
    },
  });
  const broken = [1, 2].map(() => noopPlan({ a: [], b: ['a'], c: ['b'] }, { attempts: 2 }));
  const fine = noopPlan({ a: [] });
  for (const plan of [...broken, fine]) await enqueueRun(target, plan);
  for (const plan of [...broken, fine]) await ended(store, plan);
  const newest = (broken[1] ?? fine).runId;
  const fault = {
    type: 'persona.fault',
    phase: 'b',
    persona: 'noop',
    round: 0,
    attempt: 2,
    message: 'no disk',
  } as const;
  await store.append(newest, [
    { ...fault, attempt: 1, final: false },
    { ...fault, final: true },
    { ...fault, phase: 'a', attempt: 7, final: true },
  ]);
  const dead = await listDead(store);
  expect(dead.map(({ runId, phase }) => [runId, phase])).toEqual(broken.map(({ runId }) => [runId, 'b']).toReversed());
  expect(dead[0]).toMatchObject({
    workflow: 'noop',
    runStatus: 'failed',
    simulated: true,
    attempts: 2,
    persona: 'noop',
    error: 'no disk',
  });
  expect(dead[0]?.reason).toContain('is on fire');
  expect(Date.parse(dead[0]?.at ?? '')).toBeGreaterThan(Date.now() - 60_000);

  isBroken = false;
  log.splice(0);
  const { resumed, refused } = await redrive(target, [...dead.map(({ runId }) => runId), fine.runId]);
  expect(resumed.map(({ runId, phases }) => [runId, phases])).toEqual(dead.map(({ runId }) => [runId, ['b', 'c']]));
  expect(refused.map(({ runId }) => runId)).toEqual([fine.runId]);
  for (const plan of broken) await ended(store, plan);
  expect(log.filter((entry) => entry.endsWith('+')).toSorted()).toEqual(['b+', 'b+', 'c+', 'c+']);
  expect(await listDead(store)).toEqual([]);
  expect((await store.index.counts()).passed).toBe(3);
});
