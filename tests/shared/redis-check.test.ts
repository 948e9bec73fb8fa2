import { type Server, createServer } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { readConfig } from '../../src/shared/config.ts';
import { silentLogger } from '../../src/shared/logger.ts';
import { findRedis } from '../../src/shared/redis-server.ts';
import { type Redis, connectRedis } from '../../src/shared/redis.ts';
import { tempFolder } from '../support/temp-folder.ts';

const logger = silentLogger();
const { cache } = readConfig({ XDG_CACHE_HOME: process.env['XDG_CACHE_HOME'] }, '/');

/** A Redis of its own, whose settings a test may spoil. */
async function ownRedis(): Promise<{ url: string; client: Redis }> {
  const home = await tempFolder();
  const redis = await findRedis({ config: { home, cache, redisUrl: undefined }, logger, start: 'if-needed' });
  const client = await connectRedis(redis.url, 'producer');
  onTestFinished(async () => {
    client.disconnect();
    await redis.stop();
  });
  return { url: redis.url, client };
}

const useByUrl = (redisUrl: string) =>
  findRedis({ config: { redisUrl, home: '/nowhere', cache }, logger, start: 'never' });

test('a Redis that evicts is refused by name, with the command that mends it', async () => {
  const { url, client } = await ownRedis();
  await client.config('SET', 'maxmemory-policy', 'allkeys-lru');
  await expect(useByUrl(url)).rejects.toThrow(/has maxmemory-policy allkeys-lru/);
  await expect(useByUrl(url)).rejects.toMatchObject({
    code: 'REDIS_UNSAFE',
    exitCode: 4,
    remedy: 'Run `CONFIG SET maxmemory-policy noeviction` on it, and set the same in its configuration file.',
  });
});

test('a replica is refused', async () => {
  const { url, client } = await ownRedis();
  await client.replicaof('127.0.0.1', 1);
  await expect(useByUrl(url)).rejects.toThrow(/is a replica \(role slave\)/);
});

test('where CONFIG is forbidden, the policy is read from INFO', async () => {
  const { url, client } = await ownRedis();
  await client.acl('SETUSER', 'managed', 'on', '>secret', '~*', '+@all', '-config');
  const managed = url.replace(/\/\/[^@]*@/, '//managed:secret@');
  expect((await useByUrl(managed)).description).toContain('noeviction');
  await client.config('SET', 'maxmemory-policy', 'volatile-ttl');
  await expect(useByUrl(managed)).rejects.toMatchObject({ code: 'REDIS_UNSAFE' });
});

test('a Redis that hides its INFO is refused rather than trusted', async () => {
  const { url, client } = await ownRedis();
  await client.acl('SETUSER', 'mute', 'on', '>secret', '~*', '+@all', '-info', '-config');
  await expect(useByUrl(url.replace(/\/\/[^@]*@/, '//mute:secret@'))).rejects.toThrow('info');
});

test('missing persistence is said aloud and is no refusal', async () => {
  const { url, client } = await ownRedis();
  expect((await useByUrl(url)).description).toContain('append-only file on');
  await client.config('SET', 'appendonly', 'no');
  expect((await useByUrl(url)).description).toContain('WARNING: no persistence');
  await client.config('SET', 'save', '60 1');
  expect((await useByUrl(url)).description).toContain('WARNING: snapshots only');
});

/** Speaks just enough of the protocol to report the version of a server that cannot be had here. */
async function reporting(fields: Record<string, string>): Promise<string> {
  const info = Object.entries({ role: 'master', maxmemory_policy: 'noeviction', loading: '0', ...fields })
    .map(([name, value]) => `${name}:${value}\r\n`)
    .join('');
  const server: Server = createServer((socket) => {
    socket.on('error', () => socket.destroy());
    socket.on('data', (chunk) => {
      for (const command of String(chunk).match(/^(info|config|client|hello|quit)\r$/gim) ?? []) {
        const isInfo = command.trim().toLowerCase() === 'info';
        socket.write(isInfo ? `$${info.length}\r\n${info}\r\n` : `-ERR unknown command '${command.trim()}'\r\n`);
      }
    });
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  onTestFinished(() => void server.close());
  const address = server.address();
  return `redis://127.0.0.1:${address !== null && typeof address === 'object' ? address.port : 0}`;
}

test.each(['5.0.14', '6.0.16'])('Redis %s is refused as too old', async (version) => {
  await expect(useByUrl(await reporting({ redis_version: version }))).rejects.toThrow(`Redis ${version} is too old`);
});

test.each([
  ['Redis 6.2.0', { redis_version: '6.2.0' }],
  ['Redis 8.4.1', { redis_version: '8.4.1' }],
  ['Valkey 8.1.1', { redis_version: '7.2.4', valkey_version: '8.1.1' }],
])('%s is accepted under its own name', async (name, fields) => {
  expect((await useByUrl(await reporting(fields))).description).toContain(name);
});
