import { type BlobStore, getJson } from '../shared/blob-store.ts';
import { type Cassette, Recording } from '../shared/cassette.ts';
import type { Redis } from '../shared/redis.ts';
import { runKey } from '../shared/run-keys.ts';
import { BlobRef, type RunPlan } from '../shared/run-record.ts';
import type { RunStore } from '../shared/run-store.ts';

/** Gathers what the workers have recorded of a run. */
export async function gatherCassette(
  of: { redis: Redis; prefix: string; blobs: BlobStore; store: RunStore },
  plan: RunPlan,
): Promise<Cassette> {
  const refs = await of.redis.lrange(runKey(of.prefix, plan.runId, 'recorded'), 0, -1);
  const recordings: Recording[] = [];
  for (const ref of refs) recordings.push(await getJson(of.blobs, BlobRef.parse(ref), Recording));
  return {
    kind: 'maestro/cassette',
    schemaVersion: 1,
    runId: plan.runId,
    workflow: plan.workflow,
    recordedAt: new Date().toISOString(),
    provider: plan.provider === 'scripted' ? 'scripted' : 'anthropic',
    simulated: (await of.store.getRun(plan.runId)).simulated,
    inputs: plan.inputs,
    scripted: plan.scripted,
    recordings,
  };
}
