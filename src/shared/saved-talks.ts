import { z } from 'zod';
import type { Redis } from './redis.ts';
import { runKey } from './run-keys.ts';
import { BlobRef } from './run-record.ts';

/** A conversation as it was saved last: whose it is, and where its text lies. */
export interface SavedTalk {
  phase: string;
  /** What its transcript will be called when it has ended. */
  name: string;
  checkpoint: BlobRef;
}

const Pointer = z.looseObject({ checkpoint: BlobRef });

/** The conversations of a run that were saved, those that have ended among them. */
export async function readSavedTalks(redis: Redis, prefix: string, runId: string): Promise<SavedTalk[]> {
  const saved = await redis.hgetall(runKey(prefix, runId, 'conversations'));
  return Object.entries(saved).flatMap(([id, text]): SavedTalk[] => {
    const [, phase, persona, review, round] = /^[^.]+\.([^.]+)\.([^.]+)(\.review)?\.r(\d+)$/.exec(id) ?? [];
    if (phase === undefined || persona === undefined || round === undefined) return [];
    const kind = review === undefined ? 'work' : 'review';
    return [{ phase, name: `${persona}.${kind}.r${round}`, checkpoint: Pointer.parse(JSON.parse(text)).checkpoint }];
  });
}
