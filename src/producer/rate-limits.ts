import type { RequestHandler, Response } from 'express';
import { RateLimiterRedis, RateLimiterRes } from 'rate-limiter-flexible';
import type { Redis } from '../shared/redis.ts';
import { type Principal, principalOf } from './principal.ts';
import { sendProblem } from './problem.ts';

export interface RateLimits {
  /** Requests a minute for each token that has no limit of its own. */
  perToken: number;
  /** Failed authentications a minute for each address. */
  failedPerAddress: number;
}
export const DEFAULT_LIMITS: RateLimits = { perToken: 6_000, failedPerAddress: 20 };

const WINDOW_SECONDS = 60;

/** Counts in Redis, so that all servers of a fleet share one count. When Redis is away they throw, and nothing is let through. */
export class RateLimiters {
  readonly #limits: RateLimits;
  readonly #tokens: RateLimiterRedis;
  readonly #failures: RateLimiterRedis;

  constructor(redis: Redis, prefix: string, limits: RateLimits) {
    this.#limits = limits;
    const shared = { storeClient: redis, duration: WINDOW_SECONDS };
    // How many are allowed differs from token to token, so the limiter only counts and the answer is decided here.
    this.#tokens = new RateLimiterRedis({
      ...shared,
      keyPrefix: `${prefix}:maestro:rate`,
      points: Number.MAX_SAFE_INTEGER,
    });
    this.#failures = new RateLimiterRedis({
      ...shared,
      keyPrefix: `${prefix}:maestro:rate:failed`,
      points: limits.failedPerAddress,
    });
  }

  /** Limits what each token asks. */
  readonly limitTokens: RequestHandler = async (req, res, next) => {
    const principal = principalOf(req);
    const key = limitKey(principal);
    if (key === undefined) {
      next();
      return;
    }
    const limit = principal.ratePerMinute ?? this.#limits.perToken;
    const { consumedPoints, msBeforeNext } = await this.#tokens.consume(key);
    const seconds = Math.max(1, Math.ceil(msBeforeNext / 1000));
    res.set('RateLimit-Policy', `"token";q=${limit};w=${WINDOW_SECONDS}`);
    res.set('RateLimit', `"token";r=${Math.max(0, limit - consumedPoints)};t=${seconds}`);
    if (consumedPoints <= limit) {
      next();
      return;
    }
    sendTooMany(res, seconds, `this token may send ${limit} requests a minute`);
  };

  /** After how many seconds an address that failed too often may try again; 0 when it may now. */
  async secondsBlocked(address: string): Promise<number> {
    const state = await this.#failures.get(address);
    if (state === null || state.consumedPoints < this.#limits.failedPerAddress) return 0;
    return Math.max(1, Math.ceil(state.msBeforeNext / 1000));
  }

  async noteFailure(address: string): Promise<void> {
    await this.#failures.consume(address).catch((err: unknown) => {
      // It is over its limit, which is what the next question finds.
      if (!(err instanceof RateLimiterRes)) throw err;
    });
  }
}

export function sendTooMany(res: Response, seconds: number, detail: string): void {
  res.set('Retry-After', String(seconds));
  sendProblem(res, 429, 'RATE_LIMITED', { detail, remedy: `Ask again in ${seconds} s.` });
}

/** Whose share is counted. Undefined for who needs no token, on this machine, and is not limited. */
export const limitKey = ({ kind, tokenId, name }: Principal): string | undefined =>
  kind === 'token' ? (tokenId ?? name) : kind === 'bootstrap' ? 'bootstrap' : undefined;
