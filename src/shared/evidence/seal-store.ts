import { z } from 'zod';
import { type BlobStore, getJson } from '../blob-store.ts';
import { RedisScript } from '../redis-script.ts';
import type { Redis } from '../redis.ts';
import { runKey } from '../run-keys.ts';
import { BlobRef } from '../run-record.ts';
import type { RunStore } from '../run-store.ts';
import { Envelope } from './dsse.ts';

const FIELD = 'seal';

/** A run that is not there any more is not begun again by its seal. KEYS: run hash. ARGV: field, address. */
const WRITE = new RedisScript(`
if redis.call('HEXISTS', KEYS[1], 'run') == 0 then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 1
`);

interface Sealed {
  redis: Redis;
  prefix: string;
  blobs: BlobStore;
}

/** Keeps the signed statement about a run beside its records; the last one counts. */
export async function writeSeal({ redis, prefix, blobs }: Sealed, runId: string, envelope: Envelope): Promise<void> {
  const ref = await blobs.put(Buffer.from(JSON.stringify(envelope), 'utf8'));
  await WRITE.run(redis, [runKey(prefix, runId)], [FIELD, ref]);
}

/** The signed statement about a run, also of one that has left Redis; undefined when none was made. */
export async function readSeal(of: Sealed & { store: RunStore }, runId: string): Promise<Envelope | undefined> {
  const ref =
    (await of.redis.hget(runKey(of.prefix, runId), FIELD)) ?? (await of.store.archive?.find(runId))?.hashes.run[FIELD];
  return ref === undefined ? undefined : getJson(of.blobs, z.parse(BlobRef, ref), Envelope);
}
