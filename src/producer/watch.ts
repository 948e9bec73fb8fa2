import type { GateProgress } from '../shared/jobs.ts';
import type { RunId } from '../shared/names.ts';
import { type PhaseRecord, type RunEvent, type RunRecord, TERMINAL_RUN } from '../shared/run-record.ts';
import type { RunStore } from '../shared/run-store.ts';
import { RunSignals } from './run-signals.ts';
import type { SharedRun } from './shared-run.ts';

/** How long a quiet log is believed before the run's record is looked at. */
const SWEEP_MS = 5_000;
/** Verdicts that arrived ahead of the log and were not taken yet; the log has those that are more. */
const MOST_HINTS = 100;

interface Watch {
  store: RunStore;
  runId: RunId;
  /** The last event already seen; 0 for all of them. */
  fromSeq?: number;
  signal?: AbortSignal;
}

/** Watches one run over connections of its own. See `watchWith`. */
export async function* watchRun(options: Watch & { redisUrl: string; prefix: string }): AsyncGenerator<RunEvent> {
  const signals = await RunSignals.open(options);
  try {
    yield* watchWith(signals, options);
  } finally {
    await signals.close();
  }
}

/** Waits until a run has ended, and returns its record. */
export async function waitForRun(
  options: Omit<Watch, 'fromSeq'> & { redisUrl: string; prefix: string },
): Promise<RunRecord> {
  for await (const _ of watchRun(options)) void 0;
  options.signal?.throwIfAborted();
  return options.store.getRun(options.runId);
}

/**
 * Yields a run's events until it has ended or the signal is aborted. The append-only log is the truth. Verdicts usually
 * arrive before it, in the events of the gate jobs, and are then shown once: such an event carries the number of the
 * log's last entry, so that whoever goes on from that number misses nothing.
 */
export async function* watchWith(signals: RunSignals, options: Watch): AsyncGenerator<RunEvent> {
  const run = signals.shared(options.runId);
  const watcher = new RunWatcher(run, options);
  const stop = signals.listen(watcher, run);
  const abort = (): void => watcher.onLog();
  options.signal?.addEventListener('abort', abort);
  try {
    await watcher.begin();
    for (;;) {
      const events = await watcher.take();
      for (const [at, event] of events.entries()) {
        if (options.signal?.aborted === true) return;
        yield event;
        if (event.type !== 'run.finished' || wasResumed(events.slice(at + 1))) continue;
        if (await watcher.isOver()) return;
      }
      if (options.signal?.aborted === true) return;
      await watcher.sleep();
    }
  } finally {
    options.signal?.removeEventListener('abort', abort);
    stop();
  }
}

class RunWatcher {
  readonly runId: RunId;
  readonly #run: SharedRun;
  #lastSeq: number;
  /** Verdicts shown from job events, whose copy in the log is then left out. */
  readonly #shown = new Set<string>();
  /** Verdicts that the log holds or has already told. */
  readonly #logged = new Set<string>();
  readonly #hints: GateProgress[] = [];
  #lost: Error | undefined;
  #wake: (() => void) | undefined;
  #isNews = false;

  constructor(run: SharedRun, { runId, fromSeq = 0 }: Pick<Watch, 'runId' | 'fromSeq'>) {
    this.#run = run;
    this.runId = runId;
    this.#lastSeq = fromSeq;
  }

  async begin(): Promise<void> {
    for (const key of roundKeys(await this.#run.getPhases())) this.#logged.add(key);
  }

  onLog(): void {
    this.#isNews = true;
    this.#wake?.();
  }

  onVerdict(progress: GateProgress): void {
    if (this.#hints.length < MOST_HINTS) this.#hints.push(progress);
    this.onLog();
  }

  onGateDone(): void {
    this.onLog();
  }

  onLost(err: Error): void {
    this.#lost = err;
    this.onLog();
  }

  /** Whether the end that was just told is the last word: a run may have been taken up again since. */
  async isOver(): Promise<boolean> {
    const later = await this.#run.readEvents(this.#lastSeq);
    if (wasResumed(later)) return false;
    const standing = await this.#run.getStanding();
    return standing === undefined || TERMINAL_RUN.includes(standing.status);
  }

  /** Resolves at the next sign of life; after a long silence it asks the run's record whether it has ended. */
  async sleep(): Promise<void> {
    if (this.#isNews) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, SWEEP_MS);
      this.#wake = (): void => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#wake = undefined;
  }

  /** What is new, oldest first. */
  async take(): Promise<RunEvent[]> {
    if (this.#lost !== undefined) throw this.#lost;
    const wasWoken = this.#isNews;
    this.#isNews = false;
    const events = await this.#readLog();
    for (const hint of this.#hints.splice(0)) {
      const key = `${hint.phase}/${hint.round}`;
      if (this.#shown.has(key) || this.#logged.has(key)) continue;
      this.#shown.add(key);
      events.push({ ...this.#stamp(), type: 'gate.verdict', ...hint });
    }
    if (events.length > 0 || wasWoken) return events;
    return this.#endWithoutLog();
  }

  async #readLog(): Promise<RunEvent[]> {
    const events = await this.#run.readEvents(this.#lastSeq);
    const first = events[0];
    const isTorn = first !== undefined && first.seq > this.#lastSeq + 1;
    const missed = isTorn ? await this.#fromRecords(first) : [];
    // A full page may have more behind it.
    if (events.length > 0) this.#isNews = true;
    this.#lastSeq = events.at(-1)?.seq ?? this.#lastSeq;
    return [...missed, ...events.filter((event) => this.#isNewVerdict(event))];
  }

  #isNewVerdict(event: RunEvent): boolean {
    if (event.type !== 'gate.verdict') return true;
    const key = `${event.phase}/${event.round}`;
    this.#logged.add(key);
    return !this.#shown.has(key);
  }

  /** The log no longer holds what came before `first`: the records tell how things stand. */
  async #fromRecords(first: RunEvent): Promise<RunEvent[]> {
    const base = { seq: first.seq - 1, at: first.at, runId: this.runId };
    return (await this.#run.getPhases()).flatMap((record): RunEvent[] => [
      ...record.rounds.map(({ round, verdict }): RunEvent => {
        this.#shown.add(`${record.phase}/${round}`);
        return { ...base, type: 'gate.verdict', phase: record.phase, round, verdict };
      }),
      {
        ...base,
        type: 'phase.status',
        phase: record.phase,
        status: record.status,
        round: record.round,
        reason: record.reason,
      },
    ]);
  }

  /** The run's record says that it has ended, and its log does not: the record is believed. */
  async #endWithoutLog(): Promise<RunEvent[]> {
    const standing = await this.#run.look();
    if (standing !== undefined && !TERMINAL_RUN.includes(standing.status)) return [];
    const run = await this.#run.getRun();
    // Nobody told of what is read now, or it had been read.
    this.#run.grown();
    const late = await this.#readLog();
    if (late.length > 0) return late;
    const { status, reason, simulated } = run;
    if (!TERMINAL_RUN.includes(status)) return [];
    return [{ ...this.#stamp(), type: 'run.finished', status, reason, simulated }];
  }

  #stamp(): Pick<RunEvent, 'seq' | 'at' | 'runId'> {
    return { seq: Math.max(1, this.#lastSeq), at: new Date().toISOString(), runId: this.runId };
  }
}

const wasResumed = (events: readonly RunEvent[]): boolean => events.some(({ type }) => type === 'run.resumed');

const roundKeys = (phases: readonly PhaseRecord[]): string[] =>
  phases.flatMap((record) => record.rounds.map(({ round }) => `${record.phase}/${round}`));
