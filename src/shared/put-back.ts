import type { Redis } from './redis.ts';

/** A job that some worker did not know, and put back for one that does. */
interface PutBackJob {
  queue: string;
  jobId: string;
  reason: string;
}

/** A job that nobody knew for so long has been done, or is put back again by then. */
const NEWS_MS = 60_000;

/** What workers put back lately, for whoever asks why a run does not go on. */
export class PutBackLog {
  readonly #redis: Redis;
  readonly #key: string;

  constructor(redis: Redis, prefix: string) {
    this.#redis = redis;
    this.#key = `${prefix}:maestro:put-back`;
  }

  async note({ queue, jobId, reason }: PutBackJob): Promise<void> {
    await this.#redis.zremrangebyscore(this.#key, '-inf', Date.now() - NEWS_MS);
    await this.#redis.zadd(this.#key, Date.now(), `${queue}|${jobId}|${reason}`);
  }

  async recent(): Promise<PutBackJob[]> {
    const entries = await this.#redis.zrangebyscore(this.#key, Date.now() - NEWS_MS, '+inf');
    return entries.map((entry) => {
      const [queue = '', jobId = '', ...reason] = entry.split('|');
      return { queue, jobId, reason: reason.join('|') };
    });
  }
}
