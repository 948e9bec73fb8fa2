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

/**
 * A blob store with shelves: parts of it whose blobs are thrown away together. A blob outside of them is never deleted, as
 * whoever stored the same bytes may rest on it. The same bytes on a shelf are another copy, so nothing else rests on those.
 */
export interface ShelvedBlobs extends BlobStore {
  /** A shelf is there as soon as something is put on it. Its name has lower-case letters, digits and dashes. */
  shelf(name: string): BlobStore;
  /** The names of the shelves that hold something. */
  shelves(): Promise<string[]>;
  /** Throws away what is on a shelf. Several may do it at once, and again. */
  clearShelf(name: string): Promise<void>;
}

const SHELVES = 'shelves';

/** The path of a shelf below the store, by its name; the folder of all shelves without one. */
export function shelfPath(name?: string): string {
  if (name === undefined) return SHELVES;
  if (!/^[a-z0-9-]{1,100}$/.test(name)) throw new FleetError('INTERNAL', `"${name}" is no name of a shelf`);
  return `${SHELVES}/${name}`;
}

/** Stores a JSON document. */
export const putJson = (store: BlobStore, value: unknown): Promise<BlobRef> =>
  store.put(Buffer.from(JSON.stringify(value), 'utf8'));

/** Reads a JSON document and checks it with a schema. */
export async function getJson<T>(store: BlobReader, ref: BlobRef, schema: { parse(value: unknown): T }): Promise<T> {
  return schema.parse(JSON.parse(Buffer.from(await store.get(ref)).toString('utf8')));
}

/** Whether what was stored is gone or damaged for good, and not only out of reach for the moment. */
export const isLost = (err: unknown): boolean => err instanceof FleetError && err.details['isLost'] === true;
