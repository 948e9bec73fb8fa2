import { createServer } from 'node:http';
import { once } from 'node:events';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';
import { FleetStatus } from '../../src/producer/fleet-schemas.ts';
import { enqueueRun } from '../../src/producer/enqueue.ts';
import { openBlobStore } from '../../src/shared/open-blob-store.ts';
import { RunStore } from '../../src/shared/run-store.ts';
import { startScriptedProvider } from '../../src/workers/scripted/server.ts';
import { TALKER, planTalk, talkDefinitions, talkScript, talkTurns } from '../support/talks.ts';
import { testRedis } from '../support/test-redis.ts';
import { jsonOf, place, run, start } from './maestro.ts';

const Ready = z.looseObject({ status: z.string(), state: z.string().optional(), conversations: z.number() });

test('a worker tells how it is, is seen by the fleet, and is gone from it when it was told to stop', async () => {
  const redis = testRedis();
  const { env, home } = await place(redis);
  const worker = start(['worker', '--gates', '--health-port', '0'], env, home);
  const url = (await worker.says(/^health +(http:\S+)\/readyz/m))[1] ?? '';
  const ready = await fetch(`${url}/readyz`);
  expect(ready.status).toBe(200);
  expect(Ready.parse(await ready.json())).toMatchObject({ status: 'ready', state: 'working', pid: worker.pid });
  expect((await fetch(`${url}/healthz`)).status).toBe(200);
  expect((await fetch(`${url}/elsewhere`)).status).toBe(404);
  expect((await fetch(`${url}/healthz`, { method: 'POST' })).status).toBe(405);
  const metrics = await (await fetch(`${url}/metrics`)).text();
  expect(metrics).toMatch(/^maestro_worker_event_loop_delay_seconds\{quantile="0\.99"\} [\d.]+$/m);
  expect(metrics).toMatch(/^maestro_worker_event_loop_busy_seconds\{quantile="1"\} [\d.]+$/m);
  expect(metrics).toMatch(/^maestro_worker_event_loop_held_seconds_total [\d.]+$/m);
  expect(metrics).toMatch(/^maestro_worker_resident_memory_bytes [1-9]\d{6,}$/m);
  expect(metrics).toMatch(/^maestro_worker_draining 0$/m);

  const seen = FleetStatus.parse(jsonOf(await run(['workers', '--json'], env, home), 0));
  expect(seen.workers).toMatchObject([{ pid: worker.pid, personas: [], gates: true, state: 'working' }]);
  expect(seen.queues.find(({ queue }) => queue === 'gates')).toMatchObject({ workers: 1 });
  expect(seen.queues.find(({ queue }) => queue === `persona.${TALKER}`)).toMatchObject({ workers: 0 });
  const table = await run(['workers'], env, home);
  expect(table.stdout).toMatch(new RegExp(`^\\S+ ${worker.pid} +working +gates +0 `, 'm'));

  worker.child.kill('SIGTERM');
  expect((await worker.ended).exit).toBe(0);
  const after = FleetStatus.parse(jsonOf(await run(['workers', '--json'], env, home), 0));
  expect(after.workers).toEqual([]);
});

test('a busy health port ends the worker at once, and names the port', async () => {
  const redis = testRedis();
  const { env, home } = await place(redis);
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  const address = z.looseObject({ port: z.number() }).parse(server.address());
  const ended = await run(['worker', '--gates', '--health-port', String(address.port)], env, home);
  expect(ended.exit).toBe(4);
  expect(ended.stderr).toMatch(new RegExp(`error: port ${address.port} on 127\\.0\\.0\\.1 is taken`));
});

/** A worker process of the command in the middle of a conversation whose turns take their time. */
async function inConversation(delayMs: number, drain: string, command?: string) {
  const redis = testRedis();
  const blobs = openBlobStore(join((await place(redis)).home, 'blobs'));
  const { env, home } = await place(redis, blobs.location);
  const server = await startScriptedProvider({
    scripts: [talkScript(talkTurns({ delayMs, firstDelayMs: 0, ...(command === undefined ? {} : { command }) }))],
  });
  onTestFinished(() => server.close());
  const connection = await redis.connect();
  const store = new RunStore(connection, redis.prefix);
  const plan = planTalk(await talkDefinitions(blobs));
  const settings = { ...env, MAESTRO_SCRIPTED_URL: server.url };
  const args = ['worker', '--personas', TALKER, '--gates', '--health-port', '0', '--drain', drain];
  const worker = start(args, settings, home);
  const url = (await worker.says(/^health +(http:\S+)\/readyz/m))[1] ?? '';
  await worker.says(/^worker ready/m);
  await enqueueRun({ redis: connection, prefix: redis.prefix, store }, plan);
  await expect.poll(() => server.requests, { timeout: 20_000 }).toBe(2);
  return {
    worker,
    url,
    server,
    store,
    redis: connection,
    prefix: redis.prefix,
    plan,
    env,
    home,
    again: () => start(args, settings, home),
  };
}

test('a conversation can be read while it goes on, each turn once, until its run has ended', async () => {
  const { plan, env, home } = await inConversation(1_500, '1s');
  const now = await run(['logs', plan.runId, 'a'], env, home);
  expect(now.stdout).toMatch(
    /a: backend_developer, work, under way [^]*── turn 1 [^]*✎ write +docs\/notes\.md {2}3 lines/,
  );
  const followed = await run(['logs', plan.runId, 'a', '--follow'], env, home);
  expect(followed.exit).toBe(0);
  const turns = [...followed.stdout.matchAll(/^── turn (\d) /gm)].map(([, number]) => number);
  expect(turns).toEqual(['1', '2', '3', '4']);
  expect(followed.stdout).toContain('- export const answer = 41;\n      + export const answer = 42;');
  expect(followed.stderr).toMatch(/^simulated/m);
}, 90_000);

test('a command is followed while it runs, and is no longer shown some time after its worker was killed', async () => {
  const of = await inConversation(0, '1s', 'echo first; until [ -e never ]; do sleep 0.1; done');
  const { worker, redis, prefix, plan, env, home } = of;
  const followed = start(['logs', plan.runId, 'a', '--follow'], env, home);
  let out = '';
  followed.child.stdout?.on('data', (text: string) => (out += text));
  await expect.poll(() => out, { timeout: 30_000 }).toMatch(/^ {2}\$ shell +echo first; .*\n {4}│ first$/m);
  worker.child.kill('SIGKILL');
  await worker.ended;
  const left = await redis.keys(`${prefix}:maestro:run:${plan.runId}:commands*`);
  expect(left).toHaveLength(2);
  for (const key of left) {
    const ttl = await redis.pttl(key);
    expect(ttl).toBeGreaterThan(0);
    expect(ttl).toBeLessThanOrEqual(30_000);
  }
}, 90_000);

test('a worker that drains ends the turn under way, and another one goes on: no turn is bought twice', async () => {
  const { worker, url, server, store, plan, again } = await inConversation(1_500, '30s');
  worker.child.kill('SIGTERM');
  await worker.says(/takes no new jobs, and gives back what has not ended within 30s/);
  const ready = await fetch(`${url}/readyz`);
  expect(ready.status).toBe(503);
  expect(Ready.parse(await ready.json())).toMatchObject({ reason: 'draining', state: 'draining', conversations: 1 });
  const stopped = await worker.ended;
  expect(stopped.exit).toBe(0);
  expect(stopped.stderr).toContain('1 job given back');
  expect(server.requests).toBe(2);

  const next = again();
  await expect.poll(async () => (await store.getRun(plan.runId)).status, { timeout: 40_000 }).toMatch(/passed/);
  expect(server.requests).toBe(4);
  expect(await store.getPhase(plan.runId, 'a')).toMatchObject({ faults: 0, usage: { calls: 4 } });
  next.child.kill('SIGTERM');
  expect((await next.ended).exit).toBe(0);
}, 90_000);

test('work that has not ended by the deadline is given back, at no attempt', async () => {
  const { worker, server, store, plan } = await inConversation(60_000, '1s');
  const began = Date.now();
  worker.child.kill('SIGTERM');
  const stopped = await worker.ended;
  expect(stopped.exit).toBe(0);
  expect(stopped.stderr).toContain('1 job given back');
  expect(Date.now() - began).toBeLessThan(15_000);
  expect(server.requests).toBe(2);
  expect((await store.getPhase(plan.runId, 'a')).faults).toBe(0);
}, 90_000);

test('a second signal ends a worker at once, with the code of a stop', async () => {
  const { worker } = await inConversation(60_000, '10m');
  worker.child.kill('SIGTERM');
  await worker.says(/worker stops/);
  worker.child.kill('SIGTERM');
  expect((await worker.ended).exit).toBe(5);
}, 90_000);
