import { expect, test } from 'vitest';
import { RunStore } from '../../src/shared/run-store.ts';
import { movePhase, moveRun } from '../../src/shared/transitions.ts';
import { noopPlan } from '../support/noop-fleet.ts';
import { testRedis } from '../support/test-redis.ts';

const at = testRedis();

test('a run that another version stored is named, and the others are listed all the same', async () => {
  const redis = await at.connect();
  const store = new RunStore(redis, at.prefix);
  const [first, second] = [noopPlan({ a: [] }), noopPlan({ a: [] })];
  await store.createRun(first);
  await store.createRun(second);
  await redis.hset(`${at.prefix}:maestro:run:${first.runId}`, 'run', '{"from":"the future"}');
  const { runs, unreadable } = await store.listRuns({ limit: 10 });
  expect(runs.map((run) => run.runId)).toEqual([second.runId]);
  expect(unreadable).toEqual([first.runId]);
});

test('a run ends once, whoever ends it, and stays as it ended', async () => {
  const redis = await at.connect();
  const store = new RunStore(redis, at.prefix);
  const plan = noopPlan({ a: [] });
  await store.createRun(plan);
  const ends = (['passed', 'blocked', 'failed', 'cancelled'] as const).map((status) =>
    moveRun(store, plan.runId, status),
  );
  expect((await Promise.all(ends)).filter(Boolean)).toHaveLength(1);
  const finished = (await store.readEvents(plan.runId, 0)).filter((event) => event.type === 'run.finished');
  expect(finished).toHaveLength(1);
  expect(await moveRun(store, plan.runId, 'running')).toBe(false);
});

test('events are numbered without gaps, however many write at once', async () => {
  const redis = await at.connect();
  const store = new RunStore(redis, at.prefix);
  const plan = noopPlan({ a: [] });
  await store.createRun(plan);
  const event = { type: 'run.status', status: 'running', reason: '' } as const;
  await Promise.all(Array.from({ length: 50 }, () => store.append(plan.runId, [event, event])));
  const seqs = (await store.readEvents(plan.runId, 0)).map(({ seq }) => seq);
  expect(seqs).toEqual(Array.from({ length: 101 }, (_, index) => index + 1));
  expect((await store.readEvents(plan.runId, 99)).map(({ seq }) => seq)).toEqual([100, 101]);
});

test('a record that another process changed is changed from where it stands now', async () => {
  const [one, other] = [new RunStore(await at.connect(), at.prefix), new RunStore(await at.connect(), at.prefix)];
  const plan = noopPlan({ a: [] });
  await one.createRun(plan);
  await movePhase(one, plan.runId, 'a', 'running');
  await movePhase(other, plan.runId, 'a', 'running', { change: (record) => ({ ...record, round: 3 }) });
  await movePhase(one, plan.runId, 'a', 'running', { change: (record) => ({ ...record, commit: 'c0ffee' }) });
  expect(await one.getPhase(plan.runId, 'a')).toMatchObject({ round: 3, commit: 'c0ffee' });
  await movePhase(other, plan.runId, 'a', 'passed');
  expect(await movePhase(one, plan.runId, 'a', 'blocked')).toBe(false);
  expect(await one.getPhase(plan.runId, 'a')).toMatchObject({ status: 'passed' });
});
