import { Queue } from 'bullmq';
import { errorMessage } from '../shared/errors.ts';
import type { WorkerContext } from './worker-context.ts';

/** Queues that jobs are added to or woken in, opened on first use. */
export class QueuePool {
  readonly #ctx: WorkerContext;
  readonly #open = new Map<string, Queue>();

  constructor(ctx: WorkerContext) {
    this.#ctx = ctx;
  }

  get(name: string): Queue {
    const known = this.#open.get(name);
    if (known !== undefined) return known;
    const queue = new Queue(name, { connection: this.#ctx.redis, prefix: this.#ctx.config.prefix });
    queue.on('error', (err) => this.#ctx.logger.warn({ queue: name, err: errorMessage(err) }, 'queue error'));
    this.#open.set(name, queue);
    return queue;
  }

  async close(): Promise<void> {
    await Promise.allSettled([...this.#open.values()].map((queue) => queue.close()));
  }
}
