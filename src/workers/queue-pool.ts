import { FlowProducer, Queue } from 'bullmq';
import { errorMessage } from '../shared/errors.ts';
import type { WorkerContext } from './worker-context.ts';

/** Queues that jobs are added to or woken in, opened on first use. */
export class QueuePool {
  readonly #ctx: WorkerContext;
  readonly #open = new Map<string, Queue>();
  #flows: FlowProducer | undefined;

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

  /** For jobs that are added together with those below them. */
  get flows(): FlowProducer {
    if (this.#flows !== undefined) return this.#flows;
    const flows = new FlowProducer({ connection: this.#ctx.redis, prefix: this.#ctx.config.prefix });
    flows.on('error', (err) => this.#ctx.logger.warn({ err: errorMessage(err) }, 'flow error'));
    this.#flows = flows;
    return flows;
  }

  async close(): Promise<void> {
    const all = [...this.#open.values(), ...(this.#flows === undefined ? [] : [this.#flows])];
    await Promise.allSettled(all.map((one) => one.close()));
  }
}
