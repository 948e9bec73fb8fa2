import { createHash } from 'node:crypto';
import type { Redis } from './redis.ts';

/** Redis's clock, which is the fleet's: `now` in milliseconds. */
export const NOW_SCRIPT = `
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
`;

/** A Lua script, called by its digest so that its text travels once. */
export class RedisScript {
  readonly #text: string;
  readonly #sha: string;

  constructor(text: string) {
    this.#text = text;
    this.#sha = createHash('sha1').update(text).digest('hex');
  }

  async run(redis: Redis, keys: readonly string[], args: readonly string[]): Promise<unknown> {
    try {
      return await redis.evalsha(this.#sha, keys.length, ...keys, ...args);
    } catch (err) {
      // A Redis that was restarted, or never saw it, does not know it; nothing was done then.
      if (!(err instanceof Error) || !err.message.startsWith('NOSCRIPT')) throw err;
      return redis.eval(this.#text, keys.length, ...keys, ...args);
    }
  }
}
