import type { IncomingMessage } from 'node:http';
import { z } from 'zod';
import type { BlobStore } from '../shared/blob-store.ts';
import { FleetError } from '../shared/errors.ts';
import type { Redis } from '../shared/redis.ts';
import { BlobRef } from '../shared/run-record.ts';

export const MOST_UPLOAD_BYTES = 16 * 1024 * 1024;
/** How long what was sent can be named in a request; what a run was given stays with the run. */
const KEPT_SECONDS = 7 * 24 * 3600;
/** How much one caller may send in a day (UTC). */
const MOST_A_DAY_BYTES = 1024 ** 3;
/** How many bodies one process reads at once: each is held in memory. */
const MOST_AT_ONCE = 8;
let atOnce = 0;

export const Upload = z.strictObject({
  /** The sha256 of its bytes: what a request names it by. */
  ref: BlobRef,
  bytes: z.number().int().nonnegative(),
  expiresAt: z.iso.datetime(),
});
type Upload = z.infer<typeof Upload>;

/** Files that were sent ahead of the request that names them. Nothing else in the blob store can be named. */
export class Uploads {
  readonly #redis: Redis;
  readonly #prefix: string;
  readonly #blobs: BlobStore;

  constructor({ redis, prefix, blobs }: { redis: Redis; prefix: string; blobs: BlobStore }) {
    this.#redis = redis;
    this.#prefix = prefix;
    this.#blobs = blobs;
  }

  #key(ref: string): string {
    return `${this.#prefix}:maestro:upload:${ref}`;
  }

  /** Keeps the body of a request, within what its sender may send in a day. */
  async receive(req: IncomingMessage, sender: string, mostADay = MOST_A_DAY_BYTES): Promise<Upload> {
    const body = await readInTurn(req);
    const day = `${this.#prefix}:maestro:uploaded:${new Date().toISOString().slice(0, 10)}:${sender}`;
    const sent = await this.#redis.incrby(day, body.byteLength);
    await this.#redis.expire(day, 2 * 24 * 3600);
    if (sent > mostADay)
      throw new FleetError('RATE_LIMITED', `more than ${mostADay} bytes were uploaded today (UTC)`, {
        remedy: 'Go on tomorrow, or name what was uploaded before.',
      });
    const ref = await this.#blobs.put(body);
    await this.#redis.set(this.#key(ref), String(body.byteLength), 'EX', KEPT_SECONDS);
    return { ref, bytes: body.byteLength, expiresAt: new Date(Date.now() + KEPT_SECONDS * 1000).toISOString() };
  }

  /** What was sent. Throws `BAD_INPUT` for anything else, also for blobs that exist. */
  async read(ref: BlobRef): Promise<Uint8Array> {
    if ((await this.#redis.exists(this.#key(ref))) === 0)
      throw new FleetError('BAD_INPUT', `nothing was uploaded as ${ref}, or longer ago than a week`, {
        remedy: 'Send it to POST /api/uploads first.',
      });
    return this.#blobs.get(ref);
  }

  async readText(ref: BlobRef): Promise<string> {
    try {
      return new TextDecoder('utf-8', { fatal: true }).decode(await this.read(ref));
    } catch (err) {
      if (err instanceof FleetError) throw err;
      throw new FleetError('BAD_INPUT', `the upload ${ref} is not text in UTF-8`, { cause: err });
    }
  }
}

const tooLarge = (): FleetError =>
  new FleetError('TOO_LARGE', `an upload may have at most ${MOST_UPLOAD_BYTES} bytes`, { remedy: 'Send less.' });

async function readInTurn(req: IncomingMessage): Promise<Buffer> {
  if (atOnce >= MOST_AT_ONCE)
    throw new FleetError('RATE_LIMITED', `${MOST_AT_ONCE} uploads are being read already`, {
      remedy: 'Send it again in a moment.',
    });
  atOnce += 1;
  try {
    return await readBody(req);
  } finally {
    atOnce -= 1;
  }
}

/** Never holds more than is allowed, whatever the request says of its length. */
async function readBody(req: IncomingMessage): Promise<Buffer> {
  if (Number(req.headers['content-length'] ?? 0) > MOST_UPLOAD_BYTES) throw tooLarge();
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  const stream: AsyncIterable<Uint8Array> = req;
  for await (const chunk of stream) {
    bytes += chunk.byteLength;
    // What is a little too large is read to its end and thrown away: to break off would lose the answer that says so.
    if (bytes > 2 * MOST_UPLOAD_BYTES) throw tooLarge();
    if (bytes > MOST_UPLOAD_BYTES) chunks.length = 0;
    else chunks.push(chunk);
  }
  if (bytes > MOST_UPLOAD_BYTES) throw tooLarge();
  return Buffer.concat(chunks);
}
