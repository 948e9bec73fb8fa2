import { z } from 'zod';
import { PhaseStatus, RunStatus, TERMINAL_RUN } from './run-record.ts';
import type { RunStore } from './run-store.ts';

/** What is asked of records that may be of another version. */
const Ended = z.looseObject({ status: RunStatus, finishedAt: z.string().nullable() });
const AnyPhase = z.looseObject({ status: PhaseStatus });

/**
 * Moves an ended run from Redis to the archive. Returns false, and changes nothing, when it has not ended,
 * is not in Redis, or is changed in the same moment.
 */
export async function archiveRun(store: RunStore, runId: string): Promise<boolean> {
  if (store.archive === undefined) return false;
  const run = await store.getRun(runId);
  return store.archive.add(runId, ({ hashes }) => {
    const { status, finishedAt } = Ended.parse(JSON.parse(hashes.run['run'] ?? 'null'));
    if (!TERMINAL_RUN.includes(status) || status !== run.status || finishedAt !== run.finishedAt) return null;
    const phases = Object.entries(hashes.phases).flatMap(([phase, text]) =>
      store.index.ofPhase(runId, phase, AnyPhase.parse(JSON.parse(text)).status, null),
    );
    return {
      entry: { runId, workflow: run.workflow, status, run },
      changes: [...store.index.ofRun(run, null), ...phases],
    };
  });
}
