import type Anthropic from '@anthropic-ai/sdk';
import type { z } from 'zod';
import { FleetError } from '../../shared/errors.ts';
import type { CallRecord } from '../models/call-record.ts';
import type { AgentCheckpoint } from './checkpoint.ts';
import { noteCall } from './repeats.ts';
import { type ToolBox, inputProblems } from './tools.ts';

const MAX_REMINDERS = 2;
const MAX_REPAIRS = 3;
const MAX_CUT_OFFS = 3;

interface Ending {
  tools: ToolBox;
  finalTool: { name: string; schema: z.ZodType };
  maxTokensPerTurn: number;
}

const isObject = (value: unknown): value is object =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** An answer as it is sent back: without what the API does not take again, and never empty. */
export function toParam(message: Anthropic.Message): Anthropic.MessageParam {
  const content = message.content.flatMap((block): Anthropic.ContentBlockParam[] => {
    if (block.type === 'text' && block.text === '') return [];
    // An answer that was cut off may end in thoughts without a signature, or in half an input.
    if (block.type === 'thinking' && block.signature === '') return [];
    if (block.type === 'tool_use') return [{ ...block, input: isObject(block.input) ? block.input : {} }];
    return [block];
  });
  return { role: 'assistant', content: content.length > 0 ? content : [{ type: 'text', text: '(empty answer)' }] };
}

/** The record of the call that gave the last answer. */
export function lastAnswer(state: AgentCheckpoint): CallRecord {
  const call = state.calls.findLast((one) => one.outcome === 'answered');
  if (call === undefined) throw new FleetError('INTERNAL', 'a conversation has an answer but no record of its call');
  return call;
}

const stuck = (message: string): FleetError =>
  new FleetError('AGENT_STUCK', message, {
    remedy: 'Look at the transcript: the task may need another prompt, tool or model.',
  });

function remind(state: AgentCheckpoint, ending: Ending): string {
  state.reminders += 1;
  const { name } = ending.finalTool;
  if (state.reminders > MAX_REMINDERS)
    throw stuck(`the model stopped without calling ${name}, also after ${MAX_REMINDERS} reminders`);
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
function handOver(state: AgentCheckpoint, ending: Ending, input: unknown, failedTool: string | undefined): string {
  const { name, schema } = ending.finalTool;
  const parsed = schema.safeParse(input);
  if (parsed.success && failedTool === undefined) {
    state.final = { input };
    return 'accepted';
  }
  const reason = parsed.success
    ? `${failedTool} failed in the same turn. Look at its result first, and hand over when you have dealt with it.`
    : `the input of ${name} is not valid:\n${inputProblems(parsed.error)}`;
  state.repairs += 1;
  if (state.repairs > MAX_REPAIRS) throw stuck(`${name} was refused ${state.repairs} times; the last time: ${reason}`);
  return reason;
}

type Use = Anthropic.ToolUseBlockParam;
const result = (use: Use, text: string, isError: boolean): Anthropic.ToolResultBlockParam => ({
  type: 'tool_result',
  tool_use_id: use.id,
  content: text === '' ? '(nothing)' : text,
  ...(isError ? { is_error: true } : {}),
});

/** Runs the calls of one answer, in order; what is handed over is looked at last. */
async function runTools(state: AgentCheckpoint, ending: Ending, uses: readonly Use[], cut: Use | undefined) {
  const messageId = lastAnswer(state).messageId ?? '';
  await ending.tools.askFirst(uses.filter((use) => use !== cut));
  const results = new Map<Use, Anthropic.ToolResultBlockParam>();
  const warnings: string[] = [];
  let failed: string | undefined;
  for (const use of uses) {
    if (use === cut) {
      results.set(use, result(use, 'This call was cut off and has not been run.', true));
      failed = use.name;
    } else if (use.name !== ending.finalTool.name) {
      const outcome = await ending.tools.invoke({ id: use.id, name: use.name, input: use.input, messageId });
      state.lineage.push(...outcome.lineage);
      if (outcome.isRefused) state.refusedCalls.push({ tool: use.name, toolUseId: use.id, messageId });
      if (outcome.isError) failed = use.name;
      results.set(use, result(use, outcome.text, outcome.isError));
      const warning = noteCall(state, { name: use.name, input: use.input, result: outcome.text });
      if (warning !== undefined) warnings.push(warning);
    }
  }
  for (const use of uses.filter((one) => !results.has(one))) {
    const isTaken = state.final !== null;
    const text = isTaken ? 'already handed over' : handOver(state, ending, use.input, failed);
    results.set(use, result(use, text, isTaken || text !== 'accepted'));
  }
  const ordered = uses.flatMap((use) => results.get(use) ?? []);
  return { ordered, warnings };
}

/**
 * Takes the last answer of a conversation: runs its tools, accepts what is handed over, or helps the model on.
 * Returns the names of the tools called. Afterwards the conversation is ready for the next call, or ended.
 */
export async function takeAnswer(state: AgentCheckpoint, ending: Ending): Promise<string[]> {
  const content = state.messages.at(-1)?.content ?? [];
  const blocks = typeof content === 'string' ? [] : content;
  const uses = blocks.filter((block) => block.type === 'tool_use');
  const { stopReason } = lastAnswer(state);
  const isCut = stopReason === 'max_tokens';
  const help: string[] = [];
  if (isCut) help.push(cutOff(state, ending));
  else state.cutOffs = 0;
  if (uses.length === 0 && !isCut) {
    // A paused turn is sent back as it is, and the model goes on with it.
    if (stopReason === 'pause_turn') {
      state.stage = 'completed';
      return [];
    }
    help.push(remind(state, ending));
  }
  const last = blocks.at(-1);
  const cut = isCut && last?.type === 'tool_use' ? last : undefined;
  const { ordered, warnings } = await runTools(state, ending, uses, cut);
  const text = [...help, ...warnings].map((line) => ({ type: 'text' as const, text: line }));
  state.messages.push({ role: 'user', content: [...ordered, ...text] });
  state.stage = 'completed';
  return uses.map((use) => use.name);
}
