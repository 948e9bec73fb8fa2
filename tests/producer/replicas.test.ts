import { Queue } from 'bullmq';
import { afterEach, describe, expect, it } from 'vitest';
import { MaestroClient } from '../../src/producer/client.ts';
import { addSchedule, removeSchedule } from '../../src/producer/schedule.ts';
import { type RunningServer, startServer } from '../../src/producer/server.ts';
import { silentLogger } from '../../src/shared/logger.ts';
import { QUEUES, jobIds } from '../../src/shared/names.ts';
import { openBlobStore } from '../../src/shared/open-blob-store.ts';
import { RunStore } from '../../src/shared/run-store.ts';
import { movePhase, moveRun } from '../../src/shared/transitions.ts';
import { balancer } from '../support/balancer.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { testRedis } from '../support/test-redis.ts';
import { fixtureRoot } from './fixture.ts';
import { finishRun, planOf } from './seed-run.ts';

const packageRoot = await fixtureRoot();
const inputs = { requirement: 'shorten my urls please' };
const servers: RunningServer[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close();
});

/** Servers of one fleet, behind a balancer. */
async function replicas(count: number) {
  const own = testRedis();
  const { url: redisUrl, prefix } = own;
  const redis = await own.connect();
  const blobs = openBlobStore(await tempFolder());
  const serve = async (): Promise<RunningServer> => {
    const server = await startServer({
      host: '127.0.0.1',
      port: 0,
      redisUrl,
      prefix,
      blobs,
      packageRoot,
      provider: 'scripted',
      logger: silentLogger(),
    });
    servers.push(server);
    return server;
  };
  const all = await Promise.all(Array.from({ length: count }, serve));
  const front = await balancer(all.map(({ url }) => url));
  const client = new MaestroClient({ baseUrl: front.url });
  return { redis, prefix, blobs, store: new RunStore(redis, prefix), serve, all, front, client };
}

describe('several servers behind a balancer', () => {
  it('make one run of one idempotency key, whoever is asked', async () => {
    const { client, front, redis, prefix } = await replicas(3);
    const asked = Array.from({ length: 30 }, () => client.execute('diamond', { inputs }, { idempotencyKey: 'once' }));
    const answers = await Promise.all(asked);
    expect(new Set(answers.map(({ runId }) => runId)).size).toBe(1);
    expect(front.given.size).toBe(3);
    expect((await client.runs()).runs).toHaveLength(1);
    const queue = new Queue(QUEUES.runs, { connection: redis, prefix });
    expect(await queue.getJobCountByTypes('waiting', 'waiting-children', 'active', 'delayed')).toBe(1);
    await queue.close();
  });

  it('show the same truth, and go on showing it after they were all started again', async () => {
    const { client, all, store, serve } = await replicas(3);
    const { runId } = await client.execute('diamond', { inputs });
    const plan = planOf(['design']);
    await store.createRun(plan);
    await finishRun(store, plan.runId, ['design']);
    const paths = [
      '/api/runs',
      '/api/workflows',
      '/openapi.json',
      ...['', '/gates', '/report', '/artifacts', '/evidence'].map((part) => `/api/runs/${runId}${part}`),
    ];
    const read = async (url: string): Promise<string[]> =>
      Promise.all(paths.map(async (path) => `${path} ${await (await fetch(`${url}${path}`)).text()}`));
    const [first, ...others] = await Promise.all(all.map(({ url }) => read(url)));
    for (const other of others) expect(other).toEqual(first);
    for (const server of servers.splice(0)) await server.close();
    expect(await read((await serve()).url)).toEqual(first);
  });

  it('let a stream of events go on elsewhere when its server goes down', async () => {
    const { client, all, front, store } = await replicas(3);
    const plan = planOf(['design', 'backend']);
    const { runId } = plan;
    await store.createRun(plan);
    const seqs: number[] = [];
    const reading = (async () => {
      for await (const event of client.events(runId)) seqs.push(event.seq);
    })();
    await expect.poll(() => seqs).toEqual([1]);
    await moveRun(store, runId, 'running');
    for (const server of all.slice(0, 2)) {
      front.backends = front.backends.filter((url) => url !== server.url);
      await server.close();
      await movePhase(store, runId, server === all[0] ? 'design' : 'backend', 'running');
    }
    await moveRun(store, runId, 'failed', { reason: 'enough' });
    await reading;
    expect(seqs).toEqual([1, 2, 3, 4, 5]);
  });

  it('start a scheduled run once', async () => {
    const { redis, prefix, store, blobs } = await replicas(3);
    const plan = planOf(['design']);
    const target = { redis, prefix, store, blobs };
    await addSchedule(target, { name: 'often', cron: '* * * * * *', tz: 'UTC', plan });
    const runs = async () => (await store.listRuns({ limit: 100 })).runs;
    await expect.poll(async () => (await runs()).length).toBeGreaterThan(2);
    await removeSchedule(target, 'often');
    // What was fired just before is enqueued by then.
    const queue = new Queue(QUEUES.schedules, { connection: redis, prefix });
    await expect.poll(() => queue.getActiveCount()).toBe(0);
    await queue.close();
    const started = await runs();
    const seconds = new Set(started.map(({ runId }) => runId.slice(0, 10)));
    expect(seconds.size).toBe(started.length);
    for (const { runId } of started) {
      expect((await store.readEvents(runId, 0)).map(({ type }) => type)).toEqual(['run.queued']);
      const job = `${prefix}:${QUEUES.runs}:${jobIds.run({ runId, generation: 0 })}`;
      expect(await redis.exists(job)).toBe(1);
    }
  });
});
