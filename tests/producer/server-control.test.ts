import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Queue } from 'bullmq';
import { afterAll, describe, expect, it } from 'vitest';
import { Problem } from '../../src/producer/api-schemas.ts';
import { startServer } from '../../src/producer/server.ts';
import { silentLogger } from '../../src/shared/logger.ts';
import { jobIds } from '../../src/shared/names.ts';
import { openBlobStore } from '../../src/shared/open-blob-store.ts';
import { RunStore } from '../../src/shared/run-store.ts';
import { testRedis } from '../support/test-redis.ts';
import { DIAMOND, fixtureRoot } from './fixture.ts';
import { planOf } from './seed-run.ts';

const at = testRedis();
const { prefix } = at;
const redis = await at.connect();
const store = new RunStore(redis, prefix);
const blobFolder = await mkdtemp(join(tmpdir(), 'maestro-blobs-'));
const server = await startServer({
  host: '127.0.0.1',
  port: 0,
  redisUrl: at.url,
  prefix,
  blobs: openBlobStore(blobFolder),
  packageRoot: await fixtureRoot({ diamond: DIAMOND }),
  provider: 'scripted',
  logger: silentLogger(),
});
afterAll(async () => {
  await server.close();
  await rm(blobFolder, { recursive: true, force: true });
});

const post = (path: string, body: unknown): Promise<Response> =>
  fetch(`${server.url}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
const json = async (response: Promise<Response>): Promise<unknown> => (await response).json();
const problem = async (response: Response): Promise<Problem> => Problem.parse(await response.json());

describe('a run is controlled over HTTP', () => {
  it('pauses and resumes it, and says when there was nothing to do', async () => {
    const plan = planOf(['design']);
    await store.createRun(plan);
    const path = `/api/runs/${plan.runId}`;
    expect(await json(post(`${path}/pause`, { reason: 'lunch' }))).toEqual({
      runId: plan.runId,
      status: 'paused',
      paused: true,
    });
    expect(await json(post(`${path}/pause`, {}))).toMatchObject({ paused: false });
    expect(await json(post(`${path}/resume`, {}))).toEqual({
      runId: plan.runId,
      generation: 0,
      phases: [],
      changed: true,
    });
    expect(await json(post(`${path}/resume`, {}))).toMatchObject({ changed: false });
    expect((await store.getRun(plan.runId)).status).toBe('queued');
  });

  it('takes an ended run up again, and refuses what makes no sense with the reason', async () => {
    const plan = planOf(['design']);
    await store.createRun(plan);
    const path = `/api/runs/${plan.runId}`;
    expect((await problem(await post(`${path}/retry`, { phase: 'design' }))).detail).toMatch(/when the run has ended/);
    await post(`${path}/cancel`, {});
    expect((await problem(await post(`${path}/pause`, {}))).status).toBe(409);
    const again = await post(`${path}/retry`, { phase: 'design' });
    expect([again.status, await again.json()]).toEqual([
      202,
      { runId: plan.runId, generation: 1, phases: ['design'], changed: true },
    ]);
    const queue = new Queue('runs', { connection: redis, prefix });
    const job = await queue.getJob(jobIds.run({ runId: plan.runId, generation: 1 }));
    expect(await job?.getState()).toBe('waiting-children');
    await queue.close();
    for (const body of [{}, { phase: 'design', from: 'design' }, { phase: '../x' }])
      expect((await post(`${path}/retry`, body)).status).toBe(400);
  });
});
