import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { readConfig } from '../../src/shared/config.ts';
import { silentLogger } from '../../src/shared/logger.ts';
import { connectRedis } from '../../src/shared/redis.ts';
import { findRedisBinary } from '../../src/shared/redis-binary.ts';

export async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const address = probe.address();
  probe.close();
  return typeof address === 'object' && address !== null ? address.port : 0;
}

export interface RedisProcess {
  url: string;
  /** Kills it as a power cut would, and starts it again on what its append-only file holds. */
  killAndRestart(downMs: number): Promise<void>;
  stop(): Promise<void>;
}

/** A Redis with an append-only file, at a port of its own. */
export async function startRedis(folder: string, port: number): Promise<RedisProcess> {
  const { cache } = readConfig(process.env, folder);
  const { argv } = await findRedisBinary({ config: { cache }, logger: silentLogger() });
  const url = `redis://127.0.0.1:${port}`;
  const [program = '', ...before] = argv;
  const settings = {
    port,
    bind: '127.0.0.1',
    dir: folder,
    logfile: join(folder, 'redis.log'),
    save: '',
    appendonly: 'yes',
    appendfsync: 'everysec',
    'maxmemory-policy': 'noeviction',
  };
  const options = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)]);
  const start = async (): Promise<ChildProcess> => {
    const child = spawn(program, [...before, ...options], { stdio: 'ignore' });
    for (let tries = 0; ; tries += 1) {
      try {
        const redis = await connectRedis(url, 'producer');
        await redis.ping();
        redis.disconnect();
        return child;
      } catch (err) {
        if (tries > 100 || child.exitCode !== null) throw err;
        await sleep(50);
      }
    }
  };
  let child = await start();
  const stop = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
  };
  return {
    url,
    stop,
    killAndRestart: async (downMs) => {
      await stop();
      await sleep(downMs);
      child = await start();
    },
  };
}
