import { access, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';
import { packagePath } from '../../src/shared/package-root.ts';
import { loadScripts } from '../../src/workers/scripted/load-script.ts';
import { startScriptedProvider } from '../../src/workers/scripted/server.ts';
import { testRedis } from '../support/test-redis.ts';
import {
  type Place,
  REQUIREMENT,
  RunJson,
  familyOf,
  firstPhaseOnly,
  jsonOf,
  leftOver,
  place,
  processes,
  run,
  start,
} from './maestro.ts';

const redis = testRedis();
const LONG = { timeout: 200_000 };
const LOCK_AND_SWEEP = { timeout: 60_000, interval: 300 };
const SCRIPTED = ['--provider', 'scripted', '--input', REQUIREMENT];

/** A stand-in that takes its time, so that something can be killed between two turns. */
async function slowModel(latencyMs: number): Promise<string> {
  const model = await startScriptedProvider({ scripts: await loadScripts(packagePath('demo')), latencyMs });
  onTestFinished(() => model.close());
  return model.url;
}

const Status = z.looseObject({ status: z.string() });
async function statusOf(runId: string, { env, home }: Place): Promise<string> {
  return Status.parse(JSON.parse((await run(['status', runId, '--json'], env, home)).stdout)).status;
}
const turnsOf = async (runId: string, { env, home }: Place): Promise<number> =>
  (await run(['events', runId], env, home)).stdout.split('\n').filter((line) => line.includes('persona.turn')).length;

test('a run goes on when the command that started it is killed, and ends by itself', LONG, async () => {
  const here = await place(redis);
  const env = { ...here.env, MAESTRO_SCRIPTED_URL: await slowModel(700) };
  const worker = start(['worker'], env, here.home);
  await worker.says(/^worker ready/m);
  const started = start(['run', await firstPhaseOnly(), ...SCRIPTED], env, here.home);
  const runId = (await started.says(/^run (\w{26}) /m))[1] ?? '';
  await expect.poll(() => turnsOf(runId, here), LOCK_AND_SWEEP).toBeGreaterThan(0);
  started.child.kill('SIGKILL');
  expect((await started.ended).exit).toBe('SIGKILL');
  expect(await statusOf(runId, here)).toBe('running');
  await expect.poll(() => statusOf(runId, here), LOCK_AND_SWEEP).toBe('passed');
});

test('work of a killed worker is taken up by another, and the run passes', LONG, async () => {
  const here = await place(redis);
  const env = { ...here.env, MAESTRO_SCRIPTED_URL: await slowModel(1_000) };
  const doomed = start(['worker'], env, here.home);
  await doomed.says(/^worker ready/m);
  const started = start(['run', await firstPhaseOnly(), ...SCRIPTED, '--json'], env, here.home);
  const runId = (await started.says(/^run (\w{26}) /m))[1] ?? '';
  const other = await place(redis, here.env['MAESTRO_BLOBS']);
  // Only now, so that it is certain which of the two holds the job.
  await expect.poll(() => turnsOf(runId, here), LOCK_AND_SWEEP).toBeGreaterThan(0);
  const heir = start(['worker'], { ...env, MAESTRO_HOME: other.home }, other.home);
  const isReady = heir.says(/^worker ready/m);
  doomed.child.kill('SIGKILL');
  await isReady;
  const ended = await started.ended;
  expect(RunJson.parse(jsonOf(ended, 0))).toMatchObject({ status: 'passed', gates: { passed: 3, errors: 0 } });
});

test('a run whose queues nobody consumes says so, and Ctrl-C leaves it to others', LONG, async () => {
  const here = await place(redis);
  const started = start(['run', await firstPhaseOnly(), ...SCRIPTED, '--json'], here.env, here.home);
  await started.says(/no worker consumes gates, persona\.requirement_analyst: start one with `maestro worker`/);
  started.child.kill('SIGINT');
  const ended = await started.ended;
  expect(ended.exit).toBe(5);
  expect(Status.parse(JSON.parse(ended.stdout)).status).toMatch(/^(queued|running)$/);
  expect(ended.stderr).toContain('goes on without this command');
});

test(
  'a run that loses its Redis ends with 4 and one line that says so, and its workers wait for nothing',
  LONG,
  async () => {
    const { env, home } = await place(redis);
    delete env['REDIS_URL'];
    env['MAESTRO_DRAIN_DEADLINE'] = '10m';
    const up = start(['up', '--port', '0', '--provider', 'scripted'], env, home);
    await up.says(/^serving /m);
    const started = start(['run', await firstPhaseOnly(), ...SCRIPTED, '--approvals', 'people'], env, home);
    await started.says(/waits for approval by stakeholder: maestro approve/);
    const server = z
      .looseObject({ pid: z.number() })
      .parse(JSON.parse(await readFile(join(home, 'redis/redis.json'), 'utf8')));
    process.kill(server.pid, 'SIGKILL');
    const ended = await started.ended;
    expect(ended).toMatchObject({ exit: 4, stdout: '' });
    expect(ended.stderr.trimEnd().split('\n').at(-1)).toMatch(/^error: the connection to Redis at .* is lost/);
    up.child.kill('SIGINT');
    expect((await up.ended).exit).toBe(0);
  },
);

/** A demo with its own Redis, far enough to have workers, sandboxes and tools at work. */
async function busyDemo() {
  const { env, home } = await place(redis);
  delete env['REDIS_URL'];
  const demo = start(['demo'], env, home);
  await demo.says(/^backend +▸ running/m);
  await expect
    .poll(async () => familyOf(demo.pid, await processes()).some((info) => info.text.includes('bwrap')), {
      timeout: 90_000,
      interval: 50,
    })
    .toBe(true);
  const family = familyOf(demo.pid, await processes());
  for (const part of ['redis-server', 'maestro worker'])
    expect(family.map((info) => info.text).join('\n')).toContain(part);
  return { demo, home, family };
}

test('Ctrl-C ends a demo with 5 and everything it started with it', LONG, async () => {
  const { demo, home, family } = await busyDemo();
  process.kill(-demo.pid, 'SIGINT');
  const ended = await demo.ended;
  expect(ended.exit).toBe(5);
  await expect.poll(() => leftOver(family, home)).toEqual([]);
  expect((await stat(join(home, 'redis', 'appendonlydir'))).isDirectory()).toBe(true);
  await expect(access(join(home, 'redis', 'redis.json'))).rejects.toThrow('ENOENT');
});

test('a killed demo leaves nothing behind after some seconds', LONG, async () => {
  const { demo, home, family } = await busyDemo();
  demo.child.kill('SIGKILL');
  await demo.ended;
  await expect.poll(() => leftOver(family, home), { timeout: 60_000, interval: 500 }).toEqual([]);
});

test('a demo has keys of its own in a Redis that others use, and says how to look at its run', LONG, async () => {
  const { env, home } = await place(redis);
  const demo = start(['demo'], env, home);
  const [, prefix = '', runId = ''] = await demo.says(
    /^look +MAESTRO_PREFIX='(\{maestro-demo-\w+\})' \S*maestro status (\w{26})$/m,
  );
  const [theirs, ours] = await Promise.all([
    run(['status', runId, '--json'], { ...env, MAESTRO_PREFIX: prefix }, home),
    run(['runs', '--json'], env, home),
  ]);
  expect(JSON.parse(theirs.stdout)).toMatchObject({ runId, simulated: true });
  // Other tests of this file have runs there; the demo's is not among them.
  expect(ours.exit).toBe(0);
  expect(ours.stdout).not.toContain(runId);
  demo.child.kill('SIGINT');
  expect((await demo.ended).exit).toBe(5);
});

test('Ctrl-C while the workers of a demo are starting ends it with 5, and no worker is left', LONG, async () => {
  const { env, home } = await place(redis);
  const demo = start(['demo'], env, home);
  await demo.says(/^redis /m);
  demo.child.kill('SIGINT');
  const ended = await demo.ended;
  expect(ended.exit).toBe(5);
  expect(ended.stderr).toMatch(/error: stopped before worker-\d was ready\n$/);
  await expect.poll(() => leftOver([], home)).toEqual([]);
});
