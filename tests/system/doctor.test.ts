import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';
import { nodeCheck } from '../../src/cli/doctor/machine-checks.ts';
import { readConfig } from '../../src/shared/config.ts';
import { silentLogger } from '../../src/shared/logger.ts';
import { connectRedis } from '../../src/shared/redis.ts';
import { findRedis } from '../../src/shared/redis-server.ts';
import { runProcess } from '../../src/shared/process.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { testRedis } from '../support/test-redis.ts';
import { cleanEnv, place, run, start } from './maestro.ts';

const Report = z.strictObject({
  ok: z.boolean(),
  checks: z.array(
    z.strictObject({ name: z.string(), outcome: z.string(), ok: z.boolean(), detail: z.string(), remedy: z.string() }),
  ),
});
async function examine(env: NodeJS.ProcessEnv, home: string, ...args: string[]) {
  const ended = await run(['doctor', '--json', ...args], env, home);
  const report = Report.parse(JSON.parse(ended.stdout));
  return { ...ended, report, of: Object.fromEntries(report.checks.map((check) => [check.name, check])) };
}

/** A Redis of this test alone, whose settings may be spoilt. */
async function redisOfOwn() {
  const home = await tempFolder();
  const { cache } = readConfig({ XDG_CACHE_HOME: process.env['XDG_CACHE_HOME'] }, home);
  const server = await findRedis({
    config: { redisUrl: undefined, home, cache },
    logger: silentLogger(),
    start: 'if-needed',
  });
  const redis = await connectRedis(server.url, 'producer');
  onTestFinished(async () => {
    redis.disconnect();
    await server.stop();
  });
  return { url: server.url, redis };
}

/** A server that notes what it is asked. */
async function endpoint() {
  const asked: { method: string | undefined; key: unknown; authorization: unknown }[] = [];
  const server = createServer((req, res) => {
    asked.push({ method: req.method, key: req.headers['x-api-key'], authorization: req.headers.authorization });
    res.writeHead(404).end();
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  const { port } = z.looseObject({ port: z.number() }).parse(server.address());
  return { url: `http://127.0.0.1:${port}`, port, asked, server };
}

test('a sound machine is well; the endpoint is asked without the key, and a port names its owner', async () => {
  const { env, home } = await place(testRedis());
  const model = await endpoint();
  const more = { PORT: '0', ANTHROPIC_BASE_URL: model.url, ANTHROPIC_API_KEY: 'sk-doctor-secret' };
  const { exit, stdout, of, report } = await examine({ ...env, ...more }, home);
  expect(report.checks.filter(({ ok }) => !ok)).toEqual([]);
  expect(exit).toBe(0);
  expect(model.asked).toEqual([{ method: 'HEAD', key: undefined, authorization: undefined }]);
  expect(of['model']?.detail).toMatch(/a key is set; 127\.0\.0\.1:\d+ answers \(HTTP 404\) in \d+ ms; no key was sent/);
  expect(stdout).not.toContain('sk-doctor-secret');
  expect(of['redis']?.detail).toMatch(/Redis \d+\.\d+\.\d+, noeviction/);
  expect(of['persistence']).toMatchObject({ outcome: 'ok', detail: 'append-only file on' });
  expect(of['latency']?.detail).toMatch(/^[\d.]+ ms at the median of 20 pings/);
  expect(of['clock']).toMatchObject({ outcome: 'ok', detail: 'the same as the clock of Redis' });
  expect(of['workers']).toMatchObject({ outcome: 'warning', detail: 'none is running' });

  const busy = await examine({ ...env, PORT: String(model.port) }, home);
  expect(busy.exit).toBe(4);
  expect(busy.of['port']?.detail).toMatch(new RegExp(`^${model.port} is taken by pid ${process.pid} `));
  expect(busy.of['port']?.remedy).toContain('--port 0');
  // Without an endpoint of one's own nothing is called unless it is asked for.
  expect(busy.of['model']?.detail).toContain('the default endpoint was not called');
});

test('a port is well when the API holds it: by what answers there, whatever the program is called', async () => {
  const { env, home } = await place(testRedis());
  const serving = start(['serve', '--port', '0'], env, home);
  const [, port = ''] = await serving.says(/http:\/\/127\.0\.0\.1:(\d+)/);
  const served = await examine({ ...env, PORT: port }, home);
  expect(served.of['port']).toMatchObject({ outcome: 'ok' });
  expect(served.of['port']?.detail).toMatch(/ is served by pid \d+ \(.*\): a Maestro API, ready$/);

  const named = await tempFolder();
  const program = join(named, 'maestro.mjs');
  await writeFile(
    program,
    `import { createServer } from 'node:http';
     const server = createServer((_req, res) => res.end('{"status":"ready"}')).listen(0, '127.0.0.1', () => console.error(server.address().port + ' open'));`,
  );
  const other = spawn(process.execPath, [program], { stdio: ['ignore', 'ignore', 'pipe'] });
  onTestFinished(() => void other.kill('SIGKILL'));
  const [line] = z.tuple([z.instanceof(Buffer)]).parse(await once(other.stderr, 'data'));
  const taken = await examine({ ...env, PORT: String(Number.parseInt(line.toString(), 10)) }, home);
  expect(taken.exit).toBe(4);
  expect(taken.of['port']?.detail).toMatch(new RegExp(` is taken by pid ${other.pid} \\(.*maestro\\.mjs`));
});

test('a Redis that loses work is told apart: evicting, without persistence, nearly full', async () => {
  const { url, redis } = await redisOfOwn();
  const home = await tempFolder();
  const env = cleanEnv({ REDIS_URL: url, MAESTRO_HOME: home, PORT: '0' });
  await redis.config('SET', 'appendonly', 'no');
  const lossy = await examine(env, home);
  expect(lossy.exit).toBe(0);
  expect(lossy.of['persistence']).toMatchObject({
    outcome: 'warning',
    detail: 'no persistence, so a restart of Redis loses every run',
  });
  expect(lossy.of['persistence']?.remedy).toContain('appendonly yes');
  await redis.set('ballast', 'x'.repeat(30 * 1024 ** 2));
  await redis.config('SET', 'maxmemory', '36mb');
  expect((await examine(env, home)).of['memory']).toMatchObject({ outcome: 'warning' });
  await redis.config('SET', 'maxmemory', '0');
  await redis.config('SET', 'maxmemory-policy', 'allkeys-lru');
  const evicting = await examine(env, home);
  expect(evicting.exit).toBe(4);
  expect(evicting.of['redis']).toMatchObject({ outcome: 'failed' });
  expect(evicting.of['redis']?.detail).toContain('maxmemory-policy allkeys-lru');
  expect(evicting.of['redis']?.remedy).toContain('CONFIG SET maxmemory-policy noeviction');
  expect(evicting.of['clock']).toMatchObject({ outcome: 'skipped' });
});

test('what cannot be used is named with its remedy, in a table that lines up', async () => {
  const home = await tempFolder();
  const file = join(home, 'a-file');
  await writeFile(file, '');
  const { port: closed, server } = await endpoint();
  server.close();
  await once(server, 'close');
  const env = cleanEnv({
    REDIS_URL: 'redis://127.0.0.1:1',
    MAESTRO_HOME: home,
    MAESTRO_BLOBS: join(file, 'blobs'),
    ANTHROPIC_BASE_URL: `http://127.0.0.1:${closed}`,
    PATH: '/nowhere',
  });
  const { exit, of } = await examine(env, home);
  expect(exit).toBe(4);
  expect(of['git']).toMatchObject({ outcome: 'failed', detail: 'git is not installed' });
  expect(of['redis']?.detail).toContain('Redis does not answer at redis://127.0.0.1:1');
  expect(of['blobs']?.outcome).toBe('failed');
  expect(of['model']).toMatchObject({
    outcome: 'failed',
    detail: `127.0.0.1:${closed} cannot be reached: nothing listens there`,
  });
  expect(Object.values(of).filter(({ outcome, remedy }) => outcome === 'failed' && remedy === '')).toEqual([]);
  const table = await run(['doctor'], env, home);
  expect(table.exit).toBe(4);
  const lines = table.stdout.trimEnd().split('\n');
  for (const line of lines) expect(line).toMatch(/^(?:[✔!✘–] [a-z]+ +| {15})\S/);
  expect(lines.every((line) => line.slice(13, 15) === '  ')).toBe(true);
  expect(table.stderr).toMatch(/parts cannot be used: git, redis, /);
  expect(() => nodeCheck('18.20.1')).toThrow('Node 18.20.1 is too old');
});

test('a full disk is named by what lies on it', async () => {
  const folder = join(await tempFolder(), 'small');
  await mkdir(folder);
  const mount = (...argv: string[]) =>
    runProcess({ argv, cwd: '/', env: { PATH: process.env['PATH'] ?? '' }, timeoutMs: 10_000, outputBytes: 10_000 });
  const mounted = await mount('mount', '-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', folder);
  // Only where this may be done is there a small disk; everywhere else a folder of the system that has no room stands in.
  const full = mounted.exitCode === 0 ? folder : '/proc/maestro';
  if (mounted.exitCode === 0) onTestFinished(async () => void (await mount('umount', folder)));
  const env = cleanEnv({ REDIS_URL: 'redis://127.0.0.1:1', MAESTRO_HOME: full });
  const { of } = await examine(env, '/');
  expect(of['disk']?.outcome).toBe('failed');
  expect(of['disk']?.detail).toContain(`0.0 GiB free below ${full} (data)`);
  expect(of['disk']?.remedy).toBe('Free at least 2 GiB there.');
});
