import type { FlowJob } from 'bullmq';
import { expect, onTestFinished, test } from 'vitest';
import { enqueueRun } from '../../src/producer/enqueue.ts';
import { buildFlow, firstTake } from '../../src/producer/flow.ts';
import { ArchiveIndex } from '../../src/shared/archive-index.ts';
import { RunArchive } from '../../src/shared/archive.ts';
import { readConfig } from '../../src/shared/config.ts';
import { fleetLogKey } from '../../src/shared/fleet-log.ts';
import { silentLogger } from '../../src/shared/logger.ts';
import { newRunId } from '../../src/shared/names.ts';
import type { Redis } from '../../src/shared/redis.ts';
import { connectRedis } from '../../src/shared/redis.ts';
import { findRedis } from '../../src/shared/redis-server.ts';
import { TERMINAL_RUN } from '../../src/shared/run-record.ts';
import { RunStore } from '../../src/shared/run-store.ts';
import { startFleet } from '../../src/workers/fleet.ts';
import { QueuePool } from '../../src/workers/queue-pool.ts';
import { retireRuns } from '../../src/workers/retire-runs.ts';
import type { WorkerContext } from '../../src/workers/worker-context.ts';
import { noopPlan } from '../support/noop-fleet.ts';
import { noopContext, noopHandlers } from '../support/noop-handlers.ts';
import { tempFolder } from '../support/temp-folder.ts';

const PREFIX = '{kept}';
const never = new AbortController().signal;

/** A Redis that nobody else uses, so that what it holds can be measured. */
async function ownRedis(): Promise<{ redis: Redis; url: string; home: string }> {
  const home = await tempFolder();
  const { cache } = readConfig({ XDG_CACHE_HOME: process.env['XDG_CACHE_HOME'] }, home);
  const server = await findRedis({
    config: { redisUrl: undefined, home, cache },
    logger: silentLogger(),
    start: 'if-needed',
  });
  const redis = await connectRedis(server.url, 'worker');
  onTestFinished(async () => {
    redis.disconnect();
    await server.stop();
  });
  return { redis, url: server.url, home };
}

/** A worker process that keeps few ended runs, with small pages in the archive. */
async function keeping(count: number): Promise<{ ctx: WorkerContext; queues: QueuePool }> {
  const { redis, url, home } = await ownRedis();
  const made = noopContext({ redis, redisUrl: url, prefix: PREFIX, home });
  const index = new ArchiveIndex(redis, PREFIX, made.blobs, { entries: 20, nodes: 4 });
  const ctx: WorkerContext = {
    ...made,
    config: { ...made.config, keepRuns: { days: 30, count } },
    store: new RunStore(redis, PREFIX, new RunArchive(redis, PREFIX, made.blobs, index)),
  };
  const fleet = await startFleet(
    ctx,
    { personas: ['noop'], gates: true, concurrency: 20 },
    noopHandlers({
      verdict: ({ phase, plan }) => (phase.name === 'd' && plan.inputs['blocked'] === true ? 'blocked' : 'passed'),
    }),
  );
  const queues = new QueuePool(ctx);
  onTestFinished(async () => {
    await fleet.close(1_000);
    await queues.close();
  });
  return { ctx, queues };
}

/** The fleet's log keeps its last 50,000 or so entries; filled up, it must not grow any more. */
async function fillFleetLog(redis: Redis): Promise<void> {
  const script = `for seq = 1, tonumber(ARGV[1]) do redis.call('XADD', KEYS[1], '*', 'run', ARGV[2], 'seq', seq, 'type', 'phase.status') end`;
  for (let tenth = 0; tenth < 10; tenth += 1)
    await redis.call('EVAL', script, '1', fleetLogKey(PREFIX), '5200', newRunId());
}

async function doRuns({ ctx }: { ctx: WorkerContext }, count: number): Promise<string[]> {
  const { redis, store } = ctx;
  // What a queue tells of its jobs is capped at 10,000 entries; here at fewer, so that the cap is soon reached.
  for (const queue of ['runs', 'gates', 'edges', 'persona.noop'])
    await redis.hset(`${PREFIX}:${queue}:meta`, 'opts.maxLenEvents', 100);
  const plans = Array.from({ length: count }, (_, number) =>
    noopPlan({ a: [], b: ['a'], c: ['a'], d: ['b', 'c'], e: ['d'] }, {}, { inputs: { blocked: number % 5 === 0 } }),
  );
  for (const plan of plans) await enqueueRun({ redis, prefix: PREFIX, store }, plan);
  for (const { runId } of plans)
    await expect
      .poll(async () => TERMINAL_RUN.includes((await store.getRun(runId)).status), { timeout: 30_000, interval: 20 })
      .toBe(true);
  return plans.map((plan) => plan.runId);
}

async function retireAll({ ctx, queues }: { ctx: WorkerContext; queues: QueuePool }): Promise<void> {
  await expect
    .poll(async () => {
      await retireRuns(ctx, queues, never, 0);
      return (await ctx.store.archive?.jobsLeft())?.length;
    })
    .toBe(0);
  await retireRuns(ctx, queues, never, 0);
}

async function held(redis: Redis): Promise<{ keys: number; bytes: number }> {
  await redis.call('MEMORY', 'PURGE');
  const info = await redis.info('memory');
  return { keys: await redis.dbsize(), bytes: Number(/used_memory_dataset:(\d+)/.exec(info)?.[1]) };
}

test(
  'however many runs there were, Redis holds the same, and every run is still found',
  { timeout: 120_000 },
  async () => {
    const of = await keeping(5);
    const { redis, store } = of.ctx;
    await fillFleetLog(redis);
    const ids: string[] = await doRuns(of, 60);
    await retireAll(of);
    const early = await held(redis);
    for (let batch = 0; batch < 3; batch += 1) {
      ids.push(...(await doRuns(of, 60)));
      await retireAll(of);
    }
    const late = await held(redis);
    // Which of the last runs are kept makes some keys of difference; so many runs more would make some ten thousand.
    expect(Math.abs(late.keys - early.keys)).toBeLessThanOrEqual(15);
    expect(late.bytes).toBeLessThan(early.bytes + 100_000);
    const { passed = 0, blocked = 0 } = (await store.archive?.counts()) ?? {};
    expect(passed + blocked).toBe(ids.length - 5);
    const listed = await store.listRuns({ limit: 1_000 });
    expect(listed.runs.map((run) => run.runId)).toEqual(ids.toSorted().toReversed());
    const reader = new RunStore(redis, PREFIX, new RunArchive(redis, PREFIX, of.ctx.blobs));
    for (const id of ids.slice(0, 30)) expect((await reader.getPhases(id)).length).toBe(5);
    for (const id of ids.slice(0, 180)) expect(await redis.keys(`*${id}*`)).toEqual([]);
  },
);

test('a run leaves by its age too, and not while it has not settled', async () => {
  const of = await keeping(100);
  const { ctx, queues } = of;
  const [first = '', second = ''] = await doRuns(of, 2);
  await retireRuns(ctx, queues, never, 60_000);
  await retireRuns(ctx, queues, never, 0);
  expect(await ctx.store.archive?.counts()).toEqual({});
  const member = (await ctx.redis.zrange(`${PREFIX}:maestro:runs:ended`, '0', '-1')).find((name) =>
    name.startsWith(first),
  );
  const monthAgo = Date.now() - 31 * 24 * 3600 * 1000;
  await ctx.redis.zadd(`${PREFIX}:maestro:runs:ended`, monthAgo, member ?? '');
  await retireRuns(ctx, queues, never, 60_000);
  expect(await ctx.redis.exists(`${PREFIX}:maestro:run:${first}`, `${PREFIX}:maestro:run:${second}`)).toBe(1);
  expect((await ctx.store.getRun(first)).runId).toBe(first);
});

test('what a job carries stays small, however large the workflow', () => {
  const needs: Record<string, string[]> = {};
  for (let number = 0; number < 1_000; number += 1)
    needs[`phase-${number}`] =
      number < 10 ? [] : [1, 3, 10].map((back) => `phase-${number - back}`).filter((name) => name in needs);
  const plan = noopPlan(needs, { description: 'x'.repeat(2_000) });
  const sizes: number[] = [];
  const walk = (job: FlowJob): void => {
    sizes.push(Buffer.byteLength(JSON.stringify(job.data)));
    for (const child of job.children ?? []) walk(child);
  };
  walk(buildFlow(plan, firstTake(plan)));
  expect(sizes.length).toBeGreaterThan(4_000);
  expect(Math.max(...sizes)).toBeLessThan(1_024);
});
