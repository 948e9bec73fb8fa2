import { setImmediate as turn, setTimeout as sleep } from 'node:timers/promises';
import { type Job, WaitingError, type Worker } from 'bullmq';

/** How long a queue has to fetch a job before the next one is let at the free place. */
const HEAD_START_MS = 25;

/**
 * The conversations that one process may hold at once, over all persona queues. While it is full, none of its workers
 * fetches a job, so that others take them; when a place is free, the queue that was served longest ago comes first.
 */
export class ConversationPlaces {
  readonly limit: number;
  #used = 0;
  /** Served longest ago first. */
  #workers: Worker[] = [];
  #isOpening = false;
  #isClosed = false;

  constructor(limit: number) {
    this.limit = limit;
  }

  add(worker: Worker): void {
    this.#workers.push(worker);
  }

  get used(): number {
    return this.#used;
  }

  /**
   * Runs `work` in a place. A fetch that was under way when the last place was taken may still bring a job: that one goes
   * back to where it stood, at no attempt.
   */
  async hold<T>(job: Job, token: string, work: () => Promise<T>): Promise<T> {
    if (this.#used >= this.limit) {
      await job.moveToWait(token);
      throw new WaitingError();
    }
    this.#used += 1;
    const isServed = ({ name }: Worker): boolean => name === job.queueName;
    this.#workers = [...this.#workers.filter((one) => !isServed(one)), ...this.#workers.filter(isServed)];
    if (this.#used >= this.limit) for (const worker of this.#workers) void worker.pause(true);
    try {
      return await work();
    } finally {
      this.#used -= 1;
      void this.#open();
    }
  }

  /** From now on nobody fetches a job again. */
  close(): void {
    this.#isClosed = true;
  }

  async #open(): Promise<void> {
    if (this.#isOpening) return;
    this.#isOpening = true;
    try {
      while (this.#used < this.limit && !this.#isClosed) {
        const next = this.#workers.find((worker) => worker.isPaused());
        if (next === undefined) break;
        await next.resume();
        await turn();
        // It was resumed just when its loop had run out, and nobody runs it any more.
        if (!next.isRunning() && !next.isPaused() && !this.#isClosed)
          next.run().catch((err: unknown) => next.emit('error', err instanceof Error ? err : new Error(String(err))));
        await sleep(HEAD_START_MS);
      }
    } finally {
      this.#isOpening = false;
    }
  }
}
