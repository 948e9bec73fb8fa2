import { GetObjectCommand, HeadObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import type { BlobStore } from './blob-store.ts';
import { addressOf, missingBlob, storeFailure, verified } from './directory-blobs.ts';
import { FleetError } from './errors.ts';
import { BlobRef } from './run-record.ts';

export interface S3Location {
  bucket: string;
  prefix: string;
  /** For stores that are not Amazon's. */
  endpoint: string | undefined;
  region: string;
}

/**
 * Blobs as objects in a bucket. Keys are found by the SDK in its usual places: environment, profile, instance role.
 * Writing twice is harmless, since an address has only one content; so no conditional writes are needed.
 */
export class S3Blobs implements BlobStore {
  readonly location: string;
  readonly #client: S3Client;
  readonly #where: S3Location;

  constructor(where: S3Location) {
    this.#where = where;
    this.location = `s3://${where.bucket}/${where.prefix}`.replace(/\/$/, '');
    this.#client = new S3Client({
      region: where.region,
      ...(where.endpoint === undefined ? {} : { endpoint: where.endpoint, forcePathStyle: true }),
      // Other makers' stores refuse the checksums that Amazon's takes; the address is the checksum anyway.
      requestChecksumCalculation: 'WHEN_REQUIRED',
      responseChecksumValidation: 'WHEN_REQUIRED',
    });
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

  #object(ref: BlobRef): { Bucket: string; Key: string } {
    const address = BlobRef.parse(ref);
    const Key = [this.#where.prefix, address.slice(0, 2), address].filter((part) => part !== '').join('/');
    return { Bucket: this.#where.bucket, Key };
  }
}

const isMissing = (err: unknown): boolean =>
  err instanceof Error && (err.name === 'NoSuchKey' || err.name === 'NotFound');
