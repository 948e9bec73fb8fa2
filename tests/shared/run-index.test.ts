import { expect, test } from 'vitest';
import type { RunId } from '../../src/shared/names.ts';
import type { RunPlan } from '../../src/shared/run-record.ts';
import { RunStore } from '../../src/shared/run-store.ts';
import { movePhase, moveRun } from '../../src/shared/transitions.ts';
import { noopPlan } from '../support/noop-fleet.ts';
import { testRedis } from '../support/test-redis.ts';

const at = (ids: readonly RunId[], index: number): RunId => {
  const id = ids[index];
  if (id === undefined) throw new Error('there are fewer runs');
  return id;
};

/** A store with runs of one phase, oldest first. */
async function storeWith(runs: number): Promise<{ store: RunStore; ids: RunId[]; reads: () => Promise<number> }> {
  const own = testRedis();
  const redis = await own.connect();
  const store = new RunStore(redis, own.prefix);
  const plans: RunPlan[] = Array.from({ length: runs }, () => noopPlan({ a: [] }));
  for (const plan of plans) await store.createRun(plan);
  const reads = async (): Promise<number> => {
    const stats = await redis.info('commandstats');
    return Number(/cmdstat_hgetall:calls=(\d+)/.exec(stats)?.[1] ?? 0);
  };
  return { store, ids: plans.map((plan) => plan.runId), reads };
}

test('runs are listed newest first by what they are, and pages neither repeat nor leave out a run', async () => {
  const { store, ids } = await storeWith(25);
  for (const id of ids.slice(0, 10)) await moveRun(store, id, 'passed');
  for (const id of ids.slice(10, 14)) await moveRun(store, id, 'running');
  const listed: string[] = [];
  for (let before: RunId | null | undefined; before !== null;) {
    const page = await store.listRuns({ limit: 7, ...(before === undefined ? {} : { before }) });
    listed.push(...page.runs.map((run) => run.runId));
    before = page.next;
  }
  expect(listed).toEqual(ids.toReversed());
  const passed = await store.listRuns({ limit: 50, statuses: ['passed'] });
  expect(passed.runs.map((run) => run.runId)).toEqual(ids.slice(0, 10).toReversed());
  const open = await store.listRuns({ limit: 50, statuses: ['queued', 'running'] });
  expect(open.runs.map((run) => run.runId)).toEqual(ids.slice(10).toReversed());
  expect((await store.listRuns({ limit: 50, workflow: 'another' })).runs).toEqual([]);
  expect((await store.listRuns({ limit: 50, workflow: 'noop' })).runs).toHaveLength(25);
});

test('a page begun before runs were added or changed goes on where it ended', async () => {
  const { store, ids } = await storeWith(6);
  const first = await store.listRuns({ limit: 3, statuses: ['queued'] });
  await moveRun(store, at(ids, 3), 'running');
  await store.createRun(noopPlan({ a: [] }));
  const second = await store.listRuns({ limit: 3, statuses: ['queued'], before: first.next ?? '' });
  expect([...first.runs, ...second.runs].map((run) => run.runId)).toEqual(ids.toReversed());
});

test('a filtered page reads the records of that page, and not of every run', async () => {
  const { store, ids, reads } = await storeWith(300);
  await moveRun(store, at(ids, 0), 'failed');
  const before = await reads();
  expect((await store.listRuns({ limit: 5, statuses: ['failed'] })).runs).toHaveLength(1);
  expect(await store.index.counts()).toMatchObject({ queued: 299, failed: 1, running: 0 });
  // One hash of phases per run that is shown.
  expect((await reads()) - before).toBeLessThan(5);
});

test('a phase that has failed is a dead letter, whoever else writes its record', async () => {
  const { store, ids } = await storeWith(2);
  const [first, second] = [at(ids, 0), at(ids, 1)];
  await movePhase(store, first, 'a', 'failed', { reason: 'the disk is on fire' });
  await movePhase(store, second, 'a', 'running');
  await movePhase(store, second, 'a', 'passed');
  expect(await store.index.dead()).toEqual([{ runId: first, phase: 'a' }]);
});
