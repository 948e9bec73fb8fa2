import type Anthropic from '@anthropic-ai/sdk';
import { FleetError } from '../../shared/errors.ts';
import type { AgentOptions } from './agent-options.ts';
import { buildRequest, worstCaseOf } from './build-request.ts';
import { callInTurn, lastCall, windowOf } from './call-in-turn.ts';
import type { AgentCheckpoint } from './checkpoint.ts';
import { compact } from './compact.ts';
import { toParam } from './take-answer.ts';

/** An answer that nothing can be built on; it does not become part of the conversation. */
function assertUsable(message: Anthropic.Message, model: string): void {
  if (message.stop_reason === null) {
    throw new FleetError('MODEL_UNAVAILABLE', `the answer of ${model} ended without saying why it stopped`, {
      retry: true,
      remedy: 'Wait; the job is tried again.',
    });
  }
  if (message.stop_reason !== 'refusal') return;
  const { category, explanation } = message.stop_details ?? {};
  const reason = [category, explanation].filter(Boolean).join(': ') || 'no reason was given';
  throw new FleetError('MODEL_REFUSED', `${model} refused to go on (${reason})`, {
    remedy: 'Reword what the phase asks for, or give it to another model.',
    details: { category: category ?? null },
  });
}

const tooLong = (model: string, isSummedUp: boolean): FleetError => {
  const after = isSummedUp ? ', also after it was summed up' : '';
  return new FleetError('AGENT_STUCK', `the conversation no longer fits into the context window of ${model}${after}`, {
    remedy: 'Split the phase, or use a model with a larger context window. Nothing was cut to make it fit.',
    details: { contextWindowExceeded: true },
  });
};

/** Some endpoints refuse a request that is too long instead of answering it in part. */
const isTooLong = (err: unknown): boolean =>
  err instanceof FleetError &&
  err.code === 'MODEL_UNAVAILABLE' &&
  (err.details['status'] === 400 || err.details['status'] === 413) &&
  /prompt is too long|context (window|length|limit)/i.test(err.message);

/** Asks the model for its next answer. A conversation that no longer fits is summed up first, once, and said so. */
export async function askModel<F>(
  options: AgentOptions<F>,
  state: AgentCheckpoint,
  definitions: readonly Anthropic.Tool[],
): Promise<void> {
  if (state.turns >= options.maxTurns) {
    throw new FleetError('AGENT_STUCK', `the work was not handed over within ${options.maxTurns} turns`, {
      remedy: 'Raise maxTurns of the persona, or split the phase.',
      details: { turns: state.turns },
    });
  }
  const turn = state.turns + 1;
  const { model, system, maxTokensPerTurn: maxTokens } = options;
  state.began = { at: new Date().toISOString(), waitedMs: 0 };
  const conversation = { options, state, definitions };
  const request = (): Anthropic.MessageStreamParams =>
    buildRequest({ model, system, tools: definitions, messages: state.messages, maxTokens });
  const fits = (): boolean => {
    const { inputTokens, outputTokens } = worstCaseOf(request(), lastCall(state));
    return inputTokens + outputTokens <= windowOf(options, state);
  };
  if (state.turns > 0 && state.compactedAt !== turn && !fits()) await compact(conversation, turn);
  for (;;) {
    const message = await callInTurn(conversation, request(), { turn, reservation: `${options.jobId}.t${turn}` }).catch(
      (err: unknown) => {
        if (isTooLong(err)) return undefined;
        throw err;
      },
    );
    if (message !== undefined && message.stop_reason !== 'model_context_window_exceeded') {
      try {
        assertUsable(message, model);
      } catch (err) {
        await options.checkpoint?.save(state);
        throw err;
      }
      state.messages.push(toParam(message));
      state.turns = turn;
      state.span = { from: state.span?.to ?? 0, to: state.calls.length };
      state.stage = 'answered';
      return;
    }
    if (state.compactedAt === turn || state.turns === 0) {
      await options.checkpoint?.save(state);
      throw tooLong(model, state.compactedAt === turn);
    }
    await compact(conversation, turn);
  }
}
