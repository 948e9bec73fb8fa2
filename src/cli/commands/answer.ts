import { answerQuestion } from '../../producer/answer-question.ts';
import { EXIT, FleetError } from '../../shared/errors.ts';
import type { RunId } from '../../shared/names.ts';
import { openQuestions } from '../../shared/question.ts';
import { audited } from '../audited.ts';
import { type CommandContext, type Session, withSession } from '../session.ts';
import { parseRunId } from './run-id.ts';

/** `maestro answer RUN PHASE --by NAME --text TEXT [--id QUESTION]`: the persona that asked goes on with it. */
export function answerCommand(
  context: CommandContext,
  id: string,
  phase: string,
  flags: { json?: boolean; id?: string; by: string; text: string },
): Promise<number> {
  const { terminal } = context;
  const runId = parseRunId(id);
  return withSession(context, { startRedis: false }, async (session) => {
    const { by, text } = flags;
    const target = { ...session, prefix: session.config.prefix };
    const answered = await audited(session, 'answer', { id: runId, phase, by }, async (note) => {
      const question = flags.id ?? (await theOpenOne(session, runId, phase));
      note({ questionId: question });
      return answerQuestion(target, runId, { id: question, phase, by, text });
    });
    if (flags.json === true) terminal.out(JSON.stringify(answered, null, 2));
    else terminal.out(`${phase}: ${answered.persona} is answered by ${by}`);
    return EXIT.passed;
  });
}

async function theOpenOne({ store }: Session, runId: RunId, phase: string): Promise<string> {
  await store.getPhase(runId, phase);
  const questions = await store.getQuestions(runId);
  const [first, ...others] = openQuestions(questions, phase);
  const last = questions.findLast((question) => question.phase === phase);
  // It is refused with the reason why nobody waits for it any more.
  if (first === undefined && last?.withdrawn !== undefined) return last.id;
  if (first === undefined) throw new FleetError('CONFLICT', `nobody in phase "${phase}" waits for an answer`);
  if (others.length === 0) return first.id;
  throw new FleetError('BAD_USAGE', `several questions are open in phase "${phase}"`, {
    remedy: `Name one with --id: ${[first, ...others].map((one) => `${one.id} (${one.question})`).join('; ')}.`,
  });
}
