import type { Redis } from './redis.ts';
import type { ParkedJob } from './run-store.ts';

/**
 * A place in a group: taken when one is free and nobody who came earlier waits for it.
 * KEYS: holders (hash), waiters (by the order they came), jobs of waiters (hash), counter. ARGV: holder, limit, job.
 */
const TAKE = `
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1 then return 1 end
local free = tonumber(ARGV[2]) - redis.call('HLEN', KEYS[1])
local ahead = redis.call('ZRANK', KEYS[2], ARGV[1]) or redis.call('ZCARD', KEYS[2])
if ahead < free then
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
  redis.call('ZREM', KEYS[2], ARGV[1])
  redis.call('HDEL', KEYS[3], ARGV[1])
  return 1
end
if not redis.call('ZRANK', KEYS[2], ARGV[1]) then
  redis.call('ZADD', KEYS[2], redis.call('INCR', KEYS[4]), ARGV[1])
end
local known = redis.call('HGET', KEYS[3], ARGV[1]) or ''
if not string.find(known, ARGV[3] .. '\\n', 1, true) then
  redis.call('HSET', KEYS[3], ARGV[1], known .. ARGV[3] .. '\\n')
end
return 0
`;

/**
 * Gives places back and names the jobs of those who are next, as many as there are places now.
 * KEYS as above. ARGV: limit, holders.
 */
const RELEASE = `
for i = 2, #ARGV do
  redis.call('HDEL', KEYS[1], ARGV[i])
  redis.call('ZREM', KEYS[2], ARGV[i])
  redis.call('HDEL', KEYS[3], ARGV[i])
end
if redis.call('ZCARD', KEYS[2]) == 0 then
  redis.call('DEL', KEYS[4])
  return {}
end
local free = tonumber(ARGV[1]) - redis.call('HLEN', KEYS[1])
if free < 1 then return {} end
local jobs = {}
for _, waiter in ipairs(redis.call('ZRANGE', KEYS[2], 0, free - 1)) do
  table.insert(jobs, redis.call('HGET', KEYS[3], waiter) or '')
end
return jobs
`;

/** Places that phases and runs of all producers and workers share, by the name of their group. */
export class ConcurrencyGroups {
  readonly #redis: Redis;
  readonly #prefix: string;

  constructor(redis: Redis, prefix: string) {
    this.#redis = redis;
    this.#prefix = prefix;
  }

  #keys(group: string): [string, string, string, string] {
    const key = `${this.#prefix}:maestro:group:${group}`;
    return [`${key}:holders`, `${key}:waiters`, `${key}:jobs`, `${key}:count`];
  }

  /** Takes a place, or notes which job waits for it. Asking again changes nothing. */
  async take(group: string, of: { holder: string; limit: number; job: ParkedJob }): Promise<boolean> {
    const job = `${of.job.queue}|${of.job.jobId}`;
    return (await this.#redis.eval(TAKE, 4, ...this.#keys(group), of.holder, String(of.limit), job)) === 1;
  }

  /** Gives places back, or up waiting for them; returns the jobs to wake. */
  async release(group: string, of: { holders: readonly string[]; limit: number }): Promise<ParkedJob[]> {
    const keys = this.#keys(group);
    const reply: unknown = await this.#redis.eval(RELEASE, keys.length, ...keys, String(of.limit), ...of.holders);
    const lines = Array.isArray(reply) ? reply.flatMap((jobs) => String(jobs).split('\n')) : [];
    return lines
      .filter((line) => line !== '')
      .map((line) => {
        const [queue = '', jobId = ''] = line.split('|');
        return { queue, jobId };
      });
  }

  /** Everybody who holds a place or waits for one. */
  async members(group: string): Promise<{ holders: string[]; waiters: string[] }> {
    const [holders, waiters] = this.#keys(group);
    return { holders: await this.#redis.hkeys(holders), waiters: await this.#redis.zrange(waiters, '0', '-1') };
  }

  /** Whether nobody has looked after the group for a while, so that the caller should. */
  async isUnattended(group: string, everyMs: number): Promise<boolean> {
    const key = `${this.#prefix}:maestro:group:${group}:attended`;
    return (await this.#redis.set(key, '1', 'PX', everyMs, 'NX')) === 'OK';
  }
}
