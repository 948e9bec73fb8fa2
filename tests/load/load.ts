import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { enqueueRun } from '../../src/producer/enqueue.ts';
import { openBlobStore } from '../../src/shared/open-blob-store.ts';
import { packagePath } from '../../src/shared/package-root.ts';
import { connectRedis } from '../../src/shared/redis.ts';
import { type RunEvent, type RunPlan, TERMINAL_RUN } from '../../src/shared/run-record.ts';
import { RunStore } from '../../src/shared/run-store.ts';
import { startScriptedProvider } from '../../src/workers/scripted/server.ts';
import { TALKER, planTalk, talkDefinitions, talkScript, talkTurns } from '../support/talks.ts';

export interface LoadOptions {
  conversations: number;
  /** What the model takes for each answer. */
  delayMs: number;
  redisUrl: string;
  prefix: string;
  /** A folder of its own. */
  home: string;
  /** A command that each conversation runs in the sandbox; none when left out. */
  command?: string;
  /** Text of the file that each conversation writes: large conversations show what copying them costs. */
  text?: string;
  limitMs: number;
  /** The environment that the worker starts from. */
  env: NodeJS.ProcessEnv;
  /** Further arguments of Node, such as those of its profiler. */
  nodeArgs?: readonly string[];
  say?: (line: string) => void;
}

/** What the worker process said of itself at one moment. */
export interface LoadSample {
  atMs: number;
  rssBytes: number;
  cpuSeconds: number;
  conversations: number;
}

export interface Talk {
  status: string;
  turns: number;
  faults: number;
  /** Milliseconds from the beginning of the load. */
  firstTurnAtMs: number;
  endedAtMs: number;
  /** The longest time between two turns. */
  longestGapMs: number;
}

export interface LoadReport {
  talks: Talk[];
  seconds: number;
  samples: LoadSample[];
  /** Seconds, over all of the load. */
  loopDelay: { p50: number; p99: number; max: number };
  /** Seconds of processor time of the main thread between two looks at the loop, and in stretches that held it too long. */
  loopBusy: { p99: number; max: number; held: number };
  /** Calls that the provider answered. */
  calls: number;
  exit: number | null;
}

/**
 * Conversations at once in one worker process of the command, each in a run and a work tree of its own: real queue,
 * HTTP, tools, sandbox, git and gates; only the model is played.
 */
export async function loadConversations(options: LoadOptions): Promise<LoadReport> {
  const { conversations, delayMs, prefix, home, say = () => undefined } = options;
  const redis = await connectRedis(options.redisUrl, 'producer');
  const turns = talkTurns({
    delayMs,
    ...(options.command === undefined ? {} : { command: options.command }),
    ...(options.text === undefined ? {} : { text: options.text }),
  });
  const provider = await startScriptedProvider({ scripts: [talkScript(turns)] });
  const blobs = openBlobStore(join(home, 'blobs'));
  const store = new RunStore(redis, prefix);
  let worker: LoadedWorker | undefined;
  try {
    worker = await startWorker({ ...options, scriptedUrl: provider.url, blobs: blobs.location });
    say(`worker ${worker.child.pid} is ready; ${conversations} conversations of ${turns.length} turns begin`);
    const samples = [await sampleOf(worker.url, 0)];
    const definitions = await talkDefinitions(blobs);
    const began = Date.now();
    const plans: RunPlan[] = [];
    for (let number = 0; number < conversations; number += 1) {
      const plan = planTalk(definitions);
      plans.push(plan);
      await enqueueRun({ redis, prefix, store }, plan);
    }
    await untilEnded({ store, plans, began, worker, samples, limitMs: options.limitMs, say });
    const seconds = (Date.now() - began) / 1000;
    const metrics = await metricsOf(worker.url);
    const talks = await Promise.all(plans.map((plan) => talkOf(store, plan, began)));
    const loop = (what: 'delay' | 'busy', quantile: string): number =>
      metrics.get(`maestro_worker_event_loop_${what}_seconds{quantile="${quantile}"}`) ?? Number.NaN;
    const exit = await worker.stop();
    return {
      talks,
      seconds,
      samples,
      loopDelay: { p50: loop('delay', '0.5'), p99: loop('delay', '0.99'), max: loop('delay', '1') },
      loopBusy: {
        p99: loop('busy', '0.99'),
        max: loop('busy', '1'),
        held: metrics.get('maestro_worker_event_loop_held_seconds_total') ?? Number.NaN,
      },
      calls: provider.requests,
      exit,
    };
  } finally {
    await worker?.stop();
    await provider.close();
    redis.disconnect();
  }
}

interface LoadedWorker {
  child: ChildProcess;
  url: string;
  /** Ends it; the exit code. */
  stop(): Promise<number | null>;
}

async function startWorker(options: LoadOptions & { scriptedUrl: string; blobs: string }): Promise<LoadedWorker> {
  const args = ['worker', '--personas', TALKER, '--gates', '--concurrency', String(options.conversations)];
  const child = spawn(
    process.execPath,
    [...(options.nodeArgs ?? []), packagePath('bin', 'maestro'), ...args, '--health-port', '0'],
    {
      cwd: options.home,
      env: {
        ...options.env,
        REDIS_URL: options.redisUrl,
        MAESTRO_PREFIX: options.prefix,
        MAESTRO_HOME: options.home,
        MAESTRO_BLOBS: options.blobs,
        MAESTRO_SCRIPTED_URL: options.scriptedUrl,
      },
      stdio: ['ignore', 'ignore', 'pipe'],
    },
  );
  const ended = once(child, 'exit');
  let said = '';
  const url = await new Promise<string>((resolve, reject) => {
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(-20_000);
      const found = /^health +(http:\S+)\/readyz/m.exec(said);
      if (found?.[1] !== undefined && /^worker ready/m.test(said)) resolve(found[1]);
    });
    void ended.then(() => reject(new Error(`the worker ended before it was ready: ${said}`)));
  });
  const stop = async (): Promise<number | null> => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGTERM');
      await ended;
    }
    return child.exitCode;
  };
  return { child, url, stop };
}

async function metricsOf(url: string): Promise<Map<string, number>> {
  const text = await (await fetch(`${url}/metrics`)).text();
  return new Map(
    text
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'))
      .map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]),
  );
}

async function sampleOf(url: string, atMs: number): Promise<LoadSample> {
  const metrics = await metricsOf(url);
  return {
    atMs,
    rssBytes: metrics.get('maestro_worker_resident_memory_bytes') ?? Number.NaN,
    cpuSeconds: metrics.get('maestro_worker_cpu_seconds_total') ?? Number.NaN,
    conversations: metrics.get('maestro_worker_conversations') ?? Number.NaN,
  };
}

async function untilEnded(of: {
  store: RunStore;
  plans: readonly RunPlan[];
  began: number;
  worker: LoadedWorker;
  samples: LoadSample[];
  limitMs: number;
  say: (line: string) => void;
}): Promise<void> {
  const open = new Set(of.plans.map((plan) => plan.runId));
  while (open.size > 0) {
    await sleep(1_000);
    const atMs = Date.now() - of.began;
    const sample = await sampleOf(of.worker.url, atMs);
    of.samples.push(sample);
    const standings = await Promise.all([...open].map((runId) => of.store.getStanding(runId)));
    [...open].forEach((runId, index) => {
      const status = standings[index]?.status;
      if (status !== undefined && TERMINAL_RUN.includes(status)) open.delete(runId);
    });
    of.say(
      `${(atMs / 1000).toFixed(0).padStart(4)} s  ${sample.conversations} talk, ${of.plans.length - open.size} ended, ` +
        `${mib(sample.rssBytes)} MiB`,
    );
    if (atMs > of.limitMs) return;
  }
}

async function talkOf(store: RunStore, plan: RunPlan, began: number): Promise<Talk> {
  const run = await store.getRun(plan.runId);
  const phase = await store.getPhase(plan.runId, 'a');
  const events = await store.readEvents(plan.runId, 0);
  const at = (event: RunEvent | undefined): number =>
    event === undefined ? Number.POSITIVE_INFINITY : Date.parse(event.at) - began;
  const turns = events.filter((event) => event.type === 'persona.turn').map(at);
  return {
    status: run.status,
    turns: turns.length,
    faults: phase.faults,
    firstTurnAtMs: turns[0] ?? Number.POSITIVE_INFINITY,
    endedAtMs: at(events.find((event) => event.type === 'run.finished')),
    longestGapMs: Math.max(0, ...turns.map((turn, index) => turn - (turns[index - 1] ?? 0))),
  };
}

export const mib = (bytes: number): number => Math.round(bytes / 1024 ** 2);
