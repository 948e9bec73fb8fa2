import type { PersonaJob } from '../shared/jobs.ts';
import type { NewRunEvent } from '../shared/run-record.ts';
import type { Finding } from '../shared/verdict.ts';
import type { RefusedCall } from './agent/checkpoint.ts';

const MOST_NAMED = 100;
/** The model wrote the name of the tool. */
const NAME_CHARS = 100;

const toolsOf = (calls: readonly RefusedCall[]): string[] =>
  calls.slice(0, MOST_NAMED).map(({ tool }) => tool.slice(0, NAME_CHARS));

/** What a persona asked for beyond what is its own, for the log of the run. */
export const refusedEvents = (
  calls: readonly RefusedCall[],
  { phase, persona, kind, round }: PersonaJob,
): NewRunEvent[] =>
  calls.length === 0 ? [] : [{ type: 'persona.refused', phase, persona, kind, round, tools: toolsOf(calls) }];

/** The same for the evidence of the round: nothing was done, but somebody should know that it was tried. */
export const refusedFindings = (calls: readonly RefusedCall[], persona: string): Finding[] =>
  [...new Set(toolsOf(calls))].map((tool) => ({
    rule: 'tools/refused',
    severity: 'warning',
    message: `${persona} asked for what is not for it, with ${JSON.stringify(tool)}, and was refused`,
  }));
