import { chmod, mkdir, readFile, readlink, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';
import { readConfig } from '../../src/shared/config.ts';
import { isAlive, readIfPresent } from '../../src/shared/file-lock.ts';
import { silentLogger } from '../../src/shared/logger.ts';
import { findRedisBinary } from '../../src/shared/redis-binary.ts';
import { type RedisHandle, findRedis } from '../../src/shared/redis-server.ts';
import { type Redis, connectRedis } from '../../src/shared/redis.ts';
import { childModule } from '../support/child-module.ts';
import { tempFolder } from '../support/temp-folder.ts';

const logger = silentLogger();
const { cache } = readConfig({ XDG_CACHE_HOME: process.env['XDG_CACHE_HOME'] }, '/');
const configFor = (home: string, redisUrl?: string) => ({ home, cache, redisUrl });

/** `path: ''` leaves nothing to find on PATH, so that the unpacked program is the one that runs. */
async function start(home: string, path?: string): Promise<RedisHandle> {
  const redis = await findRedis({ config: configFor(home), logger, start: 'if-needed', path });
  onTestFinished(() => redis.stop());
  return redis;
}

async function dial(url: string): Promise<Redis> {
  const redis = await connectRedis(url, 'producer');
  onTestFinished(() => redis.disconnect());
  return redis;
}

const stateOf = async (home: string) =>
  z
    .object({ pid: z.number(), url: z.string() })
    .parse(JSON.parse(await readFile(join(home, 'redis', 'redis.json'), 'utf8')));

test('without a running Redis and without leave to start one, the error says what to do', async () => {
  const home = await tempFolder();
  await expect(findRedis({ config: configFor(home), logger, start: 'never' })).rejects.toMatchObject({
    code: 'REDIS_UNAVAILABLE',
    exitCode: 4,
    remedy: 'Run `maestro up`, which starts a private one, or set REDIS_URL.',
  });
});

test('an unpacked Redis is started with an append-only file, noeviction, a password and loopback only', async () => {
  const redis = await start(await tempFolder(), '');
  const client = await dial(redis.url);
  const settings = await Promise.all(
    ['appendonly', 'appendfsync', 'maxmemory-policy', 'bind', 'protected-mode'].map(async (name) => {
      const answer: unknown = await client.config('GET', name);
      return Array.isArray(answer) ? String(answer[1]) : '';
    }),
  );
  expect(settings).toEqual(['yes', 'everysec', 'noeviction', '127.0.0.1', 'yes']);
  const { pid } = await stateOf(await homeOf(redis));
  expect(await readlink(`/proc/${pid}/exe`)).toContain(cache);
  await expect(connectRedis(redis.url.replace(/:[0-9a-f]+@/, ':wrong@'), 'producer')).rejects.toThrow('WRONGPASS');
});

const homeOf = async (redis: RedisHandle): Promise<string> => {
  const client = await dial(redis.url);
  const answer: unknown = await client.config('GET', 'dir');
  return join(String(Array.isArray(answer) ? answer[1] : ''), '..');
};

test('a valkey-server on PATH is taken before anything is unpacked', async () => {
  const unpacked = await findRedisBinary({ config: { cache }, logger, path: '' });
  const bin = await tempFolder();
  const program = join(bin, 'valkey-server');
  await writeFile(program, `#!/bin/sh\nexec ${unpacked.argv.join(' ')} "$@"\n`);
  await chmod(program, 0o755);
  const redis = await start(await tempFolder(), `/nowhere:${bin}`);
  expect(redis.description).toContain(program);
  expect(await (await dial(redis.url)).ping()).toBe('PONG');
});

test('a second command of the same home uses the Redis that the first one started', async () => {
  const home = await tempFolder();
  const first = await start(home);
  const second = await findRedis({ config: configFor(home), logger, start: 'never' });
  expect(second).toMatchObject({ url: first.url, started: false });
  await second.stop();
  expect(await (await dial(first.url)).ping()).toBe('PONG');
  expect((await stat(join(home, 'redis', 'redis.json'))).mode & 0o777).toBe(0o600);
  expect(first.description).not.toContain(new URL(first.url).password);
});

test('of two commands that start at once, one starts Redis and the other uses it', async () => {
  const home = await tempFolder();
  const [one, two] = await Promise.all([start(home), start(home)]);
  expect(one.url).toBe(two.url);
  expect(one.started).not.toBe(two.started);
});

test('Redis runs until the last command that asked for one has ended, also when that did not start it', async () => {
  const home = await tempFolder();
  const { pid } = await childModule(owner(home));
  const redis = await start(home);
  expect(redis.started).toBe(false);
  const { pid: server } = await stateOf(home);
  process.kill(pid, 'SIGKILL');
  await expect.poll(() => isAlive(pid), { timeout: 10_000 }).toBe(false);
  const another = await start(home);
  expect(another.url).toBe(redis.url);
  await redis.stop();
  expect(await (await dial(another.url)).ping()).toBe('PONG');
  await another.stop();
  expect(isAlive(server)).toBe(false);
});

test('what was written is there again after a stop and a start', async () => {
  const home = await tempFolder();
  const first = await start(home);
  await (await dial(first.url)).set('kept', 'yes');
  await first.stop();
  const second = await start(home);
  expect(await (await dial(second.url)).get('kept')).toBe('yes');
});

test('stopping leaves no process and no state file, and may be asked for twice', async () => {
  const home = await tempFolder();
  const redis = await start(home);
  const { pid } = await stateOf(home);
  const keeper = await parentOf(pid);
  await Promise.all([redis.stop(), redis.stop()]);
  expect([isAlive(pid), isAlive(keeper)]).toEqual([false, false]);
  expect(await readIfPresent(join(home, 'redis', 'redis.json'))).toBeUndefined();
});

const parentOf = async (pid: number): Promise<number> =>
  Number(/^PPid:\s+(\d+)/m.exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.[1]);

const groupOf = async (pid: number): Promise<number> =>
  Number((await readFile(`/proc/${pid}/stat`, 'utf8')).split(') ').at(-1)?.split(' ')[2]);

test.each([
  ['of a process that is gone', JSON.stringify({ url: 'redis://:x@127.0.0.1:1', pid: 4_194_303 })],
  ['of a pid that another program has now', JSON.stringify({ url: 'redis://:x@127.0.0.1:1', pid: process.pid })],
  ['that is cut off', '{"url": "redis'],
])('a state file %s is removed and a new Redis is started', async (_, text) => {
  const home = await tempFolder();
  await mkdir(join(home, 'redis'), { recursive: true });
  await writeFile(join(home, 'redis', 'redis.json'), text);
  const redis = await start(home);
  expect(redis.started).toBe(true);
  expect((await stateOf(home)).url).toBe(redis.url);
});

const owner = (home: string) => `
  import { findRedis } from '../../src/shared/redis-server.ts';
  import { silentLogger } from '../../src/shared/logger.ts';
  process.on('SIGINT', () => {});
  const config = ${JSON.stringify({ home, cache })};
  void findRedis({ config, logger: silentLogger(), start: 'if-needed' }).then((redis) => {
    console.log(redis.url);
    setInterval(() => {}, 1000);
  });
`;

test('a command that is killed takes its Redis with it', async () => {
  const home = await tempFolder();
  const { pid } = await childModule(owner(home));
  const redis = await stateOf(home);
  const keeper = await parentOf(redis.pid);
  process.kill(pid, 'SIGKILL');
  await expect.poll(() => isAlive(redis.pid) || isAlive(keeper), { timeout: 10_000 }).toBe(false);
  expect((await start(home)).started).toBe(true);
});

test('Ctrl-C in the terminal reaches the command but not its Redis', async () => {
  const home = await tempFolder();
  const { pid, line } = await childModule(owner(home));
  process.kill(-pid, 'SIGINT');
  const redis = await stateOf(home);
  // A signal from the terminal goes to a whole process group, so Redis has to be in another.
  expect([await groupOf(redis.pid), await groupOf(await parentOf(redis.pid))]).not.toContain(pid);
  expect(await (await dial(line)).ping()).toBe('PONG');
});

test('REDIS_URL that leads nowhere is an error, never a reason to start another', async () => {
  const home = await tempFolder();
  const config = configFor(home, 'redis://127.0.0.1:1');
  await expect(findRedis({ config, logger, start: 'if-needed' })).rejects.toMatchObject({ code: 'REDIS_UNAVAILABLE' });
  expect(await readIfPresent(join(home, 'redis', 'redis.json'))).toBeUndefined();
});
