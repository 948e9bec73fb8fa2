import { FleetError } from './errors.ts';
import type { BlobRef } from './run-record.ts';

/**
 * Content-addressed storage that every worker can reach: a directory, or S3.
 * Payloads in Redis hold only references to it. A blob is written once and never changes.
 */
export interface BlobStore {
  /** Stores the bytes and returns their address. Storing the same bytes again is a no-op. */
  put(bytes: Uint8Array): Promise<BlobRef>;
  /** Reads a blob and checks its bytes against its address. Throws `BLOB_UNAVAILABLE` when missing or damaged. */
  get(ref: BlobRef): Promise<Uint8Array>;
  has(ref: BlobRef): Promise<boolean>;
  /** For messages: where it keeps things, without secrets. */
  readonly location: string;
}

/** As much of a store as reading takes. */
export type BlobReader = Pick<BlobStore, 'get'>;

/** Stores a JSON document. */
export const putJson = (store: BlobStore, value: unknown): Promise<BlobRef> =>
  store.put(Buffer.from(JSON.stringify(value), 'utf8'));

/** Reads a JSON document and checks it with a schema. */
export async function getJson<T>(store: BlobReader, ref: BlobRef, schema: { parse(value: unknown): T }): Promise<T> {
  return schema.parse(JSON.parse(Buffer.from(await store.get(ref)).toString('utf8')));
}

/** Whether what was stored is gone or damaged for good, and not only out of reach for the moment. */
export const isLost = (err: unknown): boolean => err instanceof FleetError && err.details['isLost'] === true;
