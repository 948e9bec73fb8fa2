import { GateJob, PersonaResult } from '../shared/jobs.ts';
import { QUEUES, type RunTake, jobIds, personaQueue } from '../shared/names.ts';
import type { CommitRef } from '../shared/run-record.ts';
import type { EnqueueTarget } from './enqueue-target.ts';
import { withQueue } from './with-queue.ts';

/**
 * What personas had done of a round before the run ended: a round that was broken off goes on in the next generation,
 * and again in the one after it, so that any of them may hold the result.
 */
export async function doneWork(
  target: EnqueueTarget,
  take: RunTake,
  of: { phase: string; personas: readonly string[]; round: number },
): Promise<PersonaResult[]> {
  const results: PersonaResult[] = [];
  for (const persona of of.personas) {
    const result = await withQueue(target, personaQueue(persona), async (queue) => {
      for (let { generation } = take; generation >= 0; generation -= 1) {
        const job = await queue.getJob(jobIds.work({ ...take, generation }, of.phase, persona, of.round));
        const done = PersonaResult.safeParse(job?.returnvalue);
        if (done.success) return done.data;
      }
      return undefined;
    });
    if (result !== undefined) results.push(result);
  }
  return results;
}

/** The work of a round that was measured when the run ended, while somebody still had to judge it. */
export async function measuredWork(
  target: EnqueueTarget,
  take: RunTake,
  of: { phase: string; round: number },
): Promise<CommitRef | undefined> {
  const job = await withQueue(target, QUEUES.gates, (queue) => queue.getJob(jobIds.gate(take, of.phase)));
  const { data } = GateJob.safeParse(job?.data);
  return data?.measured?.round === of.round ? data.measured.candidate : undefined;
}
