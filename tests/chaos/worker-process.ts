import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { build } from 'esbuild';
import { PACKAGE_ROOT } from '../../src/shared/package-root.ts';
import { type CutProxy, cutProxy } from '../support/cut-proxy.ts';
import type { WorkerOptions } from './worker.ts';

/** Bundles the worker program once, so that a new process is there quickly. */
export async function bundleWorker(folder: string): Promise<string> {
  const outfile = join(folder, 'worker.cjs');
  await build({
    entryPoints: [join(PACKAGE_ROOT, 'tests', 'chaos', 'worker.ts')],
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: 'node20',
    define: { 'import.meta.url': JSON.stringify(`file://${PACKAGE_ROOT}/src/shared/bundled.js`) },
    outfile,
    logLevel: 'error',
  });
  return outfile;
}

/** A worker process with a way to Redis of its own. */
export interface WorkerProcess {
  name: string;
  proxy: CutProxy;
  /** Out of reach for now, so that nothing else is done to it. */
  isAway: boolean;
  isGone: boolean;
  freeze(): void;
  thaw(): void;
  /** Whether the system says that it is stopped. */
  isStopped(): Promise<boolean>;
  /** Resident memory in bytes. */
  memory(): Promise<number>;
  kill(): Promise<void>;
  stop(): Promise<void>;
}

export async function startWorker(
  program: string,
  redisUrl: string,
  options: Omit<WorkerOptions, 'redisUrl'>,
): Promise<WorkerProcess> {
  const proxy = await cutProxy(redisUrl);
  const child: ChildProcess = spawn(process.execPath, [program, JSON.stringify({ ...options, redisUrl: proxy.url })], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  await Promise.race([once(child.stdout ?? child, 'data'), exited]);
  const { pid } = child;
  if (pid === undefined || child.exitCode !== null) throw new Error(`worker ${options.name} did not start`);
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    worker.isGone = true;
    child.kill(signal);
    if (signal !== 'SIGKILL' && (await Promise.race([exited, sleep(5_000, 'late', { ref: false })])) === 'late')
      child.kill('SIGKILL');
    await exited;
    await proxy.close();
  };
  const worker: WorkerProcess = {
    name: options.name,
    proxy,
    isAway: false,
    isGone: false,
    freeze: () => void child.kill('SIGSTOP'),
    thaw: () => void child.kill('SIGCONT'),
    isStopped: async () => / T /.test((await readFile(`/proc/${pid}/stat`, 'utf8')).replace(/\(.*\)/s, '')),
    memory: async () => {
      const text = await readFile(`/proc/${pid}/status`, 'utf8');
      return Number(/^VmRSS:\s+(\d+) kB$/m.exec(text)?.[1] ?? 0) * 1024;
    },
    kill: () => end('SIGKILL'),
    stop: () => end('SIGTERM'),
  };
  return worker;
}
