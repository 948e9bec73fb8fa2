import type Anthropic from '@anthropic-ai/sdk';
import type { z } from 'zod';
import { FleetError } from '../../shared/errors.ts';
import type { Price } from '../../shared/model-config.ts';
import { NO_USAGE, type Usage, addUsage } from '../../shared/run-record.ts';
import type { RunAccount } from '../models/budget.ts';
import type { CallRecord } from '../models/call-record.ts';
import { type ModelCall, abortReason, callModel } from '../models/call-model.ts';
import { endOfFailedCall } from '../models/model-errors.ts';
import type { ModelTurns, Turn } from '../models/model-turns.ts';
import type { ModelProvider } from '../models/provider.ts';
import { buildRequest, uncachedOf, worstCaseOf } from './build-request.ts';
import {
  type AgentCheckpoint,
  type CheckpointStore,
  type RefusedCall,
  conversationDigest,
  newCheckpoint,
} from './checkpoint.ts';
import type { LineageEntry } from './lineage.ts';
import { lastAnswer, takeAnswer, toParam } from './take-answer.ts';
import { type ToolBox, inputSchemaOf } from './tools.ts';

/** The tool that ends the conversation: what it is given, once it is valid, is the result. */
export interface FinalTool<F> {
  name: string;
  description: string;
  schema: z.ZodType<F>;
}

export interface AgentTurn {
  turn: number;
  /** Names of the tools that were called, in order. */
  tools: string[];
  call: CallRecord;
  timing: TurnTiming;
}

export interface TurnTiming {
  /** When the turn began, before it waited for its place among the fleet's calls. */
  startedAt: string;
  waitedMs: number;
  modelMs: number;
  toolMs: number;
}

export interface AgentOptions<F> {
  provider: ModelProvider;
  model: string;
  system: string;
  userMessage: string;
  tools: ToolBox;
  finalTool: FinalTool<F>;
  maxTurns: number;
  maxTokensPerTurn: number;
  /** Null when nobody knows it. */
  price: Price | null;
  /** The account of the run; without one nothing is limited. */
  budget?: RunAccount;
  /** The turns of calls, shared by the fleet; without them no call waits, and a refused one ends the attempt. */
  turns?: ModelTurns;
  /** Names this conversation in the account, e.g. the job's id. */
  jobId: string;
  /** Which attempt of the job this is. */
  attempt: number;
  /** Called before each model call; whatever it throws ends this attempt where the conversation can be gone on with. */
  pausePoint?: () => void;
  signal: AbortSignal;
  /** How long the model's stream may be silent. */
  idleTimeoutMs: number;
  onTurn?: (turn: AgentTurn) => void | Promise<void>;
  checkpoint?: CheckpointStore;
}

export interface AgentResult<F> {
  final: F;
  turns: number;
  transcript: readonly Anthropic.MessageParam[];
  /** Every call, failed ones included. */
  calls: readonly CallRecord[];
  lineage: readonly LineageEntry[];
  /** What the persona asked for and may not do. */
  refusedCalls: readonly RefusedCall[];
  /** True when a tool call changed a file; work without any is a claim and nothing else. */
  wroteFiles: boolean;
  usage: Usage;
  /** True when a stand-in answered any of the calls. */
  simulated: boolean;
  /** `discarded`: there was a checkpoint of a different conversation, and the work began again. */
  resumed: 'fresh' | 'resumed' | 'discarded';
}

async function startOrResume<F>(options: AgentOptions<F>, definitions: readonly Anthropic.Tool[]) {
  const digest = conversationDigest([options.system, options.userMessage, options.model, definitions]);
  const saved = (await options.checkpoint?.load()) ?? null;
  if (saved === null) return { state: newCheckpoint(digest, options.userMessage), resumed: 'fresh' as const };
  if (saved.digest === digest) return { state: saved, resumed: 'resumed' as const };
  // What the abandoned conversation cost was paid all the same, and its files have an origin.
  const state = { ...newCheckpoint(digest, options.userMessage), calls: saved.calls };
  return { state, resumed: 'discarded' as const };
}

/** An answer that ends the work: nothing can be built on it, so it does not become part of the conversation. */
function assertUsable(message: Anthropic.Message, model: string): void {
  if (message.stop_reason === 'refusal') {
    const { category, explanation } = message.stop_details ?? {};
    const reason = [category, explanation].filter(Boolean).join(': ') || 'no reason was given';
    throw new FleetError('MODEL_REFUSED', `${model} refused to go on (${reason})`, {
      remedy: 'Reword what the phase asks for, or give it to another model.',
      details: { category: category ?? null },
    });
  }
  if (message.stop_reason === 'model_context_window_exceeded') {
    throw new FleetError('AGENT_STUCK', `the conversation no longer fits into the context window of ${model}`, {
      remedy: 'Split the phase, or use a model with a larger context window. Nothing was cut to make it fit.',
      details: { contextWindowExceeded: true },
    });
  }
}

/** Asks the model for its next answer. Every call is recorded, and saved, whether it was answered or not. */
async function askModel<F>(
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
  const { model, system, maxTokensPerTurn: maxTokens } = options;
  const request = buildRequest({ model, system, tools: definitions, messages: state.messages, maxTokens });
  const turn = state.turns + 1;
  const worst = worstCaseOf(request, state.calls.at(-1));
  const call = {
    provider: options.provider,
    request,
    turn,
    attempt: options.attempt,
    price: options.price,
    account: options.budget,
    reservation: `${options.jobId}.t${turn}`,
    worst,
    before: state.calls.findLast((made) => made.outcome === 'answered'),
    idleTimeoutMs: options.idleTimeoutMs,
    signal: options.signal,
  };
  state.began = { at: new Date().toISOString(), waitedMs: 0 };
  for (let message: Anthropic.Message | undefined; message === undefined;) {
    const since = performance.now();
    const entered = await options.turns?.enter({
      model,
      host: options.provider.host,
      id: call.reservation,
      inputTokens: uncachedOf(worst, state.calls.at(-1)),
      outputTokens: worst.outputTokens,
      signal: options.signal,
      // A conversation that is kept nowhere would begin anew.
      mayPark: options.checkpoint !== undefined || state.turns === 0,
      pausePoint: () => options.pausePoint?.(),
    });
    state.began.waitedMs += Math.round(performance.now() - since);
    message = await callInTurn({ options, state, call }, entered);
    if (message === undefined) continue;
    try {
      assertUsable(message, model);
    } catch (err) {
      await options.checkpoint?.save(state);
      throw err;
    }
    state.messages.push(toParam(message));
    state.turns = turn;
    state.stage = 'answered';
  }
}

/** Makes one call. Undefined when the provider asked to wait, and the fleet has been told. */
async function callInTurn<F>(
  of: { options: AgentOptions<F>; state: AgentCheckpoint; call: ModelCall },
  entered: Turn | undefined,
): Promise<Anthropic.Message | undefined> {
  const { options, state, call } = of;
  const recorded = state.calls.length;
  let answer: Awaited<ReturnType<typeof callModel>>;
  try {
    answer = await callModel({ ...call, onHeaders: entered?.heard }, (made) => state.calls.push(made));
  } catch (err) {
    if (state.calls.length > recorded) await options.checkpoint?.save(state);
    if (entered === undefined) throw err;
    const end = endOfFailedCall(err);
    await entered.leave(end);
    if (end.how === 'limited') return undefined;
    throw err;
  }
  await entered?.leave({ how: 'ok', usage: answer.record.usage });
  return answer.message;
}

/**
 * Holds a conversation with a model that has tools, until it hands over something valid. Every answer, and every turn
 * with its tool results, is saved, so a worker that is killed costs at most the call that was under way.
 */
export async function runAgent<F>(options: AgentOptions<F>): Promise<AgentResult<F>> {
  const { finalTool } = options;
  const definitions: Anthropic.Tool[] = [
    ...options.tools.definitions,
    { name: finalTool.name, description: finalTool.description, input_schema: inputSchemaOf(finalTool.schema) },
  ];
  const { state, resumed } = await startOrResume(options, definitions);
  while (state.final === null) {
    if (options.signal.aborted) throw abortReason(options.signal);
    if (state.stage === 'completed') {
      options.pausePoint?.();
      await askModel(options, state, definitions);
      await options.checkpoint?.save(state);
    }
    const since = performance.now();
    const called = await takeAnswer(state, options);
    const toolMs = Math.round(performance.now() - since);
    await options.checkpoint?.save(state);
    const call = lastAnswer(state);
    const { at: startedAt, waitedMs } = state.began ?? { at: call.startedAt, waitedMs: 0 };
    const timing = { startedAt, waitedMs, modelMs: call.latencyMs, toolMs };
    await options.onTurn?.({ turn: state.turns, tools: called, call, timing });
  }
  const simulated = options.provider.simulated || state.calls.some((call) => call.simulated);
  return {
    final: finalTool.schema.parse(state.final.input),
    turns: state.turns,
    transcript: state.messages,
    calls: state.calls,
    lineage: state.lineage,
    refusedCalls: state.refusedCalls,
    wroteFiles: state.lineage.length > 0,
    usage: state.calls.reduce((sum, call) => addUsage(sum, call.usage), NO_USAGE),
    simulated,
    resumed,
  };
}
