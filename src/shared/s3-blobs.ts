import {
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  PutObjectCommand,
  S3Client,
  paginateListObjectsV2,
} from '@aws-sdk/client-s3';
import { type BlobStore, type ShelvedBlobs, shelfPath } from './blob-store.ts';
import { addressOf, missingBlob, storeFailure, verified } from './directory-blobs.ts';
import { FleetError } from './errors.ts';
import { BlobRef } from './run-record.ts';

export interface S3Location {
  bucket: string;
  prefix: string;
  /** For stores that are not Amazon's. */
  endpoint: string | undefined;
  region: string;
  /** Whether objects lie directly below the prefix, where also modest stores find it in a listing of prefixes. */
  isFlat?: boolean;
}

/**
 * Blobs as objects in a bucket. Keys are found by the SDK in its usual places: environment, profile, instance role.
 * Writing twice is harmless, since an address has only one content; so no conditional writes are needed.
 */
export class S3Blobs implements ShelvedBlobs {
  readonly location: string;
  readonly #client: S3Client;
  readonly #where: S3Location;

  constructor(where: S3Location, client = clientFor(where)) {
    this.#where = where;
    this.location = `s3://${where.bucket}/${where.prefix}`.replace(/\/$/, '');
    this.#client = client;
  }

  async put(bytes: Uint8Array): Promise<BlobRef> {
    const ref = await addressOf(bytes);
    try {
      await this.#client.send(new PutObjectCommand({ ...this.#object(ref), Body: bytes }));
      return ref;
    } catch (err) {
      throw storeFailure(this.location, err);
    }
  }

  async get(ref: BlobRef): Promise<Uint8Array> {
    try {
      const answer = await this.#client.send(new GetObjectCommand(this.#object(ref)));
      const bytes = await answer.Body?.transformToByteArray();
      return await verified(ref, bytes ?? new Uint8Array(), this.location);
    } catch (err) {
      if (err instanceof FleetError) throw err;
      throw isMissing(err) ? missingBlob(ref, this.location, err) : storeFailure(this.location, err);
    }
  }

  async has(ref: BlobRef): Promise<boolean> {
    try {
      await this.#client.send(new HeadObjectCommand(this.#object(ref)));
      return true;
    } catch (err) {
      if (isMissing(err)) return false;
      throw storeFailure(this.location, err);
    }
  }

  shelf(name: string): BlobStore {
    return new S3Blobs({ ...this.#where, prefix: this.#path(shelfPath(name)), isFlat: true }, this.#client);
  }

  async shelves(): Promise<string[]> {
    const folder = `${this.#path(shelfPath())}/`;
    const names: string[] = [];
    try {
      for await (const { CommonPrefixes = [] } of this.#list(folder, '/'))
        names.push(...CommonPrefixes.map(({ Prefix = '' }) => Prefix.slice(folder.length, -1)));
      return names;
    } catch (err) {
      throw storeFailure(this.location, err);
    }
  }

  async clearShelf(name: string): Promise<void> {
    const { bucket: Bucket } = this.#where;
    try {
      for await (const { Contents = [] } of this.#list(`${this.#path(shelfPath(name))}/`)) {
        // One by one: to delete many in a request takes a checksum of the request that other makers' stores refuse.
        for (const { Key } of Contents) await this.#client.send(new DeleteObjectCommand({ Bucket, Key }));
      }
    } catch (err) {
      throw storeFailure(this.location, err);
    }
  }

  #list(Prefix: string, Delimiter?: string): ReturnType<typeof paginateListObjectsV2> {
    return paginateListObjectsV2({ client: this.#client }, { Bucket: this.#where.bucket, Prefix, Delimiter });
  }

  #path(...parts: string[]): string {
    return [this.#where.prefix, ...parts].filter((part) => part !== '').join('/');
  }

  #object(ref: BlobRef): { Bucket: string; Key: string } {
    const address = BlobRef.parse(ref);
    const folder = this.#where.isFlat === true ? '' : address.slice(0, 2);
    return { Bucket: this.#where.bucket, Key: this.#path(folder, address) };
  }
}

const clientFor = ({ region, endpoint }: S3Location): S3Client =>
  new S3Client({
    region,
    ...(endpoint === undefined ? {} : { endpoint, forcePathStyle: true }),
    // Other makers' stores refuse the checksums that Amazon's takes; the address is the checksum anyway.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
  });

const isMissing = (err: unknown): boolean =>
  err instanceof Error && (err.name === 'NoSuchKey' || err.name === 'NotFound');
