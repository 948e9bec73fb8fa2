import { randomBytes } from 'node:crypto';
import { afterAll, inject } from 'vitest';
import { type Redis, connectRedis } from '../../src/shared/redis.ts';

export interface TestRedis {
  url: string;
  /** A key prefix with a hash tag that no other test has. */
  prefix: string;
  connect(): Promise<Redis>;
}

const made: { prefix: string; connections: Redis[] }[] = [];

/**
 * The test run's Redis with a fresh prefix. After the tests of the
 * file its connections are closed and its keys removed.
 */
export function testRedis(): TestRedis {
  const url = inject('redisUrl');
  const prefix = `{t-${randomBytes(6).toString('hex')}}`;
  const connections: Redis[] = [];
  made.push({ prefix, connections });
  return {
    url,
    prefix,
    connect: async () => {
      const redis = await connectRedis(url, 'producer');
      connections.push(redis);
      return redis;
    },
  };
}

/** The names of all keys under a prefix. */
async function keysUnder(redis: Redis, prefix: string): Promise<string[]> {
  const keys: string[] = [];
  let cursor = '0';
  do {
    const [next, page] = await redis.scan(cursor, 'MATCH', `${prefix}*`, 'COUNT', 1_000);
    keys.push(...page);
    cursor = next;
  } while (cursor !== '0');
  return keys;
}

afterAll(async () => {
  if (made.length === 0) return;
  const redis = await connectRedis(inject('redisUrl'), 'producer');
  for (const { prefix, connections } of made.splice(0)) {
    for (const connection of connections) connection.disconnect();
    const keys = await keysUnder(redis, prefix);
    if (keys.length > 0) await redis.unlink(keys);
  }
  redis.disconnect();
});
