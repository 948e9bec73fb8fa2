import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { enqueueRun } from '../../src/producer/enqueue.ts';
import { FleetStatus } from '../../src/producer/fleet-schemas.ts';
import { minutesOf } from '../../src/producer/fleet-status.ts';
import { type RunningServer, startServer } from '../../src/producer/server.ts';
import { silentLogger } from '../../src/shared/logger.ts';
import { openBlobStore } from '../../src/shared/open-blob-store.ts';
import { RunStore } from '../../src/shared/run-store.ts';
import { movePhase, moveRun } from '../../src/shared/transitions.ts';
import { WorkerRegistry, type WorkerStanding } from '../../src/shared/worker-registry.ts';
import { axeViolations, launchBrowser, openPage, shootAll } from '../support/browser.ts';
import { noopPlan } from '../support/noop-handlers.ts';
import { startNoopRuns } from '../support/noop-runs.ts';
import { testRedis } from '../support/test-redis.ts';
import { fixtureRoot } from './fixture.ts';

const ownRedis = testRedis();
const { url: redisUrl, prefix } = ownRedis;
const redis = await ownRedis.connect();
const registry = new WorkerRegistry(redis, prefix);
const blobFolder = await mkdtemp(join(tmpdir(), 'maestro-blobs-'));
let server: RunningServer;
let browser: Browser;

beforeAll(async () => {
  server = await startServer({
    host: '127.0.0.1',
    port: 0,
    redisUrl,
    prefix,
    blobs: openBlobStore(blobFolder),
    packageRoot: await fixtureRoot(),
    provider: 'scripted',
    logger: silentLogger(),
  });
  browser = await launchBrowser();
});
afterAll(async () => {
  await browser.close();
  await server.close();
  await rm(blobFolder, { recursive: true, force: true });
});

const worker = (id: string, more: Partial<WorkerStanding> = {}): WorkerStanding => ({
  id,
  host: 'build-7',
  pid: 4711,
  version: '0.1.0',
  state: 'working',
  personas: ['coder', 'tester'],
  gates: true,
  concurrency: 20,
  active: { 'persona.coder': 3, gates: 1 },
  conversations: 3,
  maxConversations: 40,
  done: 12,
  failed: 1,
  startedAt: new Date(Date.now() - 90_000).toISOString(),
  seenAt: new Date().toISOString(),
  rssBytes: 300 * 1024 ** 2,
  cpu: 0.42,
  loopDelayP50Ms: 1,
  loopDelayP99Ms: 17,
  sandbox: 'bubblewrap',
  ...more,
});
const fleet = async (): Promise<FleetStatus> =>
  FleetStatus.parse(await (await fetch(`${server.url}/api/fleet`)).json());

test('a worker that sends no more heartbeats is forgotten, and what it does not know of itself is no fault', async () => {
  await registry.beat(worker('a'));
  await registry.beat(worker('b', { startedAt: new Date().toISOString() }));
  await redis.set(`${prefix}:maestro:worker:old`, JSON.stringify({ id: 'old' }));
  await redis.sadd(`${prefix}:maestro:workers`, 'old');
  expect((await registry.list()).map(({ id }) => id)).toEqual(['a', 'b']);
  expect(await redis.pttl(`${prefix}:maestro:worker:a`)).toBeGreaterThan(5_000);
  // What Redis does when the time is over.
  await redis.pexpire(`${prefix}:maestro:worker:a`, 0);
  expect((await fleet()).workers.map(({ id }) => id)).toEqual(['b']);
  expect(await redis.sismember(`${prefix}:maestro:workers`, 'a')).toBe(0);
  await registry.leave('b');
  expect((await fleet()).workers).toEqual([]);
});

test('minutes are counted up to now, also when nothing ended for a while', () => {
  const minute = 60_000;
  const now = 1_000 * minute + 5_000;
  // The last job ended three minutes ago: 4 in that minute, 2 and 7 in the two before it.
  const ended = minutesOf({ meta: { count: 13, prevCount: 9, prevTS: now - 3 * minute }, data: [2, 7], count: 2 }, now);
  expect(ended).toHaveLength(61);
  expect(ended.slice(-7)).toEqual([0, 7, 2, 4, 0, 0, 0]);
  expect(minutesOf({ meta: { count: 0, prevCount: 0, prevTS: 0 }, data: [], count: 0 }, now)).toEqual(
    Array.from({ length: 61 }, () => 0),
  );
});

test('jobs that end are counted, by the gates queue as well', async () => {
  const { run } = await startNoopRuns({}, ownRedis);
  expect(await run(noopPlan({ a: [], b: ['a'] }))).toBe('passed');
  const { throughput, queues, runs } = await fleet();
  expect(throughput.done.slice(-2).reduce((sum, jobs) => sum + jobs, 0)).toBe(2);
  expect(queues.find(({ queue }) => queue === 'gates')?.depth).toMatchObject({ waiting: 0, active: 0, failed: 0 });
  expect(runs['passed']).toBe(1);
  const metrics = await (await fetch(`${server.url}/metrics`)).text();
  expect(metrics).toContain('maestro_workers{state="working"} 0');
  expect(metrics).toMatch(/^# HELP maestro_runs .*simulated and replayed ones are counted/m);
});

/** A run whose only phase failed for good. */
async function deadRun(store: RunStore): Promise<void> {
  const plan = noopPlan({ b: [] }, { personas: ['analyst'] });
  await store.createRun(plan);
  await moveRun(store, plan.runId, 'running');
  await movePhase(store, plan.runId, 'b', 'running');
  const message = 'the model broke off <b>';
  const fault = { phase: 'b', persona: 'analyst', round: 0, attempt: 3, message, final: true } as const;
  await store.append(plan.runId, [{ type: 'persona.fault', ...fault }]);
  await movePhase(store, plan.runId, 'b', 'failed', { reason: message });
  await moveRun(store, plan.runId, 'failed');
}

test('the fleet page shows workers, queues, work over time and limits, and follows what changes', async () => {
  const store = new RunStore(redis, prefix);
  await registry.beat(worker('a'));
  await registry.beat(worker('b', { pid: 4712, state: 'draining', personas: [], active: {}, conversations: 0 }));
  const plan = noopPlan({ a: [] }, { personas: ['analyst'] });
  await enqueueRun({ redis, prefix, store }, plan);
  await deadRun(store);
  await expect.poll(async () => (await fleet()).history.length, { timeout: 25_000 }).toBeGreaterThan(1);

  const { page, faults } = await openPage(browser, server.url, '/#/fleet');
  const workers = page.getByRole('region', { name: 'Worker processes' });
  await workers.getByText('4711').waitFor();
  expect(await workers.getByRole('row').nth(1).innerText()).toMatch(
    /working[^]*2 personas × 20, gates[^]*42%[^]*300 MiB[^]*17 ms/,
  );
  expect(await workers.getByRole('row').nth(2).innerText()).toContain('draining');
  await page.getByText('No worker takes the jobs of persona.analyst: 1 job waiting.').waitFor();
  expect(await page.getByRole('link', { name: 'persona.analyst' }).getAttribute('href')).toBe(
    '/queues/queue/persona.analyst',
  );
  await expect.poll(() => page.locator('.chart canvas').count()).toBe(2);
  await page.getByText('No model was called within the last day.').waitFor();
  await page.getByText('Spent today (UTC)').waitFor();
  const dead = page.getByRole('region', { name: 'Phases that failed for good' });
  expect((await dead.getByRole('row').nth(1).innerText()).replaceAll(/\s+/g, ' ')).toMatch(
    /noop ✕ failed simulated b analyst attempt 3 the model broke off <b>$/,
  );
  await page.getByText('1 run can go on').waitFor();
  await page.getByText('simulated and replayed ones are counted with the others').waitFor();
  expect(await axeViolations(page)).toEqual([]);
  await shootAll(page, 'fleet');

  await registry.leave('a');
  await registry.leave('b');
  await page.getByText('No worker is running.').waitFor({ timeout: 15_000 });
  expect(faults).toEqual([]);
}, 90_000);
