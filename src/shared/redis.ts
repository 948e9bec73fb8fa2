import { Redis } from 'ioredis';
import { FleetError, errorMessage } from './errors.ts';

export type { Redis } from 'ioredis';

/** `worker` connections wait for a lost Redis; `producer` connections fail fast; `server` ones too, and come back. */
export type RedisRole = 'worker' | 'producer' | 'server';

/**
 * Commands that are sent in one turn of the event loop go out in one write: with many jobs at once, writing to the
 * socket costs a worker more than anything else it does with Redis.
 */
class BatchingRedis extends Redis {
  override sendCommand(...args: Parameters<Redis['sendCommand']>): ReturnType<Redis['sendCommand']> {
    // There is no stream before the first connection.
    const stream: Redis['stream'] | undefined = this.stream;
    if (stream !== undefined && stream.writableCorked === 0) {
      stream.cork();
      process.nextTick(() => stream.uncork());
    }
    return super.sendCommand(...args);
  }
}

/** Dials Redis and waits until it answers. Throws `REDIS_UNAVAILABLE` naming the address (never the password). */
export async function connectRedis(url: string, role: RedisRole): Promise<Redis> {
  const redis = new BatchingRedis(url, {
    lazyConnect: true,
    maxRetriesPerRequest: role === 'worker' ? null : 1,
    enableOfflineQueue: role === 'worker',
    connectTimeout: 5_000,
    retryStrategy: (times) =>
      role === 'producer' && times > 3 ? null : Math.min(100 * 2 ** Math.min(times, 5), 3_000),
  });
  let reason: unknown;
  // Without a listener a lost connection would end the process; commands report their own failure.
  redis.on('error', (err) => (reason = err));
  try {
    await redis.connect();
    return redis;
  } catch (err) {
    redis.disconnect();
    throw new FleetError(
      'REDIS_UNAVAILABLE',
      `Redis does not answer at ${redactUrl(url)}: ${errorMessage(reason ?? err)}`,
      {
        cause: err,
        retry: true,
        remedy: 'Start Redis there, correct REDIS_URL, or unset it: `maestro up` then starts a private one.',
      },
    );
  }
}

/** The URL without what may be secret in it, for messages: user and password, which may hold any sign, and the query. */
export function redactUrl(url: string): string {
  const [, scheme = '', secret, rest = ''] = /^((?:[^/?#@]*\/\/)?)(?:(.*)@)?([^?#]*)/s.exec(url) ?? [];
  if (secret === undefined) return `${scheme}${rest}`;
  // An @ may also stand in the query, and then the address is not the part behind it.
  return /[?#]/.test(secret) ? `${scheme}***` : `${scheme}***@${rest}`;
}
