import type Anthropic from '@anthropic-ai/sdk';
import { NO_USAGE, type Usage, addUsage } from '../../shared/run-record.ts';
import type { CallRecord } from '../models/call-record.ts';
import { abortReason } from '../models/call-model.ts';
import type { AgentOptions, AgentTurn } from './agent-options.ts';
import { askModel } from './ask-model.ts';
import {
  type AgentCheckpoint,
  type Compaction,
  type RefusedCall,
  conversationDigest,
  newCheckpoint,
} from './checkpoint.ts';
import type { LineageEntry } from './lineage.ts';
import { sayNewFolder } from './new-folder.ts';
import { lastAnswer, lastCalled, takeAnswer } from './take-answer.ts';
import { inputSchemaOf } from './tools.ts';

export interface AgentResult<F> {
  final: F;
  turns: number;
  transcript: readonly Anthropic.MessageParam[];
  /** What the transcript was before each time it was summed up. */
  compactions: readonly Compaction[];
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
  /** `discarded`: there was a checkpoint that could not be gone on with, and the work began again. */
  resumed: 'fresh' | 'resumed' | 'discarded';
}

/** Begins the conversation, or goes on with what was saved of it when that is whole and about the same work. */
async function startOrResume<F>(options: AgentOptions<F>, definitions: readonly Anthropic.Tool[]) {
  const { checkpoint, basis } = options;
  const parts = [options.system, options.userMessage, options.model, definitions];
  const digest = conversationDigest(basis === undefined ? parts : [...parts, basis]);
  const fresh = newCheckpoint(digest, options.userMessage);
  const loaded = (await checkpoint?.load()) ?? { state: 'none' };
  if (checkpoint === undefined || loaded.state === 'none') return { state: fresh, resumed: 'fresh' as const };
  const saved = loaded.state === 'saved' ? loaded.checkpoint : undefined;
  const isOther = saved !== undefined && saved.digest !== digest;
  const reason =
    loaded.state === 'broken'
      ? loaded.reason
      : isOther
        ? 'what was saved is another conversation: the prompt, the tools, the model or the files it begins with have changed'
        : await checkpoint.restore();
  if (saved !== undefined && reason === undefined) {
    sayNewFolder(saved, definitions);
    return { state: saved, resumed: 'resumed' as const };
  }
  await checkpoint.startOver(reason ?? 'nothing was saved');
  // What the abandoned conversation cost was paid all the same.
  const calls = saved?.calls ?? [];
  const counted = saved?.span?.to ?? calls.length;
  return { state: { ...fresh, calls, span: { from: counted, to: counted } }, resumed: 'discarded' as const };
}

const usageOf = (calls: readonly CallRecord[]): Usage =>
  calls.reduce((sum, call) => addUsage(sum, call.usage), NO_USAGE);

/** The last turn, for whoever counts turns. */
function turnOf(state: AgentCheckpoint, timed?: { toolMs: number }): AgentTurn {
  const call = lastAnswer(state);
  const { at: startedAt, waitedMs } = state.began ?? { at: call.startedAt, waitedMs: 0 };
  const timing =
    timed === undefined ? undefined : { startedAt, waitedMs, modelMs: call.latencyMs, toolMs: timed.toolMs };
  const { from, to } = state.span ?? { from: state.calls.indexOf(call), to: state.calls.length };
  const usage = usageOf(state.calls.slice(from, to));
  return { turn: state.turns, tools: lastCalled(state), call, usage, timing };
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
  const save = async (): Promise<void> => options.checkpoint?.save(state);
  // The worker before this one may have died before it could tell.
  if (resumed === 'resumed' && state.stage === 'completed' && state.turns > 0) await options.onTurn?.(turnOf(state));
  while (state.final === null) {
    if (options.signal.aborted) throw abortReason(options.signal);
    if (state.stage === 'completed') {
      options.pausePoint?.();
      await askModel(options, state, definitions);
      await save();
    }
    const since = performance.now();
    const { warnings } = await takeAnswer(state, { ...options, saveProgress: save });
    const toolMs = Math.round(performance.now() - since);
    await save();
    await options.onTurn?.(turnOf(state, { toolMs }));
    for (const warning of warnings) await options.onNote?.({ type: 'circling', turn: state.turns, warning });
  }
  const simulated = options.provider.simulated || state.calls.some((call) => call.simulated);
  return {
    final: finalTool.schema.parse(state.final.input),
    turns: state.turns,
    transcript: state.messages,
    compactions: state.compactions,
    calls: state.calls,
    lineage: state.lineage,
    refusedCalls: state.refusedCalls,
    wroteFiles: state.lineage.length > 0,
    usage: usageOf(state.calls),
    simulated,
    resumed,
  };
}
