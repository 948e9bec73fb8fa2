import { z } from 'zod';
import type { Redis } from './redis.ts';

/** A worker that was not heard of for so long is gone: three heartbeats, and some. */
const GONE_AFTER_MS = 20_000;
export const HEARTBEAT_MS = 5_000;

/**
 * What a worker process says of itself with every heartbeat. Unknown fields are dropped: while a fleet is renewed, its
 * workers are of several versions.
 */
export const WorkerStanding = z.object({
  id: z.string(),
  host: z.string(),
  pid: z.number().int(),
  version: z.string(),
  /** `draining`: takes no new jobs, and ends when those under way have ended or were given back. */
  state: z.enum(['working', 'draining']),
  personas: z.array(z.string()),
  gates: z.boolean(),
  /** Jobs at once of each persona. */
  concurrency: z.number().int(),
  /** Jobs under way, by queue; queues without any are left out. */
  active: z.record(z.string(), z.number().int()),
  /** Conversations with a model under way. */
  conversations: z.number().int(),
  /** How many it may hold at once; earlier versions do not say. */
  maxConversations: z.number().int().optional(),
  /** Jobs that ended in this process, and those of them that failed. */
  done: z.number().int(),
  failed: z.number().int(),
  startedAt: z.iso.datetime(),
  seenAt: z.iso.datetime(),
  rssBytes: z.number().int(),
  /** Share of one core since the last heartbeat; above 1 when several threads work. */
  cpu: z.number(),
  /** How late the event loop was since the last heartbeat. */
  loopDelayP50Ms: z.number(),
  loopDelayP99Ms: z.number(),
  sandbox: z.string(),
});
export type WorkerStanding = z.infer<typeof WorkerStanding>;

const indexKey = (prefix: string): string => `${prefix}:maestro:workers`;
const workerKey = (prefix: string, id: string): string => `${prefix}:maestro:worker:${id}`;

/** Which worker processes there are. Each keeps its own entry alive; one that dies without a word expires. */
export class WorkerRegistry {
  readonly #redis: Redis;
  readonly #prefix: string;

  constructor(redis: Redis, prefix: string) {
    this.#redis = redis;
    this.#prefix = prefix;
  }

  async beat(worker: WorkerStanding): Promise<void> {
    await this.#redis
      .multi()
      .set(workerKey(this.#prefix, worker.id), JSON.stringify(worker), 'PX', GONE_AFTER_MS)
      .sadd(indexKey(this.#prefix), worker.id)
      .exec();
  }

  async leave(id: string): Promise<void> {
    await this.#redis.multi().del(workerKey(this.#prefix, id)).srem(indexKey(this.#prefix), id).exec();
  }

  /** All that were heard of lately, by host and start. */
  async list(): Promise<WorkerStanding[]> {
    const ids = await this.#redis.smembers(indexKey(this.#prefix));
    if (ids.length === 0) return [];
    const entries = await this.#redis.mget(ids.map((id) => workerKey(this.#prefix, id)));
    const gone = ids.filter((_id, index) => entries[index] === null);
    if (gone.length > 0) await this.#redis.srem(indexKey(this.#prefix), ...gone);
    return entries
      .flatMap((entry) => (entry === null ? [] : (parseStanding(entry) ?? [])))
      .toSorted((a, b) => (`${a.host} ${a.startedAt} ${a.id}` < `${b.host} ${b.startedAt} ${b.id}` ? -1 : 1));
  }
}

/** A worker of another version may say less than this one knows of: it is not shown, and harms nothing. */
function parseStanding(text: string): WorkerStanding | undefined {
  return WorkerStanding.safeParse(JSON.parse(text)).data;
}
