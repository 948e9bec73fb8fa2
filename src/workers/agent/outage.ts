import { FleetError } from '../../shared/errors.ts';
import type { AgentOptions } from './agent-options.ts';
import type { AgentCheckpoint } from './checkpoint.ts';

const FIRST_WAIT_MS = 1_000;
const LONGEST_WAIT_MS = 60_000;

interface Talk<F> {
  options: AgentOptions<F>;
  state: AgentCheckpoint;
}

/** Why the endpoint is not waited for any longer; undefined while it is. What was noted of the outage is then forgotten. */
function givenUp<F>({ options, state }: Talk<F>, at: { model: string; host: string }): FleetError | undefined {
  const { outage } = state;
  const limitMs = options.outageLimitMs;
  if (outage === undefined || limitMs === undefined || Date.now() - outage.sinceMs < limitMs) return undefined;
  delete state.outage;
  const last = outage.calls === 0 ? '' : `; the last said: ${state.calls.at(-1)?.error ?? 'nothing'}`;
  return new FleetError(
    'MODEL_UNAVAILABLE',
    `${at.model} at ${at.host} did not answer for ${limitMs / 1000} s (calls of this conversation that failed meanwhile: ${outage.calls}${last})`,
    {
      remedy: 'When the endpoint answers again: `maestro resume RUN`, which goes on where the conversation stands.',
      details: { outageLimitMs: limitMs, calls: outage.calls, host: at.host, model: at.model },
    },
  );
}

/** A call of the conversation got no answer: the next is made later. Returns why none is made any more, if so. */
export function countFailure<F>(talk: Talk<F>, at: { model: string; host: string }): FleetError | undefined {
  const { outage } = talk.state;
  const calls = (outage?.calls ?? 0) + 1;
  const waitMs = Math.min(FIRST_WAIT_MS * 2 ** (calls - 1), LONGEST_WAIT_MS);
  talk.state.outage = { sinceMs: outage?.sinceMs ?? Date.now(), calls, untilMs: Date.now() + waitMs };
  return givenUp(talk, at);
}

/** The conversation waits for an endpoint that does not answer, also one that others found down. Throws when for too long. */
export async function waitOutage<F>(talk: Talk<F>, at: { model: string; host: string }): Promise<void> {
  const { options, state } = talk;
  if (options.outageLimitMs === undefined) return;
  const isNew = state.outage === undefined;
  state.outage ??= { sinceMs: Date.now(), calls: 0, untilMs: 0 };
  const lost = givenUp(talk, at);
  if (isNew || lost !== undefined) await options.checkpoint?.save(state);
  if (lost !== undefined) throw lost;
}
