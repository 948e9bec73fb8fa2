import { z } from 'zod';
import type { ShelvedBlobs } from '../shared/blob-store.ts';
import { FleetError, errorMessage } from '../shared/errors.ts';
import type { Logger } from '../shared/logger.ts';
import type { Redis } from '../shared/redis.ts';
import { BlobRef } from '../shared/run-record.ts';
import { dayOf } from '../shared/spend-days.ts';

const DAY_MS = 24 * 3_600_000;
/** How long what was sent can be named in a request; what a run was given stays with the run. */
const KEPT_DAYS = 7;
/** What was sent late in a day can be named for so many days after it; one more is to spare. */
const SWEPT_AFTER_DAYS = KEPT_DAYS + 2;
/** How much one caller may send in a day (UTC). */
const MOST_A_DAY_BYTES = 1024 ** 3;
const SWEEP_MS = 6 * 3_600_000;

export const Upload = z.strictObject({
  /** The sha256 of its bytes: what a request names it by. */
  ref: BlobRef,
  bytes: z.number().int().nonnegative(),
  expiresAt: z.iso.datetime(),
});
type Upload = z.infer<typeof Upload>;

/** A day in UTC, such as 2026-12-01. */
const Day = z.iso.date();

const SHELF = 'uploads-';

/**
 * Files that were sent ahead of the request that names them. Nothing else in the blob store can be named.
 *
 * They lie on a shelf for each day, apart from all other blobs: a run copies what it is given. A shelf is written on its
 * day alone, and read only while something that was sent on its day can still be named; afterwards it is cleared as a
 * whole. So a sweep needs to know nothing of who uses what, and what is sent anew meanwhile is on another shelf.
 */
export class Uploads {
  readonly #redis: Redis;
  readonly #prefix: string;
  readonly #blobs: ShelvedBlobs;
  readonly #clock: () => Promise<number>;

  constructor(of: {
    redis: Redis;
    prefix: string;
    blobs: ShelvedBlobs;
    /** Milliseconds; by default as Redis has it, which is the same for all servers. */
    clock?: () => Promise<number>;
  }) {
    this.#redis = of.redis;
    this.#prefix = of.prefix;
    this.#blobs = of.blobs;
    this.#clock = of.clock ?? (async () => Number((await of.redis.time())[0]) * 1000);
  }

  /** Holds the day whose shelf it lies on. */
  #key(ref: string): string {
    return `${this.#prefix}:maestro:upload:day:${ref}`;
  }

  /** Keeps what was sent, within what its sender may send in a day. */
  async receive(body: Uint8Array, sender: string, mostADay = MOST_A_DAY_BYTES): Promise<Upload> {
    const now = await this.#clock();
    const day = dayOf(new Date(now));
    const counter = `${this.#prefix}:maestro:uploaded:${day}:${sender}`;
    const sent = await this.#redis.incrby(counter, body.byteLength);
    await this.#redis.expire(counter, 2 * 24 * 3600);
    if (sent > mostADay)
      throw new FleetError('RATE_LIMITED', `more than ${mostADay} bytes were uploaded today (UTC)`, {
        remedy: 'Go on tomorrow, or name what was uploaded before.',
      });
    const ref = await this.#blobs.shelf(SHELF + day).put(body);
    await this.#redis.set(this.#key(ref), day, 'PX', KEPT_DAYS * DAY_MS);
    return { ref, bytes: body.byteLength, expiresAt: new Date(now + KEPT_DAYS * DAY_MS).toISOString() };
  }

  /** What was sent. Throws `BAD_INPUT` for anything else, also for blobs that exist. */
  async read(ref: BlobRef): Promise<Uint8Array> {
    const day = Day.safeParse(await this.#redis.get(this.#key(ref)));
    if (!day.success)
      throw new FleetError('BAD_INPUT', `nothing was uploaded as ${ref}, or longer ago than a week`, {
        remedy: 'Send it to POST /api/uploads first.',
      });
    return this.#blobs.shelf(SHELF + day.data).get(ref);
  }

  async readText(ref: BlobRef): Promise<string> {
    try {
      return new TextDecoder('utf-8', { fatal: true }).decode(await this.read(ref));
    } catch (err) {
      if (err instanceof FleetError) throw err;
      throw new FleetError('BAD_INPUT', `the upload ${ref} is not text in UTF-8`, { cause: err });
    }
  }

  /** Clears the shelves of which nothing can be named any more, and returns their days. Any number may do it at once. */
  async sweep(): Promise<string[]> {
    const newest = dayOf(new Date((await this.#clock()) - SWEPT_AFTER_DAYS * DAY_MS));
    const days = (await this.#blobs.shelves())
      .filter((name) => name.startsWith(SHELF))
      .map((name) => name.slice(SHELF.length))
      .filter((day) => Day.safeParse(day).success && day <= newest);
    for (const day of days) await this.#blobs.clearShelf(SHELF + day);
    return days;
  }
}

/** Sweeps now and then. */
export function startUploadSweep(uploads: Uploads, logger: Logger): { close(): void } {
  const sweep = async (): Promise<void> => {
    try {
      const days = await uploads.sweep();
      if (days.length > 0) logger.info({ days }, 'expired uploads deleted');
    } catch (err) {
      logger.warn({ reason: errorMessage(err) }, 'expired uploads could not be deleted');
    }
  };
  const timer = setInterval(() => void sweep(), SWEEP_MS);
  timer.unref();
  void sweep();
  return { close: () => clearInterval(timer) };
}
