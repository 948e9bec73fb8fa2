import { createHash } from 'node:crypto';
import { z } from 'zod';
import { Name } from './names.ts';

export const QuestionId = z.string().regex(/^q_[0-9a-f]{16}$/, 'a question id is q_ and 16 hex digits');

/** What a person said to a question. */
export const Answer = z.strictObject({
  by: z.string().min(1),
  text: z.string().min(1),
  at: z.string(),
  /** True when a script answered and no person did. */
  simulated: z.boolean(),
});
export type Answer = z.infer<typeof Answer>;

/** What is asked, and by which conversation. */
export const AskedQuestion = z.strictObject({
  id: QuestionId,
  phase: Name,
  persona: Name,
  round: z.number().int().nonnegative(),
  question: z.string(),
  /** Answers that the persona proposes; a person may give another. */
  options: z.array(z.string()).optional(),
});
export type AskedQuestion = z.infer<typeof AskedQuestion>;

/** A question of a persona to a person. Its conversation waits, without a worker, until it is answered. */
export const Question = AskedQuestion.extend({
  askedAt: z.string(),
  answer: Answer.nullable(),
  /** Nobody waits for an answer any more, and why; a question that was answered is never withdrawn. */
  withdrawn: z.strictObject({ reason: z.string(), at: z.string() }).optional(),
});
export type Question = z.infer<typeof Question>;

/** The same for the same call of the same conversation, so that no worker's death asks anybody twice. */
export const questionId = (conversation: string, toolUseId: string): string =>
  `q_${createHash('sha256').update(`${conversation}\n${toolUseId}`).digest('hex').slice(0, 16)}`;

const isOpen = (question: Question): boolean => question.answer === null && question.withdrawn === undefined;

/** The questions that somebody waits for an answer to. */
export const openQuestions = (questions: readonly Question[], phase?: string): Question[] =>
  questions.filter((question) => isOpen(question) && (phase === undefined || question.phase === phase));

/** A question that is put, with the event that tells of it. */
export const put = (asked: AskedQuestion) => ({
  question: { ...asked, askedAt: new Date().toISOString(), answer: null },
  event: { type: 'question.asked' as const, ...asked },
});

/** Those of the questions that are open, withdrawn, with the events that tell of it. */
export function withdrawn(questions: readonly Question[], reason: string) {
  const open = questions.filter(isOpen);
  const at = new Date().toISOString();
  return {
    questions: open.map((question): Question => ({ ...question, withdrawn: { reason, at } })),
    events: open.map(({ id, phase, persona, round }) => ({
      type: 'question.withdrawn' as const,
      phase,
      persona,
      round,
      id,
      reason,
    })),
  };
}
