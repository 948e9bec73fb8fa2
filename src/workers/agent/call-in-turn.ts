import type Anthropic from '@anthropic-ai/sdk';
import { DEFAULT_CONTEXT_TOKENS } from '../../shared/model-config.ts';
import { type ModelCall, callModel } from '../models/call-model.ts';
import type { CallRecord } from '../models/call-record.ts';
import { endOfFailedCall } from '../models/model-errors.ts';
import { ModelOverloaded, type Turn } from '../models/model-turns.ts';
import type { AgentOptions } from './agent-options.ts';
import { uncachedOf, worstCaseOf } from './build-request.ts';
import type { AgentCheckpoint } from './checkpoint.ts';
import { countFailure, waitOutage } from './outage.ts';

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

/**
 * Makes a call in its turn, again as often as the provider asks to wait or does not answer. Every call is recorded,
 * answered or not.
 */
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
    const tokens = worst.inputTokens + worst.outputTokens;
    const mayFallBack = canFallBack(options, state, tokens);
    const since = performance.now();
    let entered: Turn | undefined;
    try {
      entered = await options.turns?.enter({
        model,
        host: provider.host,
        id: call.reservation,
        inputTokens: uncachedOf(worst, last),
        outputTokens: worst.outputTokens,
        signal: options.signal,
        // A conversation that is kept nowhere would begin anew.
        mayPark: options.checkpoint !== undefined || state.turns === 0,
        pausePoint: () => options.pausePoint?.(),
        mayGoElsewhere: mayFallBack,
        after: state.outage && { untilMs: state.outage.untilMs, reason: state.calls.at(-1)?.error ?? '' },
        onDown: () => waitOutage(of, { model, host: provider.host }),
      });
    } catch (err) {
      if (!(err instanceof ModelOverloaded)) throw err;
      await fallBack(options, state, { turn: as.turn, reason: err.message });
      continue;
    } finally {
      if (state.began !== undefined) state.began.waitedMs += Math.round(performance.now() - since);
    }
    const message = await callOnce({ options, state, call, purpose: as.purpose }, entered);
    if (message !== undefined) return message;
    const refused = state.calls.at(-1);
    if (mayFallBack && refused !== undefined && isOverload(refused))
      await fallBack(options, state, { turn: as.turn, reason: refused.error ?? '' });
  }
}

/** Whether the workflow names a fallback that can take the conversation in, and the model still goes on with it. */
function canFallBack<F>(options: AgentOptions<F>, state: AgentCheckpoint, tokens: number): boolean {
  if (options.fallback === undefined || state.fellBack === true) return false;
  // One with a smaller window could not even sum it up; the model itself can go on as soon as it has time.
  return tokens <= windowOf(options, { ...state, fellBack: true });
}

/** The rest of a conversation goes to the fallback: its model has said, to it or to another, that it is overloaded. */
async function fallBack<F>(
  options: AgentOptions<F>,
  state: AgentCheckpoint,
  { turn, reason }: { turn: number; reason: string },
): Promise<void> {
  state.fellBack = true;
  delete state.outage;
  await options.checkpoint?.save(state);
  const to = options.fallback?.model ?? options.model;
  await options.onNote?.({ type: 'fallback', turn, from: options.model, to, reason });
}

/** Limits of our own are waited for; only a model that has too much to do is left for another. */
const isOverload = ({ status, error }: CallRecord): boolean => status === 529 || /overloaded_error/.test(error ?? '');

/** Makes one call. Undefined when it is to be made again, in its turn, and the fleet has been told why. */
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
    const isOut = entered !== undefined && options.outageLimitMs !== undefined && end.how === 'failed';
    // It has answered, though not with what was wanted.
    if (end.how === 'limited' || end.how === 'refused') delete state.outage;
    const lost = isOut ? countFailure(of, { model: call.request.model, host: call.provider.host }) : undefined;
    try {
      if (state.calls.length > recorded) await options.checkpoint?.save(state);
    } finally {
      // Also when it cannot be saved: a call that never leaves would be counted as under way by the whole fleet.
      await entered?.leave(end);
    }
    if (lost === undefined && (isOut || (entered !== undefined && end.how === 'limited'))) return undefined;
    throw lost ?? err;
  }
  delete state.outage;
  await entered?.leave({ how: 'ok', usage: answer.record.usage });
  return answer.message;
}
