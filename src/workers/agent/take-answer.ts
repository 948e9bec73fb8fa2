import type Anthropic from '@anthropic-ai/sdk';
import type { z } from 'zod';
import { FleetError } from '../../shared/errors.ts';
import type { CallRecord } from '../models/call-record.ts';
import type { AgentCheckpoint } from './checkpoint.ts';
import { noteTurn } from './circles.ts';
import { type Outcome, type Running, type Use, runTools } from './run-tools.ts';
import { stuck } from './stuck.ts';
import { inputProblems } from './tools.ts';

const MAX_REMINDERS = 2;
const MAX_REPAIRS = 3;
const MAX_CUT_OFFS = 3;
/** Whatever else a later version of the API says, nobody here knows whether such an answer is whole. */
const WHOLE = new Set(['end_turn', 'tool_use', 'stop_sequence', 'pause_turn']);

interface Ending extends Running {
  finalTool: { name: string; schema: z.ZodType };
  maxTokensPerTurn: number;
}

const isObject = (value: unknown): value is object =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** An answer as it is sent back: without what the API does not take again, and never empty. */
export function toParam(message: Anthropic.Message): Anthropic.MessageParam {
  const content = message.content.flatMap((block): Anthropic.ContentBlockParam[] => {
    if (block.type === 'text' && !/\S/.test(block.text)) return [];
    // An answer that was cut off may end in thoughts without a signature, or in half an input.
    if (block.type === 'thinking' && block.signature === '') return [];
    if (block.type === 'tool_use') return [{ ...block, input: isObject(block.input) ? block.input : {} }];
    return [block];
  });
  return { role: 'assistant', content: content.length > 0 ? content : [{ type: 'text', text: '(empty answer)' }] };
}

/** The record of the call that gave the last answer. */
export function lastAnswer(state: Pick<AgentCheckpoint, 'calls'>): CallRecord {
  const call = state.calls.findLast((one) => one.outcome === 'answered' && one.purpose !== 'compaction');
  if (call === undefined) throw new FleetError('INTERNAL', 'a conversation has an answer but no record of its call');
  return call;
}

/** The names of the tools that the last answer called. */
export function lastCalled(state: Pick<AgentCheckpoint, 'messages'>): string[] {
  const answer = state.messages.findLast((message) => message.role === 'assistant');
  return usesOf(answer?.content ?? []).map((use) => use.name);
}

const usesOf = (content: Anthropic.MessageParam['content']): Use[] =>
  typeof content === 'string' ? [] : content.flatMap((block) => (block.type === 'tool_use' ? [block] : []));

function remind(state: AgentCheckpoint, ending: Ending, why: string): string {
  state.reminders += 1;
  const { name } = ending.finalTool;
  if (state.reminders > MAX_REMINDERS)
    throw stuck(`${why} without calling ${name}, also after ${MAX_REMINDERS} reminders`);
  return `You stopped, but nothing has been handed over. When your work is done, call ${name}; if it is not, go on.`;
}

function cutOff(state: AgentCheckpoint, ending: Ending): string {
  state.cutOffs += 1;
  if (state.cutOffs > MAX_CUT_OFFS) {
    throw stuck(`${state.cutOffs} answers in a row were cut off at ${ending.maxTokensPerTurn} tokens`);
  }
  return (
    `Your answer was cut off at the limit of ${ending.maxTokensPerTurn} tokens. Go on from where it stopped, in smaller ` +
    'steps: write a long file in parts, with write_file for the first and edit_file for the rest.'
  );
}

/** Accepts what is handed over, or tells the model why not. */
function handOver(state: AgentCheckpoint, ending: Ending, input: unknown, failedTool: string | undefined): Outcome {
  const { name, schema } = ending.finalTool;
  if (state.final !== null) return { text: 'already handed over', isError: true };
  const parsed = schema.safeParse(input);
  const fault = ending.tools.fault();
  if (parsed.success && failedTool === undefined && fault === undefined) {
    state.final = { input };
    return { text: 'accepted', isError: false };
  }
  const after =
    failedTool === undefined
      ? fault
      : `${failedTool} failed in the same turn. Look at its result first, and hand over when you have dealt with it.`;
  const reason = parsed.success ? (after ?? '') : `the input of ${name} is not valid:\n${inputProblems(parsed.error)}`;
  state.repairs += 1;
  if (state.repairs > MAX_REPAIRS) throw stuck(`${name} was refused ${state.repairs} times; the last time: ${reason}`);
  return { text: reason, isError: true };
}

const resultOf = (use: Use, { text, isError }: Outcome): Anthropic.ToolResultBlockParam => ({
  type: 'tool_result',
  tool_use_id: use.id,
  content: text === '' ? '(nothing)' : text,
  ...(isError ? { is_error: true } : {}),
});

/** What is said to the model beside its results, by why it stopped. */
function helpFor(state: AgentCheckpoint, ending: Ending, of: { stopReason: string; uses: readonly Use[] }): string[] {
  const { stopReason, uses } = of;
  if (stopReason === 'max_tokens') return [cutOff(state, ending)];
  state.cutOffs = 0;
  if (!WHOLE.has(stopReason)) return [remind(state, ending, `the model stopped for the reason "${stopReason}"`)];
  return uses.length > 0 ? [] : [remind(state, ending, 'the model stopped')];
}

/** Looks at what was handed over last of all, when it is known whether anything else failed. */
async function answerCalls(state: AgentCheckpoint, ending: Ending, uses: readonly Use[], cut: Use | undefined) {
  const { stopReason, messageId } = lastAnswer(state);
  const isWhole = stopReason === 'max_tokens' || WHOLE.has(stopReason ?? '');
  const refuse = isWhole ? undefined : `the answer stopped for a reason that is not known here (${stopReason})`;
  const isFinal = (use: Use): boolean => use.name === ending.finalTool.name;
  const whole = uses.filter((use) => use !== cut);
  const others = whole.filter((use) => !isFinal(use));
  const outcomes = new Map(await runTools(state, ending, { uses: others, messageId: messageId ?? '', refuse }));
  if (cut !== undefined) outcomes.set(cut.id, { text: 'This call was cut off and has not been run.', isError: true });
  const failed = uses.find((use) => outcomes.get(use.id)?.isError === true)?.name;
  for (const use of whole.filter(isFinal)) {
    const outcome = refuse === undefined ? handOver(state, ending, use.input, failed) : { text: refuse, isError: true };
    outcomes.set(use.id, outcome);
  }
  const calls = others.map((use) => ({
    name: use.name,
    input: use.input,
    result: outcomes.get(use.id)?.text ?? '',
  }));
  const results = uses.flatMap((use) => {
    const outcome = outcomes.get(use.id);
    return outcome === undefined ? [] : [resultOf(use, outcome)];
  });
  return { results, calls };
}

/**
 * Takes the last answer of a conversation: runs its tools, accepts what is handed over, or helps the model on.
 * Afterwards the conversation is ready for the next call, or ended. Returns what the model was warned of.
 */
export async function takeAnswer(state: AgentCheckpoint, ending: Ending): Promise<{ warnings: string[] }> {
  const content = state.messages.at(-1)?.content ?? [];
  const uses = usesOf(content);
  const stopReason = lastAnswer(state).stopReason ?? 'none';
  // A paused turn is sent back as it is, and the model goes on with it.
  if (stopReason === 'pause_turn' && uses.length === 0) {
    state.stage = 'completed';
    return { warnings: [] };
  }
  const help = helpFor(state, ending, { stopReason, uses });
  const last = uses.at(-1);
  const isLast = last !== undefined && typeof content !== 'string' && content.at(-1) === last;
  const cut = stopReason === 'max_tokens' && isLast ? last : undefined;
  const { results, calls } = await answerCalls(state, ending, uses, cut);
  const { messageId } = lastAnswer(state);
  const changed = state.lineage.filter((entry) => entry.messageId === messageId);
  const { warnings, end } = noteTurn(state, { calls, changed });
  const text = [...help, ...warnings, ...state.toSay.splice(0)].map((line) => ({ type: 'text' as const, text: line }));
  state.messages.push({ role: 'user', content: [...results, ...text] });
  state.stage = 'completed';
  if (end !== undefined && state.final === null) throw end;
  return { warnings };
}
