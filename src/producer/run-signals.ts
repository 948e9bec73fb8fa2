import { setTimeout as sleep } from 'node:timers/promises';
import { QueueEvents } from 'bullmq';
import { FleetError, errorMessage } from '../shared/errors.ts';
import { type FleetEntry, endOfFleetLog, readFleetLog } from '../shared/fleet-log.ts';
import { GateJobResult, GateProgress } from '../shared/jobs.ts';
import { QUEUES, type RunId } from '../shared/names.ts';
import { type Redis, connectRedis } from '../shared/redis.ts';
import type { RunStore } from '../shared/run-store.ts';
import { SharedRun } from './shared-run.ts';

const BLOCK_MS = 1_000;
const PAGE = 1_000;
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

interface Watched {
  run: SharedRun;
  listeners: Set<RunListener>;
}

/**
 * Tells any number of listeners when their run moves, over two Redis connections in all:
 * one blocked read of the fleet's log, and one on the events of the gate jobs.
 */
export class RunSignals {
  readonly #watched = new Map<string, Watched>();
  readonly #fleetListeners = new Set<(last: FleetEntry) => void>();
  readonly #store: RunStore;
  readonly #prefix: string;
  readonly #log: Redis;
  readonly #events: Redis;
  readonly #gates: QueueEvents;
  #cursor: string;
  #closed: Promise<void> | undefined;

  private constructor(of: {
    store: RunStore;
    prefix: string;
    log: Redis;
    events: Redis;
    gates: QueueEvents;
    cursor: string;
  }) {
    this.#store = of.store;
    this.#prefix = of.prefix;
    this.#log = of.log;
    this.#events = of.events;
    this.#gates = of.gates;
    this.#cursor = of.cursor;
  }

  static async open(options: { redisUrl: string; prefix: string; store: RunStore }): Promise<RunSignals> {
    const { redisUrl, prefix, store } = options;
    const [log, events] = await Promise.all([connectRedis(redisUrl, 'worker'), connectRedis(redisUrl, 'worker')]);
    const gates = new QueueEvents(QUEUES.gates, { connection: events, prefix });
    await gates.waitUntilReady();
    const cursor = await endOfFleetLog(log, prefix);
    const signals = new RunSignals({ store, prefix, log, events, gates, cursor });
    // Job events are the fast way only; the log tells the same, so a lost connection here loses nothing.
    gates.on('error', () => undefined);
    gates.on('progress', ({ data }) => signals.#heardVerdict(data));
    gates.on('completed', ({ jobId, returnvalue }) => signals.#heardGateDone(jobId, returnvalue));
    void signals.#follow();
    return signals;
  }

  /** A run as all of its listeners read it together. */
  shared(runId: RunId): SharedRun {
    return this.#watched.get(runId)?.run ?? new SharedRun(this.#store, runId);
  }

  /** Adds a listener; the returned function removes it. */
  listen(listener: RunListener, run: SharedRun): () => void {
    const watched = this.#watched.get(listener.runId) ?? { run, listeners: new Set() };
    this.#watched.set(listener.runId, watched);
    watched.listeners.add(listener);
    return () => {
      watched.listeners.delete(listener);
      if (watched.listeners.size === 0) this.#watched.delete(listener.runId);
    };
  }

  /** Adds a listener that is told whenever anything happened to any run; the returned function removes it. */
  listenToFleet(listener: (last: FleetEntry) => void): () => void {
    this.#fleetListeners.add(listener);
    return () => this.#fleetListeners.delete(listener);
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

  #heardVerdict(data: unknown): void {
    const progress = GateProgress.safeParse(data);
    if (!progress.success) return;
    for (const listener of this.#watched.get(progress.data.runId)?.listeners ?? []) listener.onVerdict(progress.data);
  }

  #heardGateDone(jobId: string, returnvalue: unknown): void {
    const result = GateJobResult.safeParse(returnvalue);
    if (!result.success) return;
    // In whatever generation of the run.
    const [runId = ''] = jobId.split('.');
    for (const listener of this.#watched.get(runId)?.listeners ?? []) listener.onGateDone(result.data.phase);
  }

  async #follow(): Promise<void> {
    while (this.#closed === undefined) {
      try {
        const entries = await readFleetLog(this.#log, this.#prefix, this.#cursor, { count: PAGE, blockMs: BLOCK_MS });
        this.#tell(entries);
      } catch (err) {
        if (this.#closed !== undefined) return;
        const lost = new FleetError('REDIS_UNAVAILABLE', `the fleet's log cannot be read: ${errorMessage(err)}`, {
          cause: err,
          retry: true,
        });
        for (const { listeners } of this.#watched.values()) for (const listener of listeners) listener.onLost(lost);
        await sleep(BLOCK_MS);
      }
    }
  }

  #tell(entries: readonly FleetEntry[]): void {
    const last = entries.at(-1);
    if (last === undefined) return;
    this.#cursor = last.id;
    for (const runId of new Set(entries.map((entry) => entry.runId))) {
      const watched = this.#watched.get(runId);
      if (watched === undefined) continue;
      watched.run.grown();
      for (const listener of watched.listeners) listener.onLog();
    }
    for (const listener of this.#fleetListeners) listener(last);
  }
}
