import { execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { closeSync, constants, openSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { z } from 'zod';
import type { Config } from './config.ts';
import { FleetError } from './errors.ts';
import { hasCode, isAlive, readIfPresent, withFileLock } from './file-lock.ts';
import type { Logger } from './logger.ts';
import { once } from './once.ts';
import { type RedisBinary, findRedisBinary } from './redis-binary.ts';
import { checkRedis } from './redis-check.ts';
import { connectRedis, redactUrl } from './redis.ts';

const START_MS = 60_000;
const STOP_MS = 5_000;
const PORT_TRIES = 5;

export interface RedisHandle {
  url: string;
  /** True when this call started it. */
  started: boolean;
  /** For people: which Redis, how safe it is; never the password. */
  description: string;
  /** Gives it up, as the end of this process does; a private one ends with the last who asked for it to be started. */
  stop(): Promise<void>;
}

export interface FindRedisOptions {
  config: Pick<Config, 'redisUrl' | 'home' | 'cache'>;
  logger: Logger;
  start: 'never' | 'if-needed';
  /** Folders to look for a server program in, instead of this process's PATH. */
  path?: string | undefined;
}

const Pid = z.number().int().positive();
/**
 * How commands of the same `home` find the private Redis that one of them started. `holders` are those it runs for;
 * a process may hold it more than once.
 */
const State = z.strictObject({ url: z.string(), pid: Pid, holders: z.array(Pid).default([]) });
type State = z.infer<typeof State>;

/**
 * The Redis to work with: REDIS_URL (checked, never started), else the private one that runs for this `home`,
 * else, when asked for, a newly started private one. There is no other fallback.
 */
export async function findRedis(options: FindRedisOptions): Promise<RedisHandle> {
  const { config, start } = options;
  if (config.redisUrl !== undefined) return attach(config.redisUrl, 'REDIS_URL');
  const folder = join(config.home, 'redis');
  if (start === 'never') {
    const running = await findRunning(folder);
    if (running !== undefined) return running;
    throw new FleetError('REDIS_UNAVAILABLE', `no Redis is running for ${config.home}`, {
      remedy: 'Run `maestro up`, which starts a private one, or set REDIS_URL.',
    });
  }
  await mkdir(folder, { recursive: true, mode: 0o700 });
  return locked(folder, async () => {
    const running = await findRunning(folder);
    if (running === undefined) return startPrivate(folder, options);
    const letGo = await hold(folder);
    return { ...running, stop: async () => void (await letGo()) };
  });
}

const locked = <T>(folder: string, work: () => Promise<T>): Promise<T> =>
  withFileLock(join(folder, 'start.lock'), 2 * START_MS, work);

/** Checks a Redis that is not ours. */
async function attach(url: string, origin: string): Promise<RedisHandle> {
  const description = `${await inspect(url)} (${origin}, ${redactUrl(url)})`;
  return { url, started: false, description, stop: async () => undefined };
}

async function inspect(url: string): Promise<string> {
  const redis = await connectRedis(url, 'producer');
  try {
    return await checkRedis(redis);
  } finally {
    redis.disconnect();
  }
}

/** The private Redis of this home, if it answers. A state file that leads nowhere is removed. */
async function findRunning(folder: string): Promise<RedisHandle | undefined> {
  const file = stateFile(folder);
  const text = await readIfPresent(file);
  if (text === undefined) return undefined;
  const state = parseState(text);
  if (state !== undefined && (await isServer(state.pid))) {
    try {
      return await attach(state.url, `private, process ${state.pid}`);
    } catch (err) {
      if (!(err instanceof FleetError) || err.code !== 'REDIS_UNAVAILABLE') throw err;
      await waitUntilGone(state, folder, err);
    }
  }
  await rm(file, { force: true });
  return undefined;
}

const stateFile = (folder: string): string => join(folder, 'redis.json');
const readState = async (folder: string): Promise<State | undefined> =>
  parseState((await readIfPresent(stateFile(folder))) ?? '');
const writeState = (folder: string, state: State): Promise<void> =>
  writeFile(stateFile(folder), JSON.stringify(state), { mode: 0o600 });

function parseState(text: string): State | undefined {
  try {
    return State.safeParse(JSON.parse(text)).data;
  } catch (err) {
    if (err instanceof SyntaxError) return undefined;
    throw err;
  }
}

/** A pid may have passed on to another program, which must not be taken for the server. */
async function isServer(pid: number): Promise<boolean> {
  if (!isAlive(pid)) return false;
  if (process.platform !== 'linux') return true;
  return /^(redis|valkey)-/.test((await readIfPresent(`/proc/${pid}/comm`)) ?? '');
}

/** A server that is shutting down still has its files open: two servers on one append-only file would damage it. */
async function waitUntilGone(state: State, folder: string, cause: unknown): Promise<void> {
  const deadline = Date.now() + 2 * STOP_MS;
  while (await isServer(state.pid)) {
    if (Date.now() > deadline) {
      throw new FleetError('REDIS_UNAVAILABLE', `the private Redis of ${folder} does not answer`, {
        cause,
        remedy: `End process ${state.pid}, then try again.`,
      });
    }
    await sleep(50);
  }
}

async function startPrivate(folder: string, { config, logger, path }: FindRedisOptions): Promise<RedisHandle> {
  const binary = await findRedisBinary({ config, logger, path });
  for (let tries = 1; ; tries += 1) {
    const server = await launch(binary, folder);
    const failure = await server.ready();
    if (failure === undefined) return adopt(server, binary, folder);
    await server.kill();
    if (!failure.includes('Address already in use') || tries === PORT_TRIES) {
      throw new FleetError('REDIS_UNAVAILABLE', `${binary.description} did not start: ${failure}`, {
        remedy: `Look into ${join(folder, 'redis.log')}, or set REDIS_URL.`,
      });
    }
  }
}

async function adopt(server: Server, binary: RedisBinary, folder: string): Promise<RedisHandle> {
  try {
    const pid = await serverPid(server.url);
    const description = `${await inspect(server.url)} (private, ${binary.description}, process ${pid})`;
    await writeState(folder, { url: server.url, pid, holders: [] });
    const letGo = await hold(folder);
    server.handOver();
    const stop = async (): Promise<void> => {
      if (await letGo()) await server.kill();
    };
    return { url: server.url, started: true, description, stop };
  } catch (err) {
    await server.kill();
    throw err;
  }
}

/** Makes the Redis that runs live at least as long as this process, or until what is returned is called. */
async function hold(folder: string): Promise<() => Promise<boolean>> {
  const state = await readState(folder);
  const pipe = openHold(folder);
  if (state !== undefined) await writeState(folder, { ...state, holders: [...state.holders, process.pid] });
  /** True when nobody held it any more: then it has ended. */
  const letGo = (): Promise<boolean> =>
    locked(folder, async () => {
      closeSync(pipe);
      const now = await readState(folder);
      if (now === undefined || now.pid !== state?.pid) return true;
      const mine = now.holders.indexOf(process.pid);
      const holders = now.holders.filter((pid, index) => index !== mine && isAlive(pid));
      if (holders.length > 0) {
        await writeState(folder, { ...now, holders });
        return false;
      }
      await waitUntilGone(now, folder, undefined);
      await rm(stateFile(folder), { force: true });
      return true;
    });
  return once(letGo);
}

const pipeOf = (folder: string): string => join(folder, 'held');

function openHold(folder: string): number {
  try {
    return openSync(pipeOf(folder), constants.O_WRONLY | constants.O_NONBLOCK);
  } catch (err) {
    if (!hasCode(err, 'ENXIO') && !hasCode(err, 'ENOENT')) throw err;
    throw new FleetError('REDIS_UNAVAILABLE', `the private Redis of ${folder} is about to end`, {
      cause: err,
      remedy: 'Try again in a moment.',
    });
  }
}

async function serverPid(url: string): Promise<number> {
  const redis = await connectRedis(url, 'producer');
  try {
    return Number(/^process_id:(\d+)/m.exec(await redis.info('server'))?.[1]);
  } finally {
    redis.disconnect();
  }
}

/**
 * The shell holds the reading end of a pipe with a name, and ends the server when nobody holds the writing end any
 * more: the system closes that however a process ends, SIGKILL included. It forks nothing that outlives the server by more than a tenth of a second.
 */
const KEEPER = `
exec 3<&0 </dev/null
"$@" & server=$!
( read -r _ <&3; kill -TERM "$server"
  tries=0; while [ "$tries" -lt 50 ] && kill -0 "$server" 2>/dev/null; do sleep 0.1; tries=$((tries+1)); done
  kill -KILL "$server" ) 2>/dev/null & keeper=$!
exec 3<&-
wait "$server"; status=$?
kill "$keeper" 2>/dev/null
exit "$status"
`;

interface Server {
  url: string;
  /** Resolves to undefined when it listens, or to the reason why it does not. */
  ready(): Promise<string | undefined>;
  /** From now on it runs for those who hold it. */
  handOver(): void;
  /** Waits for its end, which does not come while somebody holds it, and forces it. */
  kill(): Promise<void>;
}

async function launch(binary: RedisBinary, folder: string): Promise<Server> {
  const port = await freePort();
  const password = randomBytes(24).toString('hex');
  const log = join(folder, 'redis.log');
  const configFile = join(folder, 'redis.conf');
  await rm(log, { force: true });
  await writeFile(configFile, serverConfig({ folder, port, password, log }), { mode: 0o600 });
  const pipe = pipeOf(folder);
  await rm(pipe, { force: true });
  await promisify(execFile)('mkfifo', ['-m', '600', pipe]);
  // Open for both, so that neither end waits for the other to be opened.
  let held: number | undefined = openSync(pipe, constants.O_RDWR);
  const watched = openSync(pipe, constants.O_RDONLY);
  const handOver = (): void => {
    if (held !== undefined) closeSync(held);
    held = undefined;
  };
  // A group of its own: Ctrl-C in the terminal must not end Redis before the workers have closed.
  const child = spawn('/bin/sh', ['-c', KEEPER, 'redis-keeper', ...binary.argv, configFile], {
    detached: true,
    cwd: folder,
    env: { PATH: '/usr/bin:/bin', LANG: 'C' },
    stdio: [watched, 'ignore', 'ignore'],
  });
  closeSync(watched);
  const ended = new Promise<void>((done) => {
    child.once('exit', () => done());
    child.once('error', () => done());
  });
  child.unref();
  const hasEnded = (): boolean => child.exitCode !== null || child.signalCode !== null || child.pid === undefined;
  const url = `redis://:${password}@127.0.0.1:${port}`;

  const kill = async (): Promise<void> => {
    handOver();
    if (hasEnded()) return;
    await within(STOP_MS + 2_000, ended);
    if (child.pid !== undefined && !hasEnded()) process.kill(-child.pid, 'SIGKILL');
    await ended;
  };
  const ready = async (): Promise<string | undefined> => {
    const deadline = Date.now() + START_MS;
    while (!hasEnded() && Date.now() < deadline) {
      if ((await readIfPresent(log))?.includes('Ready to accept connections')) return undefined;
      await within(10, ended);
    }
    const lines = ((await readIfPresent(log)) ?? '').trim().split('\n');
    return lines.slice(-3).join(' ') || 'it ended without a word';
  };
  return { url, ready, handOver, kill };
}

/** Waits for the promise, but no longer than this. */
async function within(ms: number, promise: Promise<void>): Promise<void> {
  const timer = new AbortController();
  await Promise.race([promise, sleep(ms, undefined, { signal: timer.signal }).catch(() => undefined)]);
  timer.abort();
}

const serverConfig = (is: { folder: string; port: number; password: string; log: string }): string =>
  [
    'bind 127.0.0.1',
    `port ${is.port}`,
    'protected-mode yes',
    `requirepass ${is.password}`,
    `dir ${JSON.stringify(is.folder)}`,
    `logfile ${JSON.stringify(is.log)}`,
    'daemonize no',
    'save ""',
    'appendonly yes',
    'appendfsync everysec',
    'maxmemory-policy noeviction',
    '',
  ].join('\n');

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.once('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const address = probe.address();
      const port = address !== null && typeof address === 'object' ? address.port : 0;
      probe.close(() => resolve(port));
    });
  });
}
