import type { BlobStore } from '../../shared/blob-store.ts';
import { FleetError } from '../../shared/errors.ts';
import type { Envelope } from '../../shared/evidence/dsse.ts';
import { readSeal } from '../../shared/evidence/seal-store.ts';
import type { RunId } from '../../shared/names.ts';
import type { Redis } from '../../shared/redis.ts';
import { TERMINAL_RUN } from '../../shared/run-record.ts';
import type { RunStore } from '../../shared/run-store.ts';

/** How long the worker that ended a run may take to sign it. */
export const SEAL_MS = 30_000;

/** The signed statement about a run. Throws `NOT_VERIFIED` with the reason where there is none. */
export async function findSeal(
  of: { redis: Redis; prefix: string; blobs: BlobStore; store: RunStore },
  runId: RunId,
): Promise<Envelope> {
  const run = await of.store.getRun(runId);
  const envelope = await readSeal(of, runId);
  if (envelope !== undefined) return envelope;
  const { finishedAt } = run;
  if (finishedAt !== null && Date.now() - Date.parse(finishedAt) < SEAL_MS)
    throw new FleetError('NOT_VERIFIED', `run ${runId} has only just ended: it is being sealed`, {
      remedy: 'Ask again in half a minute.',
    });
  const hasEnded = TERMINAL_RUN.includes(run.status);
  throw new FleetError(
    'NOT_VERIFIED',
    hasEnded
      ? `run ${runId} was never sealed: nothing was signed when it ended`
      : `run ${runId} is ${run.status}: it is sealed when it ends`,
    { remedy: hasEnded ? 'Look in the log of the workers for the reason.' : 'Wait for its end.' },
  );
}
