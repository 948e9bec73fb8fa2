import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../shared/config.ts';
import { FleetError } from '../shared/errors.ts';
import { signingKey } from '../shared/evidence/signing-key.ts';
import { packagePath } from '../shared/package-root.ts';

const READY_MS = 60_000;
/** What a fleet takes beyond its drain: 3 s to stop what has not ended, and some to close. */
const STOP_GRACE_MS = 6_000;

export interface ChildWorker {
  name: string;
  logFile: string;
  /** Rejects should the worker end before it is told to. */
  failed: Promise<never>;
  /** Lets it finish what is under way, for as long as its drain; at once, when there is nothing to finish for. */
  stop(atOnce?: boolean): Promise<void>;
}

/** What a worker of this machine has in common with the process that starts it, whatever work folder it has. */
export async function sharedSettings(config: Readonly<Config>, redisUrl: string): Promise<NodeJS.ProcessEnv> {
  // The key is made now: workers that start side by side would each want their own.
  await signingKey(config.signingKey);
  return {
    REDIS_URL: redisUrl,
    MAESTRO_BLOBS: config.blobs,
    MAESTRO_PREFIX: config.prefix,
    MAESTRO_SIGNING_KEY: config.signingKey.file,
  };
}

/**
 * Starts `maestro worker` as a process of its own, with a work folder that it shares with nobody.
 * It ends when it is told to, and when this process is gone, however that came about.
 */
export async function startChildWorker(options: {
  name: string;
  home: string;
  env: NodeJS.ProcessEnv;
  args: readonly string[];
  /** How long its work may go on when it is told to stop. */
  drainMs: number;
  signal: AbortSignal;
}): Promise<ChildWorker> {
  const home = join(options.home, options.name);
  await mkdir(home, { recursive: true });
  const logFile = join(home, 'worker.log');
  const child = spawn(
    process.execPath,
    [packagePath('bin', 'maestro'), 'worker', '--exit-with-parent', ...options.args],
    {
      cwd: home,
      env: { ...options.env, MAESTRO_HOME: home },
      stdio: ['pipe', 'ignore', 'pipe'],
      // Its own process group: Ctrl-C reaches this process alone, which then stops its workers in order.
      detached: true,
    },
  );
  const log = createWriteStream(logFile);
  child.stderr.pipe(log);
  const last: string[] = [];
  const ended = once(child, 'exit');
  let isStopping = false;
  const failed = ended.then(async (): Promise<never> => {
    if (isStopping) return new Promise<never>(() => undefined);
    throw new FleetError('INTERNAL', `${options.name} ended by itself: ${last.slice(-3).join(' | ') || 'no output'}`, {
      remedy: `See ${logFile}.`,
    });
  });
  failed.catch(() => undefined);
  const stop = async (atOnce = false): Promise<void> => {
    isStopping = true;
    await stopChild(child, ended, atOnce ? 0 : options.drainMs + STOP_GRACE_MS);
  };
  const isReady = new Promise<void>((resolve) => {
    createInterface(child.stderr).on('line', (line) => {
      last.push(line);
      if (last.length > 20) last.shift();
      if (line.startsWith('worker ready')) resolve();
    });
  });
  const tooLate = async (): Promise<never> => {
    // Rejects only when the person who started it has stopped it.
    await sleep(READY_MS, undefined, { ref: false, signal: options.signal }).catch(() => undefined);
    if (options.signal.aborted) throw new FleetError('CANCELLED', `stopped before ${options.name} was ready`);
    throw new FleetError('INTERNAL', `${options.name} was not ready after ${READY_MS / 1000} s`, {
      remedy: `See ${logFile}.`,
    });
  };
  try {
    await Promise.race([isReady, failed, tooLate()]);
  } catch (err) {
    await stop();
    throw err;
  }
  return { name: options.name, logFile, failed, stop };
}

async function stopChild(child: ChildProcess, ended: Promise<unknown>, stopMs: number): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGTERM');
  const isDone = await Promise.race([ended.then(() => true), sleep(stopMs, false, { ref: false })]);
  if (isDone) return;
  child.kill('SIGKILL');
  await ended;
}

/** An environment without any model's key or address: what is started from it cannot spend money. */
export function withoutModelKeys(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => !name.startsWith('ANTHROPIC_')));
}
