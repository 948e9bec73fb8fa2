import { createHash } from 'node:crypto';
import { FleetError } from '../../shared/errors.ts';
import type { AgentCheckpoint } from './checkpoint.ts';

const TIMES = 3;

/**
 * Notices going round in circles: the same call with the same result three times in a row. Warns once, with a text
 * for the model; when that does not help, throws `AGENT_STUCK`.
 */
export function noteCall(
  state: Pick<AgentCheckpoint, 'repeats'>,
  call: { name: string; input: unknown; result: string },
): string | undefined {
  const key = createHash('sha256')
    .update(JSON.stringify([call.name, call.input, call.result]))
    .digest('hex');
  const { repeats } = state;
  const count = repeats.key === key ? repeats.count + 1 : 1;
  state.repeats = { ...repeats, key, count };
  if (count < TIMES) return undefined;
  if (repeats.warned) {
    throw new FleetError(
      'AGENT_STUCK',
      `the model goes round in circles: ${call.name} gave the same result ${count} times in a row, also after a warning`,
      {
        remedy: 'Look at the transcript: the task may need another prompt, tool or model.',
        details: { tool: call.name, count },
      },
    );
  }
  state.repeats.warned = true;
  return (
    `You have called ${call.name} with the same input ${count} times in a row, and the result was the same each time. ` +
    'It will not change. Do something else, or hand off and say what is in the way.'
  );
}
