import { createServer } from 'node:http';
import { expect, onTestFinished, test } from 'vitest';
import { readPolicies } from '../../src/producer/definitions-builder.ts';
import { enqueueRun } from '../../src/producer/enqueue.ts';
import { putJson } from '../../src/shared/blob-store.ts';
import { packagePath } from '../../src/shared/package-root.ts';
import { TERMINAL_RUN } from '../../src/shared/run-record.ts';
import { startFleet } from '../../src/workers/fleet.ts';
import { noopContext, noopPlan } from '../support/noop-handlers.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { testRedis } from '../support/test-redis.ts';

test('faults are counted apart from rework, and each attempt is told with its number', async () => {
  const broken = createServer((_request, response) => {
    response.writeHead(500, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ type: 'error', error: { type: 'api_error', message: 'out of order' } }));
  });
  await new Promise<void>((listening) => broken.listen(0, '127.0.0.1', listening));
  onTestFinished(() => new Promise<void>((closed) => broken.close(() => closed())));
  const address = broken.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const at = testRedis();
  const redis = await at.connect();
  const plain = noopContext({ redis, redisUrl: at.url, prefix: at.prefix, home: await tempFolder() });
  const ctx = { ...plain, config: { ...plain.config, scriptedUrl: `http://127.0.0.1:${port}` } };
  const persona = {
    apiVersion: 'maestro/v1',
    name: 'noop',
    role: 'Nobody',
    tools: ['read_file'],
    prompt: 'A persona of the tests, whose model is never there.',
  };
  const definitions = await putJson(ctx.blobs, {
    schemaVersion: 1,
    workflow: { apiVersion: 'maestro/v1', name: 'noop', phases: { a: { persona: 'noop' } } },
    personas: { noop: persona },
    policies: await readPolicies(packagePath('policies')),
    models: {},
  });
  const plan = { ...noopPlan({ a: [] }, { attempts: 3, rework: 2 }), definitions };
  const fleet = await startFleet(ctx, { personas: ['noop'], gates: true, concurrency: 1 });
  onTestFinished(() => fleet.close(2_000));
  const { store } = ctx;
  await enqueueRun({ redis, prefix: at.prefix, store }, plan);
  await expect
    .poll(async () => TERMINAL_RUN.includes((await store.getRun(plan.runId)).status), { timeout: 40_000 })
    .toBe(true);
  expect(await store.getPhase(plan.runId, 'a')).toMatchObject({ status: 'failed', faults: 3, round: 0, rounds: [] });
  const faults = (await store.readEvents(plan.runId, 0)).filter((event) => event.type === 'persona.fault');
  expect(faults.map(({ attempt, final }) => [attempt, final])).toEqual([
    [1, false],
    [2, false],
    [3, true],
  ]);
  // Each wait is about twice as long as the last, and never the same for everybody.
  const [first = 0, second = 0, third = 0] = faults.map((fault) => Date.parse(fault.at));
  expect(second - first).toBeGreaterThan(450);
  expect(third - second).toBeGreaterThan(900);
});
