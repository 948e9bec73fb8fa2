import { setTimeout as sleep } from 'node:timers/promises';
import { QueueEvents } from 'bullmq';
import { FleetError, errorMessage } from '../shared/errors.ts';
import { GateJobResult, GateProgress } from '../shared/jobs.ts';
import { QUEUES, type RunId, jobIds } from '../shared/names.ts';
import { type Redis, connectRedis } from '../shared/redis.ts';
import type { RunStore } from '../shared/run-store.ts';

const BLOCK_MS = 250;
const CLOSE_MS = 2_000;

/** What a listener is told: that its log has grown, that a gate spoke, or that nothing can be heard any more. */
interface RunListener {
  runId: RunId;
  onLog(): void;
  onVerdict(progress: GateProgress): void;
  /** A gate job has ended: its rounds are now in the phase's record. */
  onGateDone(phase: string): void;
  onLost(err: FleetError): void;
}

/**
 * Tells any number of listeners when their run moves, over two Redis connections in all:
 * one blocked read over the logs of every watched run, and one on the events of the gate jobs.
 */
export class RunSignals {
  readonly #listeners = new Set<RunListener>();
  readonly #cursors = new Map<RunId, string>();
  readonly #store: RunStore;
  readonly #log: Redis;
  readonly #events: Redis;
  readonly #gates: QueueEvents;
  #isReading = false;
  #closed: Promise<void> | undefined;

  private constructor(store: RunStore, log: Redis, events: Redis, gates: QueueEvents) {
    this.#store = store;
    this.#log = log;
    this.#events = events;
    this.#gates = gates;
  }

  static async open(options: { redisUrl: string; prefix: string; store: RunStore }): Promise<RunSignals> {
    const [log, events] = await Promise.all([
      connectRedis(options.redisUrl, 'worker'),
      connectRedis(options.redisUrl, 'worker'),
    ]);
    const gates = new QueueEvents(QUEUES.gates, { connection: events, prefix: options.prefix });
    await gates.waitUntilReady();
    const signals = new RunSignals(options.store, log, events, gates);
    // Job events are the fast way only; the log tells the same, so a lost connection here loses nothing.
    gates.on('error', () => undefined);
    gates.on('progress', ({ data }) => signals.#heardVerdict(data));
    gates.on('completed', ({ jobId, returnvalue }) => signals.#heardGateDone(jobId, returnvalue));
    return signals;
  }

  /** Adds a listener; the returned function removes it. `afterSeq`: what it has already read. */
  listen(listener: RunListener, afterSeq: number): () => void {
    this.#listeners.add(listener);
    if (!this.#cursors.has(listener.runId)) this.#cursors.set(listener.runId, `${afterSeq}-0`);
    if (!this.#isReading) void this.#readLogs();
    return () => {
      this.#listeners.delete(listener);
      if (this.#of(listener.runId).length === 0) this.#cursors.delete(listener.runId);
    };
  }

  close(): Promise<void> {
    this.#closed ??= this.#end();
    return this.#closed;
  }

  async #end(): Promise<void> {
    this.#log.disconnect();
    // A connection that is looking for a lost Redis never tells that it has closed.
    const timer = new AbortController();
    const tooLong = sleep(CLOSE_MS, undefined, { signal: timer.signal }).catch(() => undefined);
    await Promise.race([this.#gates.close(), tooLong]);
    timer.abort();
    this.#events.disconnect();
  }

  #of(runId: string): RunListener[] {
    return [...this.#listeners].filter((listener) => listener.runId === runId);
  }

  #heardVerdict(data: unknown): void {
    const progress = GateProgress.safeParse(data);
    if (!progress.success) return;
    for (const listener of this.#of(progress.data.runId)) listener.onVerdict(progress.data);
  }

  #heardGateDone(jobId: string, returnvalue: unknown): void {
    const result = GateJobResult.safeParse(returnvalue);
    if (!result.success) return;
    const { phase } = result.data;
    for (const listener of this.#listeners)
      // In whatever generation of the run.
      if (jobId.startsWith(jobIds.gate({ runId: listener.runId, generation: 0 }, phase))) listener.onGateDone(phase);
  }

  async #readLogs(): Promise<void> {
    this.#isReading = true;
    try {
      while (this.#closed === undefined && this.#cursors.size > 0) {
        const runs = [...this.#cursors];
        const keys = runs.map(([runId]) => this.#store.eventsKey(runId));
        const cursors = runs.map(([, cursor]) => cursor);
        const reply = await this.#log.xread('BLOCK', BLOCK_MS, 'STREAMS', ...keys, ...cursors);
        for (const [key, entries] of reply ?? []) {
          const runId = runs[keys.indexOf(key)]?.[0];
          const last = entries.at(-1)?.[0];
          if (runId === undefined || last === undefined) continue;
          if (this.#cursors.has(runId)) this.#cursors.set(runId, last);
          for (const listener of this.#of(runId)) listener.onLog();
        }
      }
    } catch (err) {
      if (this.#closed !== undefined) return;
      const lost = new FleetError('REDIS_UNAVAILABLE', `the run's log cannot be read: ${errorMessage(err)}`, {
        cause: err,
        retry: true,
      });
      for (const listener of this.#listeners) listener.onLost(lost);
    } finally {
      this.#isReading = false;
    }
  }
}
