import { createHash, randomBytes } from 'node:crypto';
import { z } from 'zod';
import { FleetError } from '../shared/errors.ts';
import { Name } from '../shared/names.ts';
import type { Redis } from '../shared/redis.ts';
import { RedisScript } from '../shared/redis-script.ts';
import { Scope } from './principal.ts';

/** What is kept of a token: never the token itself. */
const StoredToken = z.strictObject({
  name: Name,
  scopes: z.array(Scope).min(1),
  createdAt: z.iso.datetime(),
  createdBy: z.string(),
  expiresAt: z.iso.datetime().nullable(),
  revokedAt: z.iso.datetime().nullable(),
  /** Requests a minute, when it is not what every token may send. */
  ratePerMinute: z.number().int().positive().optional(),
});
/** A token as lists show it. */
export const TokenRecord = StoredToken.extend({
  /** The first signs of its digest: tells tokens of one name apart, and opens nothing. */
  id: z.string(),
  /** To the minute; null when it never was used. */
  lastUsedAt: z.iso.datetime().nullable(),
  status: z.enum(['active', 'expired', 'revoked']),
});
export type TokenRecord = z.infer<typeof TokenRecord>;

type NewToken = Pick<z.infer<typeof StoredToken>, 'name' | 'scopes' | 'createdBy' | 'expiresAt' | 'ratePerMinute'>;

const PREFIX = 'mf_';
/** What a token of this fleet looks like: 256 random bits, so that nobody guesses one and a plain digest hides it. */
export const isFleetToken = (text: string): boolean => /^mf_[A-Za-z0-9_-]{43}$/.test(text);
const digestOf = (token: string): string => createHash('sha256').update(token).digest('hex');

/** How often the time of the last use is written. */
const USED_EVERY_MS = 60_000;
const MOST_TOKENS = 1_000;

/** KEYS: tokens, names in use. ARGV: name, digest, record, most tokens. A name is in use until its token is revoked. */
const CREATE = new RedisScript(`
if redis.call('HEXISTS', KEYS[2], ARGV[1]) == 1 then return 'TAKEN' end
if redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[4]) then return 'FULL' end
redis.call('HSET', KEYS[1], ARGV[2], ARGV[3])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
return 'OK'
`);

/** KEYS: tokens, names in use. ARGV: name, digest, record as it was, record as it becomes. */
const REVOKE = new RedisScript(`
if redis.call('HGET', KEYS[2], ARGV[1]) ~= ARGV[2] or redis.call('HGET', KEYS[1], ARGV[2]) ~= ARGV[3] then return 0 end
redis.call('HSET', KEYS[1], ARGV[2], ARGV[4])
redis.call('HDEL', KEYS[2], ARGV[1])
return 1
`);

const statusOf = ({ revokedAt, expiresAt }: z.infer<typeof StoredToken>): TokenRecord['status'] => {
  if (revokedAt !== null) return 'revoked';
  return expiresAt !== null && Date.parse(expiresAt) <= Date.now() ? 'expired' : 'active';
};

/**
 * The tokens of a fleet, in Redis, each under the sha256 of its text. A revoked or expired one stays listed:
 * a server asks for a token as soon as there is any, and does not fall open when the last one ends.
 */
export class TokenStore {
  readonly #redis: Redis;
  readonly #tokens: string;
  readonly #names: string;
  readonly #used: string;
  readonly #usedAt = new Map<string, number>();

  constructor(redis: Redis, prefix: string) {
    this.#redis = redis;
    this.#tokens = `${prefix}:maestro:tokens`;
    this.#names = `${prefix}:maestro:tokens:names`;
    this.#used = `${prefix}:maestro:tokens:used`;
  }

  /** Makes a token. Its text is returned this once and kept nowhere. */
  async create(of: NewToken): Promise<{ token: string; record: TokenRecord }> {
    const token = `${PREFIX}${randomBytes(32).toString('base64url')}`;
    const digest = digestOf(token);
    const stored = StoredToken.parse({ ...of, createdAt: new Date().toISOString(), revokedAt: null });
    const keys = [this.#tokens, this.#names];
    const reply = await CREATE.run(this.#redis, keys, [of.name, digest, JSON.stringify(stored), String(MOST_TOKENS)]);
    if (reply === 'TAKEN')
      throw new FleetError('CONFLICT', `there is a token named "${of.name}" already`, {
        remedy: 'Revoke it first, or choose another name.',
      });
    if (reply === 'FULL')
      throw new FleetError('CONFLICT', `there are ${MOST_TOKENS} tokens already, revoked ones included`, {
        remedy: 'Start afresh with `maestro token reset`.',
      });
    return { token, record: { ...stored, id: idOf(digest), lastUsedAt: null, status: statusOf(stored) } };
  }

  /** The record of the token that was presented, whatever its status; undefined when there is none. */
  async find(token: string): Promise<TokenRecord | undefined> {
    const digest = digestOf(token);
    const raw = await this.#redis.hget(this.#tokens, digest);
    if (raw === null) return undefined;
    const stored = StoredToken.parse(JSON.parse(raw));
    return { ...stored, id: idOf(digest), lastUsedAt: null, status: statusOf(stored) };
  }

  /** Notes that a token was used, now and then. */
  async noteUse({ id }: Pick<TokenRecord, 'id'>): Promise<void> {
    const now = Date.now();
    if (now - (this.#usedAt.get(id) ?? 0) < USED_EVERY_MS) return;
    this.#usedAt.set(id, now);
    await this.#redis.hset(this.#used, id, new Date(now).toISOString());
  }

  /** Whether any was ever made. */
  async hasAny(): Promise<boolean> {
    return (await this.#redis.exists(this.#tokens)) === 1;
  }

  /** Oldest first. */
  async list(): Promise<TokenRecord[]> {
    const [tokens, used] = await Promise.all([this.#redis.hgetall(this.#tokens), this.#redis.hgetall(this.#used)]);
    const records = Object.entries(tokens).map(([digest, raw]): TokenRecord => {
      const stored = StoredToken.parse(JSON.parse(raw));
      const id = idOf(digest);
      return { ...stored, id, lastUsedAt: used[id] ?? null, status: statusOf(stored) };
    });
    return records.toSorted((a, b) => a.createdAt.localeCompare(b.createdAt));
  }

  /** Ends a token now, on every server. Its name can be used again. */
  async revoke(name: string): Promise<TokenRecord> {
    for (;;) {
      const digest = await this.#redis.hget(this.#names, name);
      const before = digest === null ? null : await this.#redis.hget(this.#tokens, digest);
      if (digest === null || before === null)
        throw new FleetError('NOT_FOUND', `there is no token named "${name}"`, {
          remedy: '`maestro token list` shows them.',
        });
      const stored = { ...StoredToken.parse(JSON.parse(before)), revokedAt: new Date().toISOString() };
      const args = [name, digest, before, JSON.stringify(stored)];
      if ((await REVOKE.run(this.#redis, [this.#tokens, this.#names], args)) === 1)
        return { ...stored, id: idOf(digest), lastUsedAt: null, status: 'revoked' };
    }
  }

  /** Forgets every token. A server on loopback asks for none afterwards. */
  async reset(): Promise<number> {
    const count = await this.#redis.hlen(this.#tokens);
    await this.#redis.del(this.#tokens, this.#names, this.#used);
    return count;
  }
}

const idOf = (digest: string): string => digest.slice(0, 12);
