import { expect, onTestFinished, test } from 'vitest';
import type { BlobStore } from '../../src/shared/blob-store.ts';
import { FleetError } from '../../src/shared/errors.ts';
import { TERMINAL_RUN } from '../../src/shared/run-record.ts';
import { startFleet } from '../../src/workers/fleet.ts';
import { personaRun } from '../support/persona-runs.ts';
import { testRedis } from '../support/test-redis.ts';

test('faults are counted apart from rework, and each attempt is told with its number', async () => {
  const at = testRedis();
  const { ctx, plan } = await personaRun(at, {
    turns: [{ say: 'I look.', tools: [{ tool: 'list_files', input: {} }] }],
    tools: ['list_files'],
    plan: { attempts: 3, rework: 2 },
  });
  const { store, blobs } = ctx;
  // Nothing that is said can be kept.
  const full: BlobStore = {
    location: blobs.location,
    get: (ref) => blobs.get(ref),
    has: (ref) => blobs.has(ref),
    put: () => Promise.reject(new FleetError('BLOB_UNAVAILABLE', 'the store is full', { retry: true })),
  };
  const fleet = await startFleet({ ...ctx, blobs: full }, { personas: ['noop'], gates: true, concurrency: 1 });
  onTestFinished(() => fleet.close(2_000));
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
