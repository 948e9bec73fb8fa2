import { FleetError } from '../shared/errors.ts';
import { type RunId, jobIds, personaQueue } from '../shared/names.ts';
import type { Question } from '../shared/question.ts';
import { wakeJob } from '../shared/wake-job.ts';
import type { EnqueueTarget } from './enqueue-target.ts';
import { withQueue } from './with-queue.ts';

/**
 * Records what a person answers to a question of a persona, and wakes the conversation that waits for it.
 * Refused when nobody asked it, when it was answered already, and when it was withdrawn: exactly one of the two counts.
 */
export async function answerQuestion(
  target: EnqueueTarget,
  runId: RunId,
  given: { id: string; by: string; text: string; phase?: string },
): Promise<Question> {
  const { store } = target;
  const asked = (await store.getQuestions(runId)).find(({ id }) => id === given.id);
  if (asked === undefined || (given.phase !== undefined && given.phase !== asked.phase)) {
    const where = given.phase === undefined ? '' : ` in phase "${given.phase}"`;
    throw new FleetError('NOT_FOUND', `run ${runId} has no question ${given.id}${where}`, {
      remedy: `\`maestro status ${runId}\` shows what is asked.`,
    });
  }
  const { phase, persona, round, id } = asked;
  const answer = { by: given.by, text: given.text, at: new Date().toISOString(), simulated: false };
  let answered = asked;
  await store.updateQuestion(runId, id, (known) => {
    if (known === null) throw new FleetError('NOT_FOUND', `run ${runId} has no question ${id}`);
    if (known.answer !== null)
      throw new FleetError('CONFLICT', `question ${id} was answered by ${known.answer.by} already`);
    if (known.withdrawn !== undefined)
      throw new FleetError(
        'CONFLICT',
        `question ${id} was withdrawn, nobody waits for an answer: ${known.withdrawn.reason}`,
        {
          remedy: `\`maestro status ${runId}\` shows what is asked.`,
        },
      );
    answered = { ...known, answer };
    return { next: answered, events: [{ type: 'question.answered', phase, persona, round, id, answer }] };
  });
  const { generation } = await store.getRun(runId);
  const jobId = jobIds.work({ runId, generation }, phase, persona, round);
  await withQueue(target, personaQueue(persona), (queue) => wakeJob(queue, jobId));
  return answered;
}
