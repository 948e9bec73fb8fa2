import { randomUUID } from 'node:crypto';
import { FleetError, errorMessage } from '../shared/errors.ts';
import type { Logger } from '../shared/logger.ts';
import type { Redis } from '../shared/redis.ts';
import { NOW_SCRIPT, RedisScript } from '../shared/redis-script.ts';
import type { Principal } from './principal.ts';
import { limitKey } from './rate-limits.ts';

/** How many streams one token may have open, over all servers together. */
const MOST_OF_ONE_TOKEN = 1_000;

/** KEYS: the places of a token, by when they lapse. ARGV: place, how many there are, how long it holds. */
const TAKE = new RedisScript(`${NOW_SCRIPT}redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then return 0 end
redis.call('ZADD', KEYS[1], now + ARGV[3], ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
`);
/** KEYS: the places of a token. ARGV: how long they hold from now on, then places. */
const RENEW =
  new RedisScript(`${NOW_SCRIPT}for index = 2, #ARGV do redis.call('ZADD', KEYS[1], now + ARGV[1], ARGV[index]) end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return 1
`);

/** The event streams that each token has open, counted in Redis for all servers. What a killed server held lapses. */
export class StreamPlaces {
  readonly #redis: Redis;
  readonly #prefix: string;
  readonly #most: number;
  readonly #leaseMs: number;
  readonly #logger: Logger;
  readonly #held = new Map<string, Set<string>>();

  constructor(of: { redis: Redis; prefix: string; most?: number | undefined; leaseMs: number; logger: Logger }) {
    this.#redis = of.redis;
    this.#prefix = of.prefix;
    this.#most = of.most ?? MOST_OF_ONE_TOKEN;
    this.#leaseMs = of.leaseMs;
    this.#logger = of.logger;
  }

  /** Holds a place while `work` goes on. Throws `RATE_LIMITED` when there is none. Who needs no token needs no place. */
  async use(principal: Principal, work: () => Promise<void>): Promise<void> {
    const holder = limitKey(principal);
    if (holder === undefined) return work();
    const key = `${this.#prefix}:maestro:streams:${holder}`;
    const place = randomUUID();
    if ((await TAKE.run(this.#redis, [key], [place, String(this.#most), String(this.#leaseMs)])) !== 1)
      throw new FleetError('RATE_LIMITED', `this token has its ${this.#most} event streams open`, {
        remedy:
          'Close some, follow all runs with the one stream /api/events, or use a token of its own for each reader.',
      });
    const held = this.#held.get(key) ?? new Set();
    this.#held.set(key, held.add(place));
    try {
      await work();
    } finally {
      held.delete(place);
      if (held.size === 0 && this.#held.get(key) === held) this.#held.delete(key);
      // One that is not given back lapses.
      await this.#redis.zrem(key, place).catch(() => undefined);
    }
  }

  /** To be called several times within the time that a place holds. */
  async renew(): Promise<void> {
    try {
      const all = [...this.#held].map(([key, places]) =>
        RENEW.run(this.#redis, [key], [String(this.#leaseMs), ...places]),
      );
      await Promise.all(all);
    } catch (err) {
      this.#logger.warn({ reason: errorMessage(err) }, 'places of event streams could not be kept');
    }
  }
}
