import { randomUUID } from 'node:crypto';
import { access, mkdir, open, readFile, readdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { FleetError, errorMessage } from './errors.ts';
import { type BlobStore, type ShelvedBlobs, shelfPath } from './blob-store.ts';
import { hasCode } from './file-lock.ts';
import { BlobRef } from './run-record.ts';
import { sha256Of } from './sha256-of.ts';

export const addressOf = async (bytes: Uint8Array): Promise<BlobRef> => BlobRef.parse(await sha256Of(bytes));

export const missingBlob = (ref: BlobRef, location: string, cause: unknown): FleetError =>
  new FleetError('BLOB_UNAVAILABLE', `blob ${ref} is not in ${location}`, {
    remedy: 'Give every worker and producer the same MAESTRO_BLOBS.',
    retry: true,
    cause,
    details: { isLost: true },
  });

/** Checks bytes against the address they were read from. */
export async function verified(ref: BlobRef, bytes: Uint8Array, location: string): Promise<Uint8Array> {
  if ((await addressOf(bytes)) === ref) return bytes;
  throw new FleetError('BLOB_UNAVAILABLE', `blob ${ref} in ${location} is damaged: its bytes have another address`, {
    remedy: 'Remove it from the store and run the phase that made it again.',
    details: { isLost: true },
  });
}

export const storeFailure = (location: string, err: unknown): FleetError =>
  new FleetError('BLOB_UNAVAILABLE', `the blob store ${location} cannot be used: ${errorMessage(err)}`, {
    remedy: 'Check MAESTRO_BLOBS and the permissions there.',
    retry: true,
    cause: err,
  });

/** Blobs as files, in folders by the first two digits of their address. */
export class DirectoryBlobs implements ShelvedBlobs {
  readonly location: string;

  constructor(folder: string) {
    this.location = folder;
  }

  async put(bytes: Uint8Array): Promise<BlobRef> {
    const ref = await addressOf(bytes);
    const path = this.#pathOf(ref);
    // A damaged file is written anew, so that storing again mends it.
    const stored = await readFile(path).catch(() => undefined);
    if (stored !== undefined && (await addressOf(stored)) === ref) return ref;
    const temporary = join(dirname(path), `.${ref}.${randomUUID()}`);
    try {
      await mkdir(dirname(path), { recursive: true });
      await this.#place(temporary, path, bytes);
    } catch (err) {
      throw storeFailure(this.location, err);
    }
    return ref;
  }

  async get(ref: BlobRef): Promise<Uint8Array> {
    try {
      return await verified(ref, await readFile(this.#pathOf(ref)), this.location);
    } catch (err) {
      if (err instanceof FleetError) throw err;
      throw hasCode(err, 'ENOENT') ? missingBlob(ref, this.location, err) : storeFailure(this.location, err);
    }
  }

  async has(ref: BlobRef): Promise<boolean> {
    return access(this.#pathOf(ref)).then(
      () => true,
      () => false,
    );
  }

  shelf(name: string): BlobStore {
    return new DirectoryBlobs(join(this.location, shelfPath(name)));
  }

  async shelves(): Promise<string[]> {
    try {
      return await readdir(join(this.location, shelfPath()));
    } catch (err) {
      if (hasCode(err, 'ENOENT')) return [];
      throw storeFailure(this.location, err);
    }
  }

  async clearShelf(name: string): Promise<void> {
    try {
      await rm(join(this.location, shelfPath(name)), { recursive: true, force: true, maxRetries: 3 });
    } catch (err) {
      throw storeFailure(this.location, err);
    }
  }

  async #place(temporary: string, path: string, bytes: Uint8Array): Promise<void> {
    try {
      await writeDurably(temporary, bytes);
      await rename(temporary, path);
      await syncFolder(dirname(path));
    } finally {
      await rm(temporary, { force: true });
    }
  }

  #pathOf(ref: BlobRef): string {
    const address = BlobRef.parse(ref);
    return join(this.location, address.slice(0, 2), address);
  }
}

/** A reference is handed out only once the bytes would survive a power cut. */
async function writeDurably(path: string, bytes: Uint8Array): Promise<void> {
  const file = await open(path, 'wx', 0o644);
  try {
    await file.writeFile(bytes);
    await file.sync();
  } finally {
    await file.close();
  }
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
