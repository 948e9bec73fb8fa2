import { join } from 'node:path';
import { writeFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { testRedis } from '../support/test-redis.ts';
import { REQUIREMENT, jsonOf, place, run, start } from './maestro.ts';

const redis = testRedis();
const Schedules = z.object({ schedules: z.array(z.looseObject({ name: z.string(), next: z.string() })) });
const Started = z.looseObject({ runId: z.string(), status: z.string(), startAt: z.string().optional() });
const Standing = z.looseObject({ status: z.string(), startAt: z.string().optional(), idleQueues: z.array(z.string()) });
const SCRIPTED = ['--provider', 'scripted', '--input', REQUIREMENT];

/** One phase that depends on nothing but its persona. */
const WORKFLOW = `apiVersion: maestro/v1
name: small
inputs: { requirement: { type: string, minLength: 10 } }
phases:
  requirements: { persona: requirement_analyst, policy: none }
`;

async function small(): Promise<{
  file: string;
  call: (args: readonly string[]) => ReturnType<typeof run>;
  at: Awaited<ReturnType<typeof place>>;
}> {
  const at = await place(redis);
  const file = join(at.home, 'small.yaml');
  await writeFile(file, WORKFLOW);
  return { file, at, call: (args) => run(args, at.env, at.home) };
}

test('schedules are added, listed and removed; what cannot run is refused in one line', async () => {
  const { file, call } = await small();
  const add = (...more: string[]) => call(['schedule', 'add', file, ...SCRIPTED, ...more]);
  const refused = await Promise.all([
    add('--cron', 'whenever'),
    add('--cron', '0 6 * * *', '--tz', 'Nowhere'),
    call(['schedule', 'add', file, '--provider', 'scripted', '--cron', '0 6 * * *']),
    call(['schedule', 'add', 'no-such-workflow', '--cron', '0 6 * * *']),
    add(),
  ]);
  const words = [/not a cron expression/, /not a time zone/, /requirement/, /no-such-workflow/, /--cron/];
  for (const [at, one] of refused.entries()) {
    expect(one).toMatchObject({ exit: 2, stdout: '' });
    expect(one.stderr.trimEnd().split('\n').at(-1)).toMatch(words[at] ?? /never/);
  }
  const added = await add('--cron', '0 6 * * 1-5', '--tz', 'Europe/Berlin', '--name', 'mornings');
  expect([added.exit, added.stdout]).toEqual([
    0,
    expect.stringMatching(/^mornings +small +0 6 \* \* 1-5 +Europe\/Berlin +next 20/),
  ]);
  const { schedules } = Schedules.parse(jsonOf(await call(['schedule', 'list', '--json']), 0));
  expect(schedules.map(({ name }) => name)).toEqual(['mornings']);
  expect((await call(['schedule', 'remove', 'mornings'])).exit).toBe(0);
  expect(await call(['schedule', 'remove', 'mornings'])).toMatchObject({ exit: 2, stdout: '' });
});

test('a schedule starts runs while `maestro serve` is up', async () => {
  const { file, call, at } = await small();
  await call(['schedule', 'add', file, ...SCRIPTED, '--cron', '* * * * * *', '--name', 'each-second']);
  const server = start(['serve', '--port', '0'], at.env, at.home);
  await expect
    .poll(async () => (await call(['runs', '--json'])).stdout, { timeout: 30_000, interval: 500 })
    .toContain('"workflow": "small"');
  await call(['schedule', 'remove', 'each-second']);
  server.child.kill('SIGTERM');
  expect((await server.ended).exit).toBe(0);
});

test('a delayed run is shown with its time, with who does not work for it, and is the same for the same key', async () => {
  const { file, call } = await small();
  const ask = () => call(['run', file, ...SCRIPTED, '--delay', '1h', '--idempotency-key', 'k', '--detach', '--json']);
  const first = Started.parse(jsonOf(await ask(), 0));
  const again = Started.parse(jsonOf(await ask(), 0));
  expect(again).toEqual(first);
  expect(first.status).toBe('queued');
  const minutes = (Date.parse(first.startAt ?? '') - Date.now()) / 60_000;
  expect(minutes).toBeGreaterThan(50);
  const standing = Standing.parse(jsonOf(await call(['status', first.runId, '--json']), 0));
  expect(standing).toMatchObject({ startAt: first.startAt, idleQueues: ['gates', 'persona.requirement_analyst'] });
  const shown = await call(['status', first.runId]);
  expect(shown.stdout).toContain(`starts at ${first.startAt}`);
  expect(shown.stdout).toContain('no worker consumes persona.requirement_analyst');
  expect((await call(['cancel', first.runId])).exit).toBe(0);
  expect((await call(['dead'])).stderr).toContain('no dead letters');
  const other = await call([
    'run',
    file,
    '--provider',
    'scripted',
    '--input',
    `${REQUIREMENT} Quickly.`,
    '--idempotency-key',
    'k',
    '--detach',
  ]);
  expect(other).toMatchObject({ exit: 2, stdout: '' });
  expect(other.stderr).toContain('used before with another request');
});

test('doctor names queues that hold work and have no worker', async () => {
  const { file, call } = await small();
  await call(['run', file, ...SCRIPTED, '--detach']);
  const { stdout } = await call(['doctor']);
  expect(stdout).toMatch(/no worker consumes persona\.requirement_analyst \(\d+ jobs? waiting\)/);
});
