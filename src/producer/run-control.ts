import { FleetError } from '../shared/errors.ts';
import type { RunId } from '../shared/names.ts';
import { type RunStatus, TERMINAL_PHASE, TERMINAL_RUN } from '../shared/run-record.ts';
import { followPhases, movePhase, moveRun } from '../shared/transitions.ts';
import { wakeJob } from '../shared/wake-job.ts';
import type { EnqueueTarget } from './enqueue-target.ts';
import { withQueue } from './with-queue.ts';

const ACTIVE: readonly RunStatus[] = ['queued', 'running', 'awaiting_approval'];

/** Wakes the jobs of a run that wait for something, so that they look again. */
async function wakeParked(target: EnqueueTarget, runId: RunId): Promise<void> {
  const parked = await target.store.parkedJobs(runId);
  for (const name of new Set(parked.map((job) => job.queue)))
    await withQueue(target, name, async (queue) => {
      for (const job of parked) if (job.queue === name) await wakeJob(queue, job.jobId);
    });
}

/**
 * Ends a run on request: workers see it within a second and stop; nothing starts afterwards. Returns whether it ended
 * by this: a run that had ended before stays as it ended.
 */
export async function cancelRun(target: EnqueueTarget, runId: RunId, reason: string): Promise<boolean> {
  const { store } = target;
  const standing = (await store.getStanding(runId)) ?? (await store.getRun(runId));
  if (TERMINAL_RUN.includes(standing.status)) return false;
  // It is this take of the run that is cancelled, not one that somebody begins meanwhile.
  const fence = store.fenceOf({ runId, generation: standing.generation });
  const cancelPhases = async (): Promise<void> => {
    for (const { phase, status } of await store.getPhases(runId))
      if (!TERMINAL_PHASE.includes(status)) await movePhase(store, runId, phase, 'cancelled', { reason, fence });
  };
  await cancelPhases();
  const isCancelled = await moveRun(store, runId, 'cancelled', { reason, fence });
  // Instances of a repeated phase may have come to it meanwhile; from now on nothing begins in it.
  await cancelPhases();
  await wakeParked(target, runId);
  return isCancelled;
}

/**
 * Pauses a run: nothing new starts; a conversation under way ends its turn and waits, saved. Returns whether it was
 * paused by this. Throws `CONFLICT` when the run has ended.
 */
export async function pauseRun(target: EnqueueTarget, runId: RunId, reason: string): Promise<boolean> {
  const isPaused = await moveRun(target.store, runId, 'paused', { reason, from: ACTIVE });
  if (isPaused) return true;
  const { status } = await target.store.getRun(runId);
  if (status === 'paused') return false;
  throw new FleetError('CONFLICT', `run ${runId} has ended (${status}); there is nothing to pause`);
}

/** Lets a paused run go on where it stood. Returns whether it was paused. */
export async function unpauseRun(target: EnqueueTarget, runId: RunId): Promise<boolean> {
  const { store } = target;
  const phases = await store.getPhases(runId);
  const hasBegun = phases.some((phase) => phase.startedAt !== null);
  const waitsForPerson = phases.some((phase) => phase.status === 'awaiting_approval');
  const status = waitsForPerson ? 'awaiting_approval' : hasBegun ? 'running' : 'queued';
  const goesOn = await moveRun(store, runId, status, { from: ['paused'] });
  await followPhases(store, runId);
  await wakeParked(target, runId);
  return goesOn;
}
