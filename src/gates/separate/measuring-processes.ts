import { type ChildProcess, fork } from 'node:child_process';
import { homedir, tmpdir } from 'node:os';
import type { z } from 'zod';
import { FleetError, errorMessage } from '../../shared/errors.ts';
import { packagePath } from '../../shared/package-root.ts';
import type { SandboxSettings } from '../../shared/sandbox/sandbox-settings.ts';
import { toldError } from '../../shared/told-error.ts';
import { timeLimit } from '../../shared/time-limit.ts';
import { Turns } from '../../shared/turns.ts';
import type { CollectContext, Collector } from '../collector.ts';
import type { ReadDocument } from '../document-problems.ts';
import type { MakeCheck } from '../integrity/check-integrity.ts';
import {
  Checked,
  Collected,
  type DeclaredIn,
  Lacks,
  type MeasureMessage,
  MeasureReply,
  type Task,
  nameOf,
} from './messages.ts';

const SCRIPT = packagePath('dist', 'gates', 'separate', 'measure-main.js');
/** As many as measure at once in an ordinary worker stay for the next measurement. */
const MOST_IDLE = 2;
const HEAP_MIB = 1024;
/** How long a collector that was told to stop may take. */
const STOP_MS = 2_000;

/** What one check may take: planted faults alone may take 2 minutes, and suites are run before and after. */
const CHECK_MS = 20 * 60_000;
/** A document of the largest size that people write is parsed in less than one second. */
const READ_MS = 20_000;
/** So many times that long, all documents of a reader together may take. */
const SLOW_DOCUMENTS = 3;

/**
 * Measures in other processes, one thing at a time in each. What measures reads hostile files: parsing a megabyte of
 * Markdown can take minutes and gigabytes. There that holds up no conversation, ends when its time is over, and costs
 * the process that has it when memory runs out.
 */
export class MeasuringProcesses {
  readonly #sandbox: SandboxSettings;
  readonly #limits: { checkMs: number; readMs: number };
  readonly #all = new Set<ChildProcess>();
  readonly #idle: ChildProcess[] = [];
  /** However many documents there are, they take few processes. */
  readonly #reading = new Turns(MOST_IDLE);
  #isClosed = false;

  constructor(sandbox: SandboxSettings, limits: { checkMs?: number; readMs?: number } = {}) {
    this.#sandbox = sandbox;
    this.#limits = { checkMs: CHECK_MS, readMs: READ_MS, ...limits };
  }

  /** The processes that there are. */
  get pids(): number[] {
    return [...this.#all].flatMap(({ pid }) => pid ?? []);
  }

  /** The same collector, which measures in another process. */
  separate(collector: Collector, declared?: DeclaredIn): Collector {
    const { parts } = collector;
    const part = (one: Collector): Collector => this.separate(one);
    return {
      ...collector,
      ...(parts === undefined
        ? {}
        : { parts: { all: parts.all.map(part), of: async (root) => (await parts.of(root)).map(part) } }),
      collect: (context) => this.#collect(nameOf(collector), declared, context),
    };
  }

  /** Ends all of them, with whatever they started. */
  close(): void {
    this.#isClosed = true;
    for (const child of this.#all) {
      leave(child);
      if (this.#idle.includes(child)) continue;
      // It ends what it started when it hears of that; one that parses hears of nothing.
      const killTimer = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
      child.once('exit', () => clearTimeout(killTimer));
    }
  }

  /** Makes a check of integrity in another process; one that takes too long could not be made. */
  readonly checkIntegrity: MakeCheck = async (check, { context: whole, ...input }) => {
    const { sandbox: _, signal, logger, ...context } = whole;
    const { checkMs } = this.#limits;
    const limit = timeLimit(checkMs, signal);
    try {
      return Checked.parse(await this.#measure({ type: 'check', check, input, context }, limit.signal, logger.level));
    } catch (err) {
      throw limit.isOver() ? new FleetError('TIMEOUT', `it took more than ${checkMs / 60_000} minutes`) : err;
    } finally {
      limit.end();
    }
  };

  /**
   * Reads documents in another process; one that cannot be read in time lacks everything. Those that one reader was
   * asked for share a time limit, so that many slow ones do not keep the readers of others waiting.
   */
  readonly readDocument = (signal: AbortSignal): ReadDocument => {
    const { readMs } = this.#limits;
    let leftMs = SLOW_DOCUMENTS * readMs;
    return (root, path, spec) =>
      this.#reading.run(signal, async () => {
        if (leftMs <= 0) return [`${path} was not read: the documents before it took too long`];
        const began = performance.now();
        const limit = timeLimit(readMs, signal);
        try {
          return Lacks.parse(await this.#measure({ type: 'read', root, path, spec }, limit.signal, 'silent'));
        } catch (err) {
          if (signal.aborted) throw err;
          const why = limit.isOver() ? `that takes more than ${readMs / 1000} s` : errorMessage(err);
          return [`${path} cannot be read: ${why}`];
        } finally {
          limit.end();
          leftMs -= Math.min(readMs, performance.now() - began);
        }
      });
  };

  async #collect(
    collector: string,
    declared: DeclaredIn | undefined,
    whole: CollectContext,
  ): Promise<z.infer<typeof Collected>> {
    const { sandbox: _, signal, logger, ...context } = whole;
    return Collected.parse(
      await this.#measure({ type: 'collect', collector, declared, context }, signal, logger.level),
    );
  }

  /** Collectors are repeated by whoever runs them; anything else is, once, when its process was lost. */
  async #measure(task: Task, signal: AbortSignal, logLevel: string): Promise<unknown> {
    try {
      return await this.#measureOnce(task, signal, logLevel);
    } catch (err) {
      if (task.type === 'collect' || signal.aborted || !(err instanceof FleetError) || !err.retry) throw err;
      return this.#measureOnce(task, signal, logLevel);
    }
  }

  async #measureOnce(task: Task, signal: AbortSignal, logLevel: string): Promise<unknown> {
    signal.throwIfAborted();
    const child = this.#idle.pop() ?? this.#start();
    let killTimer: NodeJS.Timeout | undefined;
    const stop = (): void => {
      send(child, { type: 'abort' });
      killTimer = setTimeout(() => child.kill('SIGKILL'), STOP_MS);
    };
    try {
      return await new Promise<unknown>((resolve, reject) => {
        const lose = (how: string): void => {
          child.off('message', onMessage).off('exit', onExit).off('error', onError);
          reject(new FleetError('INTERNAL', `the process that measured ${how}`, { retry: true }));
        };
        const onExit = (code: number | null, by: NodeJS.Signals | null): void =>
          lose(`ended (${by ?? `code ${code}`})`);
        // One that could not be started never ends.
        const onError = (err: Error): void => {
          child.kill('SIGKILL');
          lose(`failed: ${err.message}`);
        };
        const onMessage = (message: unknown): void => {
          child.off('exit', onExit).off('error', onError);
          this.#giveBack(child);
          const reply = MeasureReply.safeParse(message);
          if (!reply.success) reject(reply.error);
          else if (reply.data.type === 'measured') resolve(reply.data.result);
          else reject(toldError(reply.data));
        };
        child.once('exit', onExit);
        child.once('error', onError);
        child.once('message', onMessage);
        child.ref();
        child.channel?.ref();
        signal.addEventListener('abort', stop, { once: true });
        send(child, { type: 'measure', task, sandbox: this.#sandbox, logLevel });
      });
    } finally {
      clearTimeout(killTimer);
      signal.removeEventListener('abort', stop);
    }
  }

  #start(): ChildProcess {
    if (this.#isClosed) throw new FleetError('CANCELLED', 'measuring was cancelled');
    const child = fork(SCRIPT, {
      // Nothing of the worker's environment: there are keys in it.
      env: { HOME: homedir(), TMPDIR: tmpdir() },
      execArgv: [`--max-old-space-size=${HEAP_MIB}`],
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      // A signal to the worker's group is the worker's to answer.
      detached: true,
    });
    this.#all.add(child);
    const forget = (): void => {
      this.#all.delete(child);
      const at = this.#idle.indexOf(child);
      if (at !== -1) this.#idle.splice(at, 1);
    };
    child.once('exit', forget);
    child.on('error', () => {
      if (child.pid === undefined) forget();
    });
    return child;
  }

  #giveBack(child: ChildProcess): void {
    child.unref();
    child.channel?.unref();
    if (this.#isClosed || this.#idle.length >= MOST_IDLE) leave(child);
    else this.#idle.push(child);
  }
}

/** Lets it end; one that is gone already has no channel any more. */
function leave(child: ChildProcess): void {
  if (child.connected) child.disconnect();
}

function send(child: ChildProcess, message: MeasureMessage): void {
  if (child.connected) child.send(message);
}
