import { isAbsolute, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type BlobStore, type ShelvedBlobs, shelfPath } from './blob-store.ts';
import { DirectoryBlobs } from './directory-blobs.ts';
import { FleetError } from './errors.ts';
import type { S3Location } from './s3-blobs.ts';

/** A path, `file:///...`, or `s3://bucket/prefix?endpoint=http://host:9000&region=eu-central-1`. */
export function openBlobStore(location: string): ShelvedBlobs {
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(location)?.[1]?.toLowerCase();
  if (location === '') throw badLocation(location, 'is empty');
  if (scheme === undefined) return new DirectoryBlobs(isAbsolute(location) ? location : resolve(location));
  if (scheme === 's3') return openS3(parseS3(location));
  if (scheme !== 'file') throw badLocation(location, 'has an unknown scheme');
  try {
    return new DirectoryBlobs(fileURLToPath(location));
  } catch {
    throw badLocation(location, 'is no path on this machine');
  }
}

const badLocation = (location: string, why: string): FleetError =>
  new FleetError('BAD_USAGE', `the blob store "${location.replace(/\?.*$/, '')}" ${why}`, {
    remedy: 'Set MAESTRO_BLOBS to a folder, file:///folder, or s3://bucket/prefix?endpoint=URL&region=NAME.',
  });

function parseS3(location: string): S3Location {
  const url = URL.canParse(location) ? new URL(location) : undefined;
  if (url === undefined || url.hostname === '') throw badLocation(location, 'names no bucket');
  if (url.username !== '' || url.password !== '') {
    throw badLocation(
      `s3://${url.hostname}`,
      'holds a key, which belongs in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY',
    );
  }
  const unknown = [...url.searchParams.keys()].find((name) => name !== 'endpoint' && name !== 'region');
  if (unknown !== undefined) throw badLocation(location, `has an unknown setting "${unknown}"`);
  const endpoint = url.searchParams.get('endpoint') ?? undefined;
  if (endpoint !== undefined && !/^https?:\/\//.test(endpoint))
    throw badLocation(location, 'has an endpoint that is no URL');
  return {
    bucket: url.hostname,
    prefix: url.pathname.replaceAll(/^\/+|\/+$/g, ''),
    endpoint,
    region: url.searchParams.get('region') ?? 'us-east-1',
  };
}

/** Loads the S3 client when the first blob is asked for, so that nobody else pays for it. */
function openS3(where: S3Location): ShelvedBlobs {
  let store: Promise<ShelvedBlobs> | undefined;
  const open = (): Promise<ShelvedBlobs> =>
    (store ??= import('./s3-blobs.ts').then(({ S3Blobs }) => new S3Blobs(where)));
  const location = `s3://${where.bucket}/${where.prefix}`.replace(/\/$/, '');
  return {
    ...lazily(location, open),
    shelf: (name) => lazily(`${location}/${shelfPath(name)}`, async () => (await open()).shelf(name)),
    shelves: async () => (await open()).shelves(),
    clearShelf: async (name) => (await open()).clearShelf(name),
  };
}

const lazily = (location: string, open: () => Promise<BlobStore>): BlobStore => ({
  location,
  put: async (bytes) => (await open()).put(bytes),
  get: async (ref) => (await open()).get(ref),
  has: async (ref) => (await open()).has(ref),
});
