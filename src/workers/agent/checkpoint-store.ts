import { z } from 'zod';
import { type BlobStore, getJson, putJson } from '../../shared/blob-store.ts';
import { FleetError } from '../../shared/errors.ts';
import type { Fence } from '../../shared/run-store.ts';
import type { Redis } from '../../shared/redis.ts';
import { runKey } from '../../shared/run-keys.ts';
import { BlobRef } from '../../shared/run-record.ts';
import { AgentCheckpoint, type CheckpointStore } from './checkpoint.ts';

/** A work tree that any worker can fetch. */
export const SavedTree = z.strictObject({ commit: z.string(), bundle: BlobRef });
export type SavedTree = z.infer<typeof SavedTree>;

/** Conversation and work tree belong together, so they are pointed at by one value that changes in one step. */
const Pointer = z.strictObject({ checkpoint: BlobRef, tree: SavedTree.nullable() });

const MOVE = `
if redis.call('GET', KEYS[2]) ~= ARGV[3] then return 'STALE' end
if (redis.call('HGET', KEYS[3], 'generation') or '0') ~= ARGV[4] then return 'STALE' end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 'OK'
`;

export interface SavedWork extends CheckpointStore {
  /** The tree to start from: as it was when the conversation was last saved. Null: as the job begins. */
  readonly tree: SavedTree | null;
  /** The conversation as it was saved last by this attempt. */
  latest(): AgentCheckpoint | null;
  /** Forgets the conversation, when the job is to begin anew. */
  clear(): Promise<void>;
}

/**
 * Keeps the conversation of one job where every worker finds it: the text in the blob store, a pointer in Redis.
 * `snapshot` stores the work tree; it is called after a turn whose tools have run, and not when the model has only
 * answered, because the tree has not changed since then.
 */
export async function openSavedWork(options: {
  redis: Redis;
  prefix: string;
  runId: string;
  jobId: string;
  blobs: BlobStore;
  /** The job's lock: an attempt that lost it may no longer move the pointer. */
  fence: Fence;
  snapshot: () => Promise<SavedTree>;
}): Promise<SavedWork> {
  const { redis, blobs, jobId } = options;
  const run = runKey(options.prefix, options.runId);
  const key = runKey(options.prefix, options.runId, 'conversations');
  const found = await redis.hget(key, jobId);
  const pointer = found === null ? null : Pointer.parse(JSON.parse(found));
  let tree = pointer?.tree ?? null;
  let latest: AgentCheckpoint | null = null;
  return {
    tree,
    load: () => (pointer === null ? Promise.resolve(null) : getJson(blobs, pointer.checkpoint, AgentCheckpoint)),
    latest: () => latest,
    async save(checkpoint) {
      latest = checkpoint;
      if (checkpoint.stage === 'completed' && checkpoint.turns > 0) tree = await options.snapshot();
      const saved: z.infer<typeof Pointer> = { checkpoint: await putJson(blobs, checkpoint), tree };
      const { lockKey, token, generation } = options.fence;
      const text = JSON.stringify(saved);
      if ((await redis.eval(MOVE, 3, key, lockKey, run, jobId, text, token, String(generation))) === 'STALE') {
        throw new FleetError(
          'STALE_ATTEMPT',
          `another attempt holds the job ${jobId}; this one may not write any more`,
        );
      }
    },
    async clear() {
      await redis.hdel(key, jobId);
    },
  };
}
