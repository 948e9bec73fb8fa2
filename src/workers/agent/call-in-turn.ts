import type Anthropic from '@anthropic-ai/sdk';
import { DEFAULT_CONTEXT_TOKENS } from '../../shared/model-config.ts';
import { type ModelCall, callModel } from '../models/call-model.ts';
import type { CallRecord } from '../models/call-record.ts';
import { endOfFailedCall } from '../models/model-errors.ts';
import type { Turn } from '../models/model-turns.ts';
import type { AgentOptions } from './agent-options.ts';
import { uncachedOf, worstCaseOf } from './build-request.ts';
import type { AgentCheckpoint } from './checkpoint.ts';

/**
 * The answered call that tells how long the conversation is. None does after it was summed up; nor before its first
 * answer, when the calls on record are those of a conversation that was given up.
 */
export const lastCall = ({ calls, messages }: Pick<AgentCheckpoint, 'calls' | 'messages'>): CallRecord | undefined => {
  if (!messages.some(({ role }) => role === 'assistant')) return undefined;
  const last = calls.findLast(({ outcome }) => outcome === 'answered');
  return last?.purpose === undefined ? last : undefined;
};

/** What the model that goes on with the conversation can take in, prompt and answer together. */
export const windowOf = <F>({ fallback, contextTokens }: AgentOptions<F>, { fellBack }: AgentCheckpoint): number =>
  (fellBack === true ? fallback?.contextTokens : contextTokens) ?? DEFAULT_CONTEXT_TOKENS;

/** Makes a call in its turn, as often as the provider asks to wait. Every call is recorded, answered or not. */
export async function callInTurn<F>(
  of: { options: AgentOptions<F>; state: AgentCheckpoint },
  request: Anthropic.MessageStreamParams,
  as: { turn: number; reservation: string; purpose?: 'compaction' },
): Promise<Anthropic.Message> {
  const { options, state } = of;
  const last = lastCall(state);
  const worst = worstCaseOf(request, last);
  for (;;) {
    const { model, provider, price } = (state.fellBack === true ? options.fallback : undefined) ?? options;
    const call = {
      provider,
      request: { ...request, model },
      turn: as.turn,
      attempt: options.attempt,
      price,
      account: options.budget,
      reservation: as.reservation,
      worst,
      before: state.calls.findLast((made) => made.outcome === 'answered'),
      fallbackFrom: model === options.model ? undefined : options.model,
      idleTimeoutMs: options.idleTimeoutMs,
      signal: options.signal,
    };
    const since = performance.now();
    const entered = await options.turns?.enter({
      model,
      host: provider.host,
      id: call.reservation,
      inputTokens: uncachedOf(worst, last),
      outputTokens: worst.outputTokens,
      signal: options.signal,
      // A conversation that is kept nowhere would begin anew.
      mayPark: options.checkpoint !== undefined || state.turns === 0,
      pausePoint: () => options.pausePoint?.(),
    });
    if (state.began !== undefined) state.began.waitedMs += Math.round(performance.now() - since);
    const message = await callOnce({ options, state, call, purpose: as.purpose }, entered);
    if (message !== undefined) return message;
    await fallBack(options, state, { turn: as.turn, tokens: worst.inputTokens + worst.outputTokens });
  }
}

/**
 * The rest of a conversation goes to the fallback, when there is one that can take it in and its model has just said that
 * it is overloaded.
 */
async function fallBack<F>(
  options: AgentOptions<F>,
  state: AgentCheckpoint,
  { turn, tokens }: { turn: number; tokens: number },
): Promise<void> {
  const { fallback, model } = options;
  const refused = state.calls.at(-1);
  if (fallback === undefined || state.fellBack === true || refused === undefined || !isOverload(refused)) return;
  // One with a smaller window could not even sum it up; the model itself can go on as soon as it has time.
  if (tokens > windowOf(options, { ...state, fellBack: true })) return;
  state.fellBack = true;
  await options.checkpoint?.save(state);
  await options.onNote?.({ type: 'fallback', turn, from: model, to: fallback.model, reason: refused.error ?? '' });
}

/** Limits of our own are waited for; only a model that has too much to do is left for another. */
const isOverload = ({ status, error }: CallRecord): boolean => status === 529 || /overloaded_error/.test(error ?? '');

/** Makes one call. Undefined when the provider asked to wait, and the fleet has been told. */
async function callOnce<F>(
  of: { options: AgentOptions<F>; state: AgentCheckpoint; call: ModelCall; purpose: 'compaction' | undefined },
  entered: Turn | undefined,
): Promise<Anthropic.Message | undefined> {
  const { options, state, call, purpose } = of;
  const recorded = state.calls.length;
  let answer: Awaited<ReturnType<typeof callModel>>;
  try {
    answer = await callModel({ ...call, onHeaders: entered?.heard }, (made) =>
      state.calls.push(purpose === undefined ? made : { ...made, purpose }),
    );
  } catch (err) {
    const end = endOfFailedCall(err);
    try {
      if (state.calls.length > recorded) await options.checkpoint?.save(state);
    } finally {
      // Also when it cannot be saved: a call that never leaves would be counted as under way by the whole fleet.
      await entered?.leave(end);
    }
    if (entered !== undefined && end.how === 'limited') return undefined;
    throw err;
  }
  await entered?.leave({ how: 'ok', usage: answer.record.usage });
  return answer.message;
}
