import type { Logger } from '../shared/logger.ts';
import type { Redis } from '../shared/redis.ts';
import { RedisScript } from '../shared/redis-script.ts';
import type { AuditLog } from './audit.ts';
import type { TokenRecord } from './tokens.ts';

const MINUTE_MS = 60_000;
/** Who guesses from many addresses may not push the changes out of the log. */
const MOST_A_MINUTE = 20;

/** KEYS: addresses of this minute. ARGV: address, most addresses. */
const IS_FIRST = new RedisScript(`
if redis.call('SCARD', KEYS[1]) >= tonumber(ARGV[2]) then return 0 end
local added = redis.call('SADD', KEYS[1], ARGV[1])
redis.call('EXPIRE', KEYS[1], 120)
return added
`);

export interface FailedAuthentication {
  address: string;
  requestId: string;
  /** `blocked`: too many were wrong before, and nobody looked at this one. */
  reason: 'unknown' | 'expired' | 'revoked' | 'blocked';
  /** Whose token it was, where the fleet made it. */
  record?: Pick<TokenRecord, 'id' | 'name'> | undefined;
}

/**
 * Tells of tokens that were refused, never of the tokens. The server's log has each that was looked at; the audit log has
 * one entry for an address and minute, over all servers, and no more than a few addresses a minute.
 */
export class FailedAuthentications {
  readonly #redis: Redis;
  readonly #key: string;
  readonly #audit: AuditLog;
  readonly #logger: Logger;

  constructor(of: { redis: Redis; prefix: string; audit: AuditLog; logger: Logger }) {
    this.#redis = of.redis;
    this.#key = `${of.prefix}:maestro:audit:failed`;
    this.#audit = of.audit;
    this.#logger = of.logger;
  }

  async note({ address, requestId, reason, record }: FailedAuthentication): Promise<void> {
    const token = record === undefined ? {} : { token: record.name };
    const minute = Math.floor(Date.now() / MINUTE_MS);
    const args = [address, String(MOST_A_MINUTE)];
    const isFirst = (await IS_FIRST.run(this.#redis, [`${this.#key}:${minute}`], args)) === 1;
    if (reason !== 'blocked' || isFirst)
      this.#logger.warn({ address, requestId, reason, ...token }, 'a token was refused');
    if (!isFirst) return;
    await this.#audit.answered(undefined, {
      who: 'anonymous',
      tokenId: record?.id ?? null,
      from: address,
      action: 'authenticate',
      target: { reason, ...token },
      outcome: 'refused',
      status: reason === 'blocked' ? 429 : 401,
      requestId,
    });
  }
}
