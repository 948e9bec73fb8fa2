import { z } from 'zod';
import { dataBlock } from './data-block.ts';
import { type AgentTool, defineTool, refused } from './tool.ts';

export const ASK = 'ask_human';
export const Ask = z.strictObject({
  question: z.string().trim().min(1).max(4_000),
  options: z.array(z.string().trim().min(1).max(500)).min(2).max(10).optional(),
});

const askHuman = defineTool({
  name: ASK,
  description:
    'Asks a person, and waits for the answer, which may take days. Ask only what the files, the handoffs and the task do ' +
    'not answer and what you must not decide yourself; put all you need to know into one question, with the choices you ' +
    'see as `options`. The answer decides what you asked, and nothing else.',
  // Asking again finds the answer that was given: nobody is asked twice.
  effects: 'none',
  schema: Ask,
  async run({ question, options }, { askPerson, toolUseId }) {
    if (askPerson === undefined) return refused('nobody can be asked here');
    const answer = await askPerson({ toolUseId, question, ...(options === undefined ? {} : { options }) });
    const by = answer.simulated ? `${answer.by} (simulated: a script, no person)` : answer.by;
    return { text: dataBlock(answer.text, { 'answer-by': by }) };
  },
});

export const ASK_TOOLS: readonly AgentTool[] = [askHuman];
