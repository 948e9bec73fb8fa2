import { expect, test } from 'vitest';
import { resumeRun } from '../../src/producer/resume.ts';
import { cancelRun } from '../../src/producer/run-control.ts';
import { archiveRun } from '../../src/shared/archive-run.ts';
import { ArchiveIndex } from '../../src/shared/archive-index.ts';
import { RunArchive } from '../../src/shared/archive.ts';
import type { BlobStore } from '../../src/shared/blob-store.ts';
import { type RunId, newRunId } from '../../src/shared/names.ts';
import { openBlobStore } from '../../src/shared/open-blob-store.ts';
import type { Redis } from '../../src/shared/redis.ts';
import { RunStore } from '../../src/shared/run-store.ts';
import { movePhase, moveRun } from '../../src/shared/transitions.ts';
import { finishRun, planOf } from '../producer/seed-run.ts';
import { noopPlan } from '../support/noop-fleet.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { testRedis } from '../support/test-redis.ts';

interface Kept {
  redis: Redis;
  prefix: string;
  blobs: BlobStore;
  store: RunStore;
  keys(): Promise<string[]>;
}

/** A store whose archive has small pages, so that a few runs already make a tree of three levels. */
async function keptStore(wrap: (blobs: BlobStore) => BlobStore = (blobs) => blobs): Promise<Kept> {
  const own = testRedis();
  const { prefix } = own;
  const redis = await own.connect();
  const blobs = wrap(openBlobStore(await tempFolder()));
  const index = new ArchiveIndex(redis, prefix, blobs, { entries: 5, nodes: 3 });
  const store = new RunStore(redis, prefix, new RunArchive(redis, prefix, blobs, index));
  return { redis, prefix, blobs, store, keys: async () => (await redis.keys(`${prefix}:*`)).toSorted() };
}

async function endedRun(store: RunStore, status: 'passed' | 'failed' = 'passed'): Promise<RunId> {
  const plan = noopPlan({ a: [] });
  await store.createRun(plan);
  await movePhase(store, plan.runId, 'a', 'running');
  await movePhase(store, plan.runId, 'a', status, { reason: status });
  await moveRun(store, plan.runId, status, { reason: status });
  return plan.runId;
}

/** Another program that sees the same Redis and blobs, and remembers nothing. */
const another = ({ redis, prefix, blobs }: Kept): RunStore =>
  new RunStore(redis, prefix, new RunArchive(redis, prefix, blobs));

test('an archived run reads as it did, and leaves no key of its own in Redis', async () => {
  const kept = await keptStore();
  const { store, redis, prefix } = kept;
  const plan = planOf(['requirements', 'design']);
  await store.createRun(plan);
  const { runId } = plan;
  await store.recordApproval(runId, {
    phase: 'design',
    role: 'tech_lead',
    round: 0,
    by: 'Ann',
    decision: 'approved',
    note: '',
    at: new Date().toISOString(),
    simulated: false,
  });
  await finishRun(store, runId, ['requirements', 'design']);
  await redis.hset(`${prefix}:maestro:run:${runId}:account`, 'spentTokens', '7');
  const everything = async (from: RunStore): Promise<unknown[]> => [
    await from.getRun(runId),
    await from.getPlan(runId),
    await from.getPhases(runId),
    await from.getPhase(runId, 'design'),
    await from.getApprovals(runId),
    await from.readEvents(runId, 0),
    await from.readEvents(runId, 3, { count: 2 }),
    await from.listRuns({ limit: 5 }),
  ];
  const before = await everything(store);
  expect(await archiveRun(store, runId)).toBe(true);
  expect((await kept.keys()).filter((key) => key.includes(runId))).toEqual([]);
  expect(await everything(another(kept))).toEqual(before);
  expect((await store.archive?.find(runId))?.hashes.account).toEqual({ spentTokens: '7' });
});

test('a run that has not ended is not archived', async () => {
  const { store } = await keptStore();
  const plan = noopPlan({ a: [] });
  await store.createRun(plan);
  expect(await archiveRun(store, plan.runId)).toBe(false);
  expect((await store.getRun(plan.runId)).status).toBe('queued');
});

test('an archived run is not changed, not started again, and says so', async () => {
  const kept = await keptStore();
  const { store } = kept;
  const plan = noopPlan({ a: [] });
  await store.createRun(plan);
  await movePhase(store, plan.runId, 'a', 'running');
  await movePhase(store, plan.runId, 'a', 'passed');
  await moveRun(store, plan.runId, 'passed');
  await archiveRun(store, plan.runId);
  expect(await cancelRun(kept, plan.runId, 'late')).toBe(false);
  expect(await store.createRun(plan)).toBe(false);
  const event = { type: 'run.status', status: 'running', reason: '' } as const;
  await expect(resumeRun(kept, plan.runId, { takeUp: { kind: 'from', phase: 'a' } })).rejects.toThrow(/is archived/);
  await expect(store.append(plan.runId, [event])).rejects.toThrow(/archived: it can be read, and not be changed/);
  await expect(store.append(newRunId(), [event])).rejects.toThrow(/there is no run/);
  expect((await kept.keys()).filter((key) => key.includes(plan.runId))).toEqual([]);
});

test('many archived runs are found and listed through a tree of pages, and Redis holds a few keys', async () => {
  const kept = await keptStore();
  const { store } = kept;
  const ids: RunId[] = [];
  for (let number = 0; number < 60; number += 1)
    ids.push(await endedRun(store, number % 10 === 3 ? 'failed' : 'passed'));
  // Not in the order they were made: the longest that ended last.
  for (const id of [...ids.slice(30), ...ids.slice(0, 28)]) {
    expect(await archiveRun(store, id)).toBe(true);
    await store.archive?.index.seal();
  }
  const reader = another(kept);
  for (const id of ids) expect((await reader.getRun(id)).runId).toBe(id);
  await expect(reader.getRun(newRunId())).rejects.toThrow(/there is no run/);
  const listed: string[] = [];
  for (let before: RunId | null | undefined; before !== null;) {
    const page = await reader.listRuns({ limit: 11, ...(before === undefined ? {} : { before }) });
    listed.push(...page.runs.map((run) => run.runId));
    before = page.next;
  }
  expect(listed).toEqual(ids.toReversed());
  const failed = await reader.listRuns({ limit: 50, statuses: ['failed', 'running'] });
  expect(failed.runs.map((run) => run.runId)).toEqual(ids.filter((_, at) => at % 10 === 3).toReversed());
  expect(await reader.archive?.counts()).toEqual({ passed: 52, failed: 6 });
  expect(await kept.redis.hlen(`${kept.prefix}:maestro:archive:open`)).toBeLessThan(5);
  expect(await kept.redis.hlen(`${kept.prefix}:maestro:archive:nodes`)).toBeLessThan(6);
});

test('whoever dies before the last step has lost nothing, and the run is archived once all the same', async () => {
  let dies = false;
  const kept = await keptStore((blobs) => ({
    location: blobs.location,
    get: (ref) => blobs.get(ref),
    has: (ref) => blobs.has(ref),
    put: async (bytes) => {
      const ref = await blobs.put(bytes);
      if (dies) throw new Error('killed');
      return ref;
    },
  }));
  const { store } = kept;
  const ids: RunId[] = [];
  for (let number = 0; number < 6; number += 1) ids.push(await endedRun(store));
  const before = await kept.keys();
  dies = true;
  await expect(archiveRun(store, ids[0] ?? '')).rejects.toThrow('killed');
  expect(await kept.keys()).toEqual(before);
  dies = false;
  const tried = await Promise.all([...ids, ...ids].map((id) => archiveRun(store, id).catch(() => false)));
  expect(tried.filter(Boolean)).toHaveLength(6);
  dies = true;
  await expect(store.archive?.index.seal()).rejects.toThrow('killed');
  expect((await another(kept).listRuns({ limit: 9 })).runs.map((run) => run.runId)).toEqual(ids.toReversed());
  dies = false;
  await Promise.all([store.archive?.index.seal(), store.archive?.index.seal()]);
  expect((await another(kept).listRuns({ limit: 9 })).runs.map((run) => run.runId)).toEqual(ids.toReversed());
  expect(await store.archive?.counts()).toEqual({ passed: 6 });
});

test('a run that is written to while it is archived stays, with what was written', async () => {
  const kept = await keptStore();
  const { store } = kept;
  const runId = await endedRun(store);
  const event = { type: 'run.status', status: 'passed', reason: 'written meanwhile' } as const;
  const archived = await store.archive?.add(runId, () => ({
    entry: { runId, workflow: 'noop', status: 'passed', run: {} },
    changes: [],
  }));
  expect(archived).toBe(true);
  const second = await endedRun(store);
  const slow = new RunArchive(kept.redis, kept.prefix, {
    ...kept.blobs,
    location: kept.blobs.location,
    get: (ref) => kept.blobs.get(ref),
    has: (ref) => kept.blobs.has(ref),
    put: async (bytes) => {
      await store.append(second, [event]);
      return kept.blobs.put(bytes);
    },
  });
  expect(await archiveRun(new RunStore(kept.redis, kept.prefix, slow), second)).toBe(false);
  expect((await store.readEvents(second, 0)).at(-1)).toMatchObject({ reason: 'written meanwhile' });
  expect(await archiveRun(store, second)).toBe(true);
});

test('a page that somebody else has written meanwhile is not written again', async () => {
  let meanwhile: (() => Promise<void>) | undefined;
  const kept = await keptStore((blobs) => ({
    location: blobs.location,
    get: (ref) => blobs.get(ref),
    has: (ref) => blobs.has(ref),
    put: async (bytes) => {
      const act = meanwhile;
      meanwhile = undefined;
      await act?.();
      return blobs.put(bytes);
    },
  }));
  const { store } = kept;
  for (let number = 0; number < 5; number += 1) await archiveRun(store, await endedRun(store));
  const late = await endedRun(store);
  meanwhile = async () => {
    await archiveRun(store, late);
    await store.archive?.index.seal();
  };
  await store.archive?.index.seal();
  expect(await kept.redis.hlen(`${kept.prefix}:maestro:archive:nodes`)).toBe(1);
  expect((await another(kept).listRuns({ limit: 9 })).runs).toHaveLength(6);
});
