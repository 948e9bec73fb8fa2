import { randomBytes } from 'node:crypto';
import { Queue } from 'bullmq';
import { expect, onTestFinished, test } from 'vitest';
import { MaestroClient } from '../../src/producer/client.ts';
import { enqueueRun } from '../../src/producer/enqueue.ts';
import { startServer } from '../../src/producer/server.ts';
import { silentLogger } from '../../src/shared/logger.ts';
import { jobIds } from '../../src/shared/names.ts';
import { openBlobStore } from '../../src/shared/open-blob-store.ts';
import { type Redis, connectRedis } from '../../src/shared/redis.ts';
import { RunStore } from '../../src/shared/run-store.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { testRedis } from '../support/test-redis.ts';
import { fixtureRoot } from './fixture.ts';
import { planOf } from './seed-run.ts';

const at = testRedis();
const { prefix } = at;
const redis = await at.connect();
const store = new RunStore(redis, prefix);

async function stateOf(runId: string): Promise<string | undefined> {
  const queue = new Queue('runs', { connection: redis, prefix });
  const state = await (await queue.getJob(jobIds.run({ runId, generation: 0 })))?.getState();
  await queue.close();
  return state;
}

/** A connection that Redis lets read but not run scripts, so no job can be added through it. */
async function powerless(): Promise<{ redis: Redis; empower(): Promise<void> }> {
  const [user, password] = [`t-${randomBytes(4).toString('hex')}`, randomBytes(8).toString('hex')];
  await redis.call('ACL', 'SETUSER', user, 'on', `>${password}`, '~*', '&*', '+@all', '-evalsha', '-eval');
  const url = new URL(at.url);
  [url.username, url.password] = [user, password];
  const limited = await connectRedis(url.href, 'producer');
  onTestFinished(async () => {
    limited.disconnect();
    await redis.call('ACL', 'DELUSER', user);
  });
  return { redis: limited, empower: async () => void (await redis.call('ACL', 'SETUSER', user, '+@all')) };
}

test('a run whose jobs cannot be added has failed, and says why', async () => {
  const limited = await powerless();
  const plan = planOf(['design']);
  await expect(enqueueRun({ redis: limited.redis, prefix, store }, plan)).rejects.toThrow(/EXECABORT|NOPERM/);
  const run = await store.getRun(plan.runId);
  expect(run.status).toBe('failed');
  expect(run.reason).toMatch(/^its jobs could not be added to the queues: .*(EXECABORT|NOPERM)/);
  expect(await stateOf(plan.runId)).toBeUndefined();
});

test('a run that can be asked for again stays queued, and asking again adds its jobs', async () => {
  const limited = await powerless();
  const plan = planOf(['design']);
  const ask = () => enqueueRun({ redis: limited.redis, prefix, store }, plan, { repeatable: true });
  await expect(ask()).rejects.toThrow(/EXECABORT|NOPERM/);
  expect((await store.getRun(plan.runId)).status).toBe('queued');
  await limited.empower();
  await ask();
  expect(await stateOf(plan.runId)).toBe('waiting-children');
});

test('adding the jobs is tried a second time', async () => {
  const limited = await powerless();
  const plan = planOf(['design']);
  const adding = enqueueRun({ redis: limited.redis, prefix, store }, plan);
  setTimeout(() => void limited.empower(), 250);
  expect(await adding).toBe(plan.runId);
  expect(await stateOf(plan.runId)).toBe('waiting-children');
  expect((await store.getRun(plan.runId)).status).toBe('queued');
});

test('asking again with the same Idempotency-Key adds the jobs that a server which died did not', async () => {
  const server = await startServer({
    host: '127.0.0.1',
    port: 0,
    redisUrl: at.url,
    prefix,
    blobs: openBlobStore(await tempFolder()),
    packageRoot: await fixtureRoot(),
    provider: 'scripted',
    logger: silentLogger(),
  });
  onTestFinished(() => server.close());
  const client = new MaestroClient({ baseUrl: server.url });
  const ask = () => client.execute('diamond', { inputs: { requirement: 'shorten my urls' } }, { idempotencyKey: 'k' });
  const { runId } = await ask();
  // What such a server leaves: the key and the records of the run, and no job.
  const keys = (await redis.keys(`${prefix}:*`)).filter((key) => !key.startsWith(`${prefix}:maestro:`));
  await redis.unlink(keys);
  expect(await stateOf(runId)).toBeUndefined();
  expect((await ask()).runId).toBe(runId);
  expect(await stateOf(runId)).toBe('waiting-children');
});
