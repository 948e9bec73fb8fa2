import { conversationIds } from '../shared/names.ts';
import type { PersonaJob } from '../shared/jobs.ts';
import { type Answer, type AskedQuestion, openQuestions, questionId } from '../shared/question.ts';
import { type RunPlan, TERMINAL_PHASE, TERMINAL_RUN } from '../shared/run-record.ts';
import type { Fence, RunStore } from '../shared/run-store.ts';
import { movePhase, moveRun } from '../shared/transitions.ts';
import { Parked } from './parking.ts';

const SHOWN = 200;

interface Asking {
  store: RunStore;
  plan: RunPlan;
  data: PersonaJob;
  fence: Fence;
}

/**
 * Gives a person's answer to a question of a persona. While there is none, the question is in the records and the job
 * parks; the phase waits for a person, as it does for an approval, and its time does not run.
 */
export async function askPerson(
  asking: Asking,
  asked: { toolUseId: string; question: string; options?: string[] | undefined },
): Promise<Answer> {
  const { store, plan, data, fence } = asking;
  const { runId, phase, persona, round } = data;
  const id = questionId(conversationIds.work(runId, phase, persona, round), asked.toolUseId);
  const found = async (): Promise<Answer | null> =>
    (await store.getQuestions(runId)).find((known) => known.id === id)?.answer ?? null;
  const answer = (await found()) ?? (await ask(asking, { id, phase, persona, round, ...withoutCall(asked) }));
  if (answer !== null) {
    await goOn(asking);
    return answer;
  }
  const reason = `${persona} asks a person (${id}): ${asked.question.slice(0, SHOWN)}`;
  await movePhase(store, runId, phase, 'awaiting_approval', { reason, fence });
  await moveRun(store, runId, 'awaiting_approval', { from: ['queued', 'running'], fence });
  throw new Parked(`waits for an answer to ${id} of run ${plan.runId}`, async () => {
    if ((await found()) !== null || TERMINAL_PHASE.includes((await store.getPhase(runId, phase)).status)) return true;
    return TERMINAL_RUN.includes((await store.getStanding(runId))?.status ?? 'cancelled');
  });
}

const withoutCall = ({ question, options }: { question: string; options?: string[] | undefined }) => ({
  question,
  ...(options === undefined ? {} : { options }),
});

/** Puts the question into the records. Returns the answer of a script, where a script stands for the people. */
async function ask({ store, plan, data, fence }: Asking, question: AskedQuestion): Promise<Answer | null> {
  const { runId } = data;
  const { id, phase, persona, round } = question;
  const at = new Date().toISOString();
  await store.updateQuestion(
    runId,
    id,
    (known) =>
      known === null
        ? { next: { ...question, askedAt: at, answer: null }, events: [{ type: 'question.asked', ...question }] }
        : null,
    fence,
  );
  if (plan.scripted?.approvals !== true) return null;
  const answer: Answer = {
    by: 'scripted person',
    text: question.options?.[0] ?? 'Decide it yourself, and say in your hand-off what you decided.',
    at,
    simulated: true,
  };
  await store.updateQuestion(
    runId,
    id,
    (known) =>
      known === null || known.answer !== null
        ? null
        : {
            next: { ...known, answer },
            events: [{ type: 'question.answered', phase, persona, round, id, answer }],
          },
    fence,
  );
  return answer;
}

/** The phase goes on when nobody in it waits any more, and the run when no phase does. */
async function goOn({ store, data, fence }: Asking): Promise<void> {
  const { runId, phase } = data;
  if ((await store.getPhase(runId, phase)).status !== 'awaiting_approval') return;
  if (openQuestions(await store.getQuestions(runId), phase).length > 0) return;
  await movePhase(store, runId, phase, 'running', { fence });
  const stillWaits = (await store.getPhases(runId)).some(({ status }) => status === 'awaiting_approval');
  if (!stillWaits) await moveRun(store, runId, 'running', { from: ['awaiting_approval'], fence });
}
