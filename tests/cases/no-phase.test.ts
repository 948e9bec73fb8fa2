import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Queue } from 'bullmq';
import { expect, onTestFinished, test } from 'vitest';
import { Problem } from '../../src/producer/api-schemas.ts';
import { startServer } from '../../src/producer/server.ts';
import { silentLogger } from '../../src/shared/logger.ts';
import { openBlobStore } from '../../src/shared/open-blob-store.ts';
import { RunStore } from '../../src/shared/run-store.ts';
import { fixtureRoot } from '../producer/fixture.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { testRedis } from '../support/test-redis.ts';
import { place, run } from '../system/maestro.ts';

const EMPTY = 'apiVersion: maestro/v1\nname: empty\nphases: {}\n';
const REFUSAL = /the workflow is empty; it needs at least one phase/;
const at = testRedis();

test('edge-02: the command refuses a workflow without phases, and says where it is empty', async () => {
  const { env, home } = await place(at);
  await writeFile(join(home, 'empty.yaml'), EMPTY);
  for (const args of [
    ['run', 'empty.yaml', '--provider', 'scripted'],
    ['validate', 'empty.yaml'],
    ['plan', 'empty.yaml'],
  ]) {
    const ended = await run(args, env, home);
    expect(ended).toMatchObject({ exit: 2, stdout: '' });
    expect(ended.stderr).toMatch(/empty\.yaml:3:9: /);
    expect(ended.stderr).toMatch(REFUSAL);
    expect(ended.stderr).not.toMatch(/^\s+at /m);
  }
});

test('edge-02: the API answers 400, and nothing is enqueued', async () => {
  const redis = await at.connect();
  const server = await startServer({
    host: '127.0.0.1',
    port: 0,
    redisUrl: at.url,
    prefix: at.prefix,
    blobs: openBlobStore(await tempFolder()),
    packageRoot: await fixtureRoot({ empty: EMPTY }),
    provider: 'scripted',
    logger: silentLogger(),
  });
  onTestFinished(() => server.close());
  const response = await fetch(`${server.url}/api/workflows/empty/execute`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: '{"inputs": {}}',
  });
  expect(response.status).toBe(400);
  expect(JSON.stringify(Problem.parse(await response.json()))).toMatch(REFUSAL);
  expect((await new RunStore(redis, at.prefix).listRuns({ limit: 10 })).runs).toEqual([]);
  const queue = new Queue('runs', { connection: redis, prefix: at.prefix });
  onTestFinished(() => queue.close());
  expect(await queue.getJobCounts('waiting', 'active', 'waiting-children')).toEqual({
    waiting: 0,
    active: 0,
    'waiting-children': 0,
  });
});
