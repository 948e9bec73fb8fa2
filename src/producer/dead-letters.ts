import { FleetError } from '../shared/errors.ts';
import { type RunId, RunId as RunIdSchema } from '../shared/names.ts';
import { type RunEvent, TERMINAL_RUN, replayedMark } from '../shared/run-record.ts';
import type { RunStore } from '../shared/run-store.ts';
import type { z } from 'zod';
import type { DeadLetter as DeadLetterSchema } from './api-schemas.ts';
import type { EnqueueTarget } from './enqueue-target.ts';
import { type Resumed, resumeRun } from './resume.ts';

type DeadLetter = z.infer<typeof DeadLetterSchema>;
type Fault = Extract<RunEvent, { type: 'persona.fault' }>;

/** Every phase that failed for good, over all runs in Redis, the newest run first. */
export async function listDead(store: RunStore): Promise<DeadLetter[]> {
  const letters: DeadLetter[] = [];
  for (const { runId, phase } of await store.index.dead()) {
    const id = RunIdSchema.parse(runId);
    const run = await store.getRun(id);
    // What a person has ended is no dead letter.
    if (run.status === 'cancelled') continue;
    const record = await store.getPhase(id, phase);
    const fault = await lastFault(store, id, phase);
    letters.push({
      runId: id,
      workflow: run.workflow,
      runStatus: run.status,
      simulated: run.simulated,
      ...replayedMark(run.replayed),
      phase,
      persona: fault?.persona ?? null,
      attempts: fault?.attempt ?? null,
      error: fault?.message ?? record.reason,
      reason: record.reason,
      at: record.finishedAt ?? fault?.at ?? run.createdAt,
    });
  }
  return letters;
}

/** What the last attempt at the phase broke off with, as the run's log tells it. */
async function lastFault(store: RunStore, runId: RunId, phase: string): Promise<Fault | undefined> {
  let last: Fault | undefined;
  await store.lastEventAt(runId, (event) => {
    if (event.type !== 'persona.fault' || event.phase !== phase) return false;
    last = event;
    return true;
  });
  return last;
}

/**
 * Lets runs with dead letters go on, with all that did not pass. Each is resumed once, and refused by its own reason.
 * `within` is what happens around each of them.
 */
export async function redrive(
  target: EnqueueTarget,
  runIds: readonly string[],
  within: (runId: RunId, resume: () => Promise<Resumed>) => Promise<Resumed> = (_runId, resume) => resume(),
): Promise<{ resumed: Resumed[]; refused: { runId: string; reason: string }[] }> {
  const resumed: Resumed[] = [];
  const refused: { runId: string; reason: string }[] = [];
  for (const id of new Set(runIds)) {
    const runId = RunIdSchema.parse(id);
    const resume = async (): Promise<Resumed> => {
      const { status } = await target.store.getRun(runId);
      if (!TERMINAL_RUN.includes(status))
        throw new FleetError('CONFLICT', `run ${runId} is ${status.replace('_', ' ')}: it goes on when it has ended`);
      return resumeRun(target, runId, { reason: 'redriven from the dead letters' });
    };
    try {
      resumed.push(await within(runId, resume));
    } catch (err) {
      if (!(err instanceof FleetError) || err.retry) throw err;
      refused.push({ runId, reason: err.message });
    }
  }
  return { resumed, refused };
}
