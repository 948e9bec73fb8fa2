import { z } from 'zod';
import { isBefore } from '../shared/fleet-log.ts';
import type { Redis } from '../shared/redis.ts';

/** One change that was asked for over HTTP or with the command line. Never a body, never a secret. */
export const AuditEntry = z.strictObject({
  /** Its place in the log; later ones sort behind it. */
  id: z.string(),
  at: z.iso.datetime(),
  /** The name of the token; `local` without one; `cli` for the command line. */
  who: z.string(),
  tokenId: z.string().nullable(),
  /** Where it came from: an address, or the user of a machine. */
  from: z.string(),
  /** The operation, by its id in the OpenAPI document or the name of the command. */
  action: z.string(),
  /** What it was done to: the parts of its path. */
  target: z.record(z.string(), z.string()),
  /** `unknown` when the server ended before it had an answer. */
  outcome: z.enum(['done', 'refused', 'failed', 'unknown']),
  /** The status of the answer; null for a command, and when there was none. */
  status: z.number().int().nullable(),
  requestId: z.string(),
});
export type AuditEntry = z.infer<typeof AuditEntry>;
type Asked = Omit<AuditEntry, 'id' | 'at' | 'outcome' | 'status'>;
type Answered = Asked & Pick<AuditEntry, 'outcome' | 'status'>;

const Stored = AuditEntry.omit({ id: true, at: true });

/** About this many changes are kept; the oldest leave. */
const KEPT = 100_000;
/** And about this many attempts that were refused. */
const KEPT_REFUSED = 10_000;
const PAGE = 500;
const MOST_SCANNED = 20_000;

/**
 * An append-only log of changes, in a Redis stream. A change is written down before it is made, and once more with its
 * outcome: what cannot be written down is not done, and a server that dies in between leaves an entry that says so.
 * What was refused moves to a stream of its own: however often somebody tries, no change that was made leaves for it.
 */
export class AuditLog {
  readonly #redis: Redis;
  readonly #log: string;
  readonly #refused: string;
  readonly #kept: number;
  /** Changes without an outcome yet, by when they were asked for. */
  readonly #open: string;
  readonly #writing = new Set<Promise<void>>();

  constructor(redis: Redis, prefix: string, kept = KEPT) {
    this.#redis = redis;
    this.#log = `${prefix}:maestro:audit`;
    this.#refused = `${prefix}:maestro:audit:refused`;
    this.#kept = kept;
    this.#open = `${prefix}:maestro:audit:open`;
  }

  /** Writes down that a change is about to be made. Returns what `answered` takes. */
  async asked(change: Asked): Promise<string> {
    const id = await this.#add({ ...change, outcome: 'unknown', status: null });
    await this.#redis.zadd(this.#open, Date.now(), id);
    await this.#redis.zremrangebyrank(this.#open, 0, -this.#kept - 1);
    return id;
  }

  /** Writes down how a change ended; `id` of a change that was refused before it was asked for is undefined. */
  answered(id: string | undefined, change: Answered): Promise<void> {
    const writing = this.#settle(id, change).finally(() => this.#writing.delete(writing));
    this.#writing.add(writing);
    return writing;
  }

  async #settle(id: string | undefined, change: Answered): Promise<void> {
    if (id === undefined || change.outcome === 'refused') {
      await this.#add({ ...change, outcome: 'refused' }, this.#refused, Math.min(this.#kept, KEPT_REFUSED));
      if (id !== undefined) await this.#redis.xdel(this.#log, id);
    } else {
      const own = await this.#add(change);
      if (change.outcome === 'unknown') await this.#redis.zadd(this.#open, Date.now(), own);
    }
    if (id !== undefined) await this.#redis.zrem(this.#open, id);
  }

  /** Waits for what is being written. */
  async close(): Promise<void> {
    await Promise.allSettled(this.#writing);
  }

  async #add(change: Answered, log = this.#log, kept = this.#kept): Promise<string> {
    const id = await this.#redis.xadd(log, 'MAXLEN', '~', kept, '*', 'e', JSON.stringify(Stored.parse(change)));
    return id ?? '';
  }

  /** Newest first, older than `before`. `next` is null at the end. Entries of one id are not parted. */
  async read(of: {
    limit: number;
    before?: string | undefined;
    run?: string | undefined;
    who?: string | undefined;
  }): Promise<{ entries: AuditEntry[]; next: string | null }> {
    const entries: AuditEntry[] = [];
    let end = of.before === undefined ? '+' : `(${of.before}`;
    for (let scanned = 0; scanned < MOST_SCANNED;) {
      const { page, isLast } = await this.#page(end);
      for (const [at, [id, fields]] of page.entries()) {
        end = `(${id}`;
        scanned += 1;
        const entry = entryOf(id, fields[1] ?? '');
        if (of.run !== undefined && entry.target['id'] !== of.run) continue;
        if (of.who !== undefined && entry.who !== of.who) continue;
        // What has an outcome stands once more in the log, with it.
        if (entry.outcome === 'unknown' && (await this.#redis.zscore(this.#open, id)) === null) continue;
        entries.push(entry);
        if (entries.length >= of.limit && page[at + 1]?.[0] !== id) return { entries, next: id };
      }
      if (isLast) return { entries, next: null };
    }
    return { entries, next: end.slice(1) };
  }

  /** The next entries of both streams, as far as both are known. */
  async #page(end: string): Promise<{ page: [id: string, fields: string[]][]; isLast: boolean }> {
    const pages = await Promise.all(
      [this.#log, this.#refused].map((log) => this.#redis.xrevrange(log, end, '-', 'COUNT', PAGE)),
    );
    const floors = pages.flatMap((page) => (page.length < PAGE ? [] : (page.at(-1)?.[0] ?? [])));
    const page = pages
      .flat()
      .filter(([id]) => floors.every((floor) => !isBefore(id, floor)))
      .toSorted(([a], [b]) => (a === b ? 0 : isBefore(a, b) ? 1 : -1));
    return { page, isLast: floors.length === 0 };
  }
}

const entryOf = (id: string, raw: string): AuditEntry => ({
  id,
  at: new Date(Number(id.split('-')[0])).toISOString(),
  ...Stored.parse(JSON.parse(raw)),
});
