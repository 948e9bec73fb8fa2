import { FleetError } from '../shared/errors.ts';
import type { RunId, RunTake } from '../shared/names.ts';
import { TERMINAL_RUN } from '../shared/run-record.ts';
import type { RunStanding } from '../shared/run-entries.ts';
import type { RunStore } from '../shared/run-store.ts';

const CHECK_MS = 500;

interface Take extends RunTake {
  runId: RunId;
}

/**
 * Aborts work under way when its run has ended (cancelled, above all), when the run was taken up again without it, or
 * when the worker closes. Knows which runs are paused.
 */
export class RunWatch {
  readonly #store: RunStore;
  readonly #active = new Map<AbortController, Take>();
  readonly #paused = new Set<string>();
  readonly #timer: NodeJS.Timeout;
  #isChecking = false;

  constructor(store: RunStore) {
    this.#store = store;
    this.#timer = setInterval(() => void this.#check(), CHECK_MS);
    this.#timer.unref();
  }

  /** Runs `work` with a signal that is aborted when the run ends. */
  async during<T>(take: Take, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const controller = new AbortController();
    this.#active.set(controller, take);
    try {
      return await work(controller.signal);
    } finally {
      this.#active.delete(controller);
    }
  }

  /** Whether the run was paused when it was looked at last; only runs with work under way are looked at. */
  isPaused(runId: RunId): boolean {
    return this.#paused.has(runId);
  }

  /** Aborts everything, for a worker that must end now. */
  abortAll(reason: string): void {
    for (const controller of this.#active.keys())
      controller.abort(new FleetError('CANCELLED', reason, { retry: true }));
  }

  close(): void {
    clearInterval(this.#timer);
  }

  async #check(): Promise<void> {
    if (this.#isChecking) return;
    this.#isChecking = true;
    try {
      const runs = new Set([...this.#active.values()].map((take) => take.runId));
      for (const runId of this.#paused) if (![...runs].some((known) => known === runId)) this.#paused.delete(runId);
      for (const runId of runs) this.#heard(runId, await this.#store.getStanding(runId));
    } catch {
      // Redis is away for the moment; the next check asks again.
    } finally {
      this.#isChecking = false;
    }
  }

  #heard(runId: RunId, standing: RunStanding | undefined): void {
    if (standing === undefined) return;
    if (standing.status === 'paused') this.#paused.add(runId);
    else this.#paused.delete(runId);
    for (const [controller, take] of this.#active) {
      if (take.runId !== runId) continue;
      if (TERMINAL_RUN.includes(standing.status))
        controller.abort(new FleetError('CANCELLED', `run ${runId} is ${standing.status}`));
      else if (take.generation !== standing.generation) controller.abort(superseded(take, standing));
    }
  }
}

/** A job of an earlier generation has nothing to do any more. */
export const superseded = (take: RunTake, standing: RunStanding): FleetError =>
  new FleetError(
    'STALE_ATTEMPT',
    `run ${take.runId} was taken up again (generation ${standing.generation}); this job belongs to generation ${take.generation}`,
  );
