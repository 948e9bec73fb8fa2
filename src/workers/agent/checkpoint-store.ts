import { z } from 'zod';
import { type BlobStore, getJson, isLost, putJson } from '../../shared/blob-store.ts';
import { FleetError, errorMessage } from '../../shared/errors.ts';
import type { Fence } from '../../shared/run-store.ts';
import type { Redis } from '../../shared/redis.ts';
import { runKey } from '../../shared/run-keys.ts';
import { BlobRef } from '../../shared/run-record.ts';
import { AgentCheckpoint, type CheckpointStore, type Loaded } from './checkpoint.ts';

/** A work tree that any worker can fetch, and the hash of its files. */
export const SavedTree = z.strictObject({ commit: z.string(), bundle: BlobRef, tree: z.string().optional() });
export type SavedTree = z.infer<typeof SavedTree>;

/** Conversation and work tree belong together, so they are pointed at by one value that changes in one step. */
const Pointer = z.strictObject({ checkpoint: BlobRef, tree: SavedTree.nullable() });
type Pointer = z.infer<typeof Pointer>;

const MOVE = `
if redis.call('GET', KEYS[2]) ~= ARGV[3] then return 'STALE' end
if (redis.call('HGET', KEYS[3], 'generation') or '0') ~= ARGV[4] then return 'STALE' end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 'OK'
`;

export interface SavedWork extends CheckpointStore {
  /** The conversation as it was saved last by this attempt. */
  latest(): AgentCheckpoint | null;
  /** Forgets the conversation, when the job is to begin anew. */
  clear(): Promise<void>;
}

/** The files that a conversation works on. */
export interface SavedFiles {
  /** Stores the files as they are; null when there are more than can be kept. */
  snapshot: () => Promise<SavedTree | null>;
  /** Brings them to what was stored, and returns the hash of what is there then. */
  adopt: (tree: SavedTree) => Promise<string>;
  /** Brings them to where the job begins. */
  reset: () => Promise<void>;
}

interface SavedWorkOptions {
  redis: Redis;
  prefix: string;
  runId: string;
  jobId: string;
  blobs: BlobStore;
  /** The job's lock: an attempt that lost it may no longer move the pointer. */
  fence: Fence;
  /** Null for whoever changes no file. */
  files: SavedFiles | null;
  /** Told when what was saved cannot be gone on with. */
  onStartOver: (reason: string) => Promise<void>;
}

/** What was saved and cannot be read again by anybody; a store that is out of reach is a fault like any other. */
function brokenBy(err: unknown): string | undefined {
  const isUnreadable = err instanceof z.ZodError || err instanceof SyntaxError;
  return isUnreadable || isLost(err) ? errorMessage(err) : undefined;
}

/** Whether the conversation was saved with the very files that the pointer names. */
function pairFault({ workspace }: AgentCheckpoint, tree: SavedTree | null): string | undefined {
  // Earlier versions did not note it.
  if (workspace === undefined || (workspace === null && tree === null)) return undefined;
  if (workspace?.commit === tree?.commit) return undefined;
  return `it was saved with the files of ${workspace?.commit ?? 'the beginning'}, and not with those of ${tree?.commit ?? 'the beginning'}`;
}

/** Earlier versions stored no hash of the files. */
const workspaceOf = ({ commit, tree }: SavedTree): AgentCheckpoint['workspace'] =>
  tree === undefined ? undefined : { commit, tree };

/** Whether files have changed since they were stored: the model has only answered, and nothing of it has run. */
const isUnchanged = ({ stage, turns, progress }: AgentCheckpoint): boolean =>
  turns === 0 || (stage === 'answered' && (progress?.results ?? []).length === 0);

/**
 * Keeps the conversation of one job where every worker finds it: the text in the blob store, a pointer in Redis.
 * The files are stored with it when tools have run since they were stored last.
 */
export async function openSavedWork(options: SavedWorkOptions): Promise<SavedWork> {
  const { redis, blobs, jobId, files } = options;
  const run = runKey(options.prefix, options.runId);
  const key = runKey(options.prefix, options.runId, 'conversations');
  const found = await redis.hget(key, jobId);
  let tree: SavedTree | null = null;
  let saved: AgentCheckpoint | null = null;
  let latest: AgentCheckpoint | null = null;
  let isBehind = false;
  const move = async (pointer: Pointer): Promise<void> => {
    const { lockKey, token, generation } = options.fence;
    const args = [jobId, JSON.stringify(pointer), token, String(generation)];
    if ((await redis.eval(MOVE, 3, key, lockKey, run, ...args)) === 'STALE')
      throw new FleetError('STALE_ATTEMPT', `another attempt holds the job ${jobId}; this one may not write any more`);
  };
  const load = async (): Promise<Loaded> => {
    if (found === null) return { state: 'none' };
    try {
      const pointer = Pointer.parse(JSON.parse(found));
      saved = await getJson(blobs, pointer.checkpoint, AgentCheckpoint);
      tree = pointer.tree;
      return { state: 'saved', checkpoint: saved };
    } catch (err) {
      const reason = brokenBy(err);
      if (reason === undefined) throw err;
      return { state: 'broken', reason: `what was saved of the conversation cannot be read: ${reason}` };
    }
  };
  return {
    load,
    latest: () => latest,
    async restore() {
      if (saved === null) return 'nothing was saved';
      const mismatch = pairFault(saved, tree);
      if (mismatch !== undefined) return `the conversation does not belong to the files that were saved: ${mismatch}`;
      if (files === null || tree === null) return undefined;
      try {
        const there = await files.adopt(tree);
        const wanted = saved.workspace?.tree ?? tree.tree ?? there;
        return there === wanted
          ? undefined
          : `the files that were saved are ${there}, and the conversation saw ${wanted}`;
      } catch (err) {
        const reason = brokenBy(err);
        if (reason === undefined) throw err;
        return `the files that were saved with the conversation cannot be read: ${reason}`;
      }
    },
    async startOver(reason) {
      await files?.reset();
      tree = null;
      // Forgotten last: whoever dies before has it told again, and nothing of it stays open.
      await options.onStartOver(reason);
      await redis.hdel(key, jobId);
    },
    async save(checkpoint) {
      latest = checkpoint;
      if (files !== null && !isUnchanged(checkpoint)) {
        const stored = await files.snapshot();
        isBehind = stored === null;
        tree = stored ?? tree;
      }
      const workspace = tree === null ? null : workspaceOf(tree);
      const kept = { ...checkpoint, workspace, ...(isBehind ? { behind: true } : {}) };
      await move({ checkpoint: await putJson(blobs, kept), tree });
    },
    async clear() {
      await redis.hdel(key, jobId);
    },
  };
}
