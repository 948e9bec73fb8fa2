import type { IncomingMessage } from 'node:http';
import { z } from 'zod';
import type { BlobStore } from '../shared/blob-store.ts';
import { FleetError } from '../shared/errors.ts';
import type { Redis } from '../shared/redis.ts';
import { BlobRef } from '../shared/run-record.ts';

export const MOST_UPLOAD_BYTES = 16 * 1024 * 1024;
/** How long what was sent can be named in a request; what a run was given stays with the run. */
const KEPT_SECONDS = 7 * 24 * 3600;

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

  /** Keeps the body of a request. */
  async receive(req: IncomingMessage): Promise<Upload> {
    const body = await readBody(req);
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

/** Never holds more than is allowed, whatever the request says of its length. */
async function readBody(req: IncomingMessage): Promise<Buffer> {
  if (Number(req.headers['content-length'] ?? 0) > MOST_UPLOAD_BYTES) throw tooLarge();
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  const stream: AsyncIterable<Uint8Array> = req;
  for await (const chunk of stream) {
    bytes += chunk.byteLength;
    if (bytes > MOST_UPLOAD_BYTES) throw tooLarge();
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
