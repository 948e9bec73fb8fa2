import { FleetError } from '../shared/errors.ts';
import type { RunId } from '../shared/names.ts';
import { TERMINAL_RUN } from '../shared/run-record.ts';
import type { RunStore } from '../shared/run-store.ts';

const CHECK_MS = 500;

/** Aborts work under way when its run has ended (cancelled, above all) or when the worker closes. */
export class CancelWatch {
  readonly #store: RunStore;
  readonly #active = new Map<AbortController, RunId>();
  readonly #timer: NodeJS.Timeout;
  #isChecking = false;

  constructor(store: RunStore) {
    this.#store = store;
    this.#timer = setInterval(() => void this.#check(), CHECK_MS);
    this.#timer.unref();
  }

  /** Runs `work` with a signal that is aborted when the run ends. */
  async during<T>(runId: RunId, outer: AbortSignal | undefined, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const controller = new AbortController();
    this.#active.set(controller, runId);
    try {
      return await work(outer === undefined ? controller.signal : AbortSignal.any([controller.signal, outer]));
    } finally {
      this.#active.delete(controller);
    }
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
      for (const runId of new Set(this.#active.values())) {
        const status = await this.#store.getStatus(runId);
        if (status === undefined || !TERMINAL_RUN.includes(status)) continue;
        for (const [controller, id] of this.#active) {
          if (id === runId) controller.abort(new FleetError('CANCELLED', `run ${runId} is ${status}`));
        }
      }
    } catch {
      // Redis is away for the moment; the next check asks again.
    } finally {
      this.#isChecking = false;
    }
  }
}
