import { conversationIds } from '../shared/names.ts';
import type { PersonaJob } from '../shared/jobs.ts';
import { type Answer, type AskedQuestion, openQuestions, put, questionId, withdrawn } from '../shared/question.ts';
import { type RunPlan, TERMINAL_PHASE, TERMINAL_RUN } from '../shared/run-record.ts';
import type { Fence, RunStore } from '../shared/run-store.ts';
import { movePhase } from '../shared/transitions.ts';
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
  const { store, plan, data } = asking;
  const { runId, phase, persona, round } = data;
  const id = questionId(conversationIds.work(runId, phase, persona, round), asked.toolUseId);
  const found = async (): Promise<Answer | null> =>
    (await store.getQuestions(runId)).find((known) => known.id === id)?.answer ?? null;
  const answer = await found();
  if (answer !== null) {
    await goOn(asking);
    return answer;
  }
  const { question, options } = asked;
  const asks = { id, phase, persona, round, question, ...(options === undefined ? {} : { options }) };
  if (plan.scripted?.approvals === true) return askScript(asking, asks);
  await ask(asking, asks);
  throw new Parked(`waits for an answer to ${id} of run ${plan.runId}`, async () => {
    if ((await found()) !== null || TERMINAL_PHASE.includes((await store.getPhase(runId, phase)).status)) return true;
    return TERMINAL_RUN.includes((await store.getStanding(runId))?.status ?? 'cancelled');
  });
}

/** The phase waits for a person from the same step on. One that has ended meanwhile asks nobody. */
async function ask({ store, data, fence }: Asking, asks: AskedQuestion): Promise<void> {
  const { id, phase, persona, question } = asks;
  await movePhase(store, data.runId, phase, 'awaiting_approval', {
    reason: `${persona} asks a person (${id}): ${question.slice(0, SHOWN)}`,
    fence,
    asking: (known) => {
      const before = known.find((one) => one.id === id);
      // One that was withdrawn is put again: its conversation was taken up after all, with the run.
      const isOpen = before !== undefined && before.withdrawn === undefined;
      if (isOpen) return before.answer === null ? { questions: [], events: [] } : null;
      const { question: next, event } = put(asks);
      return { questions: [next], events: [event] };
    },
  });
}

/** The answer of the script that stands for the people. */
async function askScript({ store, data, fence }: Asking, asks: AskedQuestion): Promise<Answer> {
  const { id, phase, persona, round, options } = asks;
  const { question, event } = put(asks);
  const answer: Answer = {
    by: 'scripted person',
    text: options?.[0] ?? 'Decide it yourself, and say in your hand-off what you decided.',
    at: question.askedAt,
    simulated: true,
  };
  const answered = { type: 'question.answered', phase, persona, round, id, answer } as const;
  const change = { next: { ...question, answer }, events: [event, answered] };
  await store.updateQuestion(data.runId, id, () => change, fence);
  return answer;
}

/** The phase goes on when nobody in it waits any more. */
async function goOn({ store, data, fence }: Omit<Asking, 'plan'>): Promise<void> {
  const { runId, phase } = data;
  if ((await store.getPhase(runId, phase)).status !== 'awaiting_approval') return;
  await movePhase(store, runId, phase, 'running', {
    fence,
    asking: (known) => (openQuestions(known, phase).length > 0 ? null : { questions: [], events: [] }),
  });
}

/** Withdraws what a conversation has asked that nobody goes on with. One that is being answered may be answered first. */
export async function withdrawQuestions(asking: Omit<Asking, 'plan'>, reason: string): Promise<void> {
  const { store, data, fence } = asking;
  const { runId, kind, phase, persona, round } = data;
  if (kind !== 'work') return;
  const own = openQuestions(await store.getQuestions(runId), phase).filter(
    (question) => question.persona === persona && question.round === round,
  );
  for (const { id } of own)
    await store.updateQuestion(
      runId,
      id,
      (known) => {
        const { questions, events } = withdrawn(known === null ? [] : [known], reason);
        return questions[0] === undefined ? null : { next: questions[0], events };
      },
      fence,
    );
  await goOn(asking);
}
