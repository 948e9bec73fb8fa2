import { z } from 'zod';
import { TalkCompactions, TalkMessage } from '../../shared/whole-talk.ts';

const Content = z.union([z.string(), z.array(z.looseObject({ type: z.string() }))]);
const TextBlock = z.looseObject({ type: z.literal('text'), text: z.string() });
const Thinking = z.looseObject({ type: z.literal('thinking'), thinking: z.string() });
const ToolUse = z.looseObject({ type: z.literal('tool_use'), id: z.string(), name: z.string(), input: z.unknown() });
const ToolResult = z.looseObject({
  type: z.literal('tool_result'),
  tool_use_id: z.string(),
  is_error: z.boolean().optional(),
  content: Content.optional(),
});

const Call = z.looseObject({
  turn: z.number(),
  purpose: z.string().optional(),
  outcome: z.enum(['answered', 'failed']),
  error: z.string().nullable(),
  host: z.string(),
  modelAsked: z.string(),
  modelAnswered: z.string().nullable(),
  stopReason: z.string().nullable(),
  usage: z.looseObject({
    inputTokens: z.number(),
    outputTokens: z.number(),
    cacheReadTokens: z.number(),
    cacheWriteTokens: z.number(),
    costUsd: z.number().nullable(),
  }),
  startedAt: z.string(),
  latencyMs: z.number(),
  simulated: z.boolean(),
  replayed: z.boolean().optional(),
  fallbackFrom: z.string().optional(),
});
export type Call = z.infer<typeof Call>;

/** What a worker keeps of a persona's conversation, when it has ended or while it goes on. */
export const Transcript = z.looseObject({
  schemaVersion: z.literal(1),
  messages: z.array(TalkMessage),
  calls: z.array(Call),
  refusedCalls: z.array(z.looseObject({ toolUseId: z.string() })).default([]),
  compactions: TalkCompactions,
});
export type Transcript = z.infer<typeof Transcript>;

/** A call of a tool, with what came back. */
export interface ToolItem {
  kind: 'tool';
  name: string;
  input: Record<string, unknown>;
  /** Undefined while it runs. */
  result: { text: string; isError: boolean } | undefined;
  /** The persona may not use this tool, or not so. */
  isRefused: boolean;
}
export type Item = { kind: 'text' | 'thinking' | 'other'; text: string } | ToolItem;

export interface Turn {
  number: number;
  /** The call that gave the answer; undefined for one that was summed up. */
  call: Call | undefined;
  /** Calls for this turn that came to nothing, or were made to sum up what came before. */
  others: Call[];
  items: Item[];
  /** What the worker told the model besides the results of its calls. */
  told: string[];
}

export interface Talk {
  /** What the persona was asked to do. */
  task: string;
  turns: Turn[];
  calls: Call[];
  compactions: Transcript['compactions'];
  /** Calls after the last answer, of a conversation that led nowhere or waits. */
  openCalls: Call[];
}

const textBlock = (text: string): z.infer<typeof TextBlock> => ({ type: 'text', text });
const blocksOf = (content: z.infer<typeof Content> | undefined): { type: string }[] =>
  content === undefined ? [] : typeof content === 'string' ? [textBlock(content)] : content;

const textOf = (block: { type: string }): string => TextBlock.safeParse(block).data?.text ?? `[${block.type}]`;
const textsOf = (content: z.infer<typeof Content> | undefined): string[] =>
  blocksOf(content).flatMap((block) => (block.type === 'tool_result' ? [] : [textOf(block)]));

/** A conversation turn by turn: each answer with its call, and each call of a tool with its result. */
export function readTalk({ messages, calls, refusedCalls, compactions }: Transcript): Talk {
  const results = new Map<string, { text: string; isError: boolean }>();
  for (const block of messages.flatMap(({ content }) => blocksOf(content))) {
    const result = ToolResult.safeParse(block).data;
    if (result !== undefined)
      results.set(result.tool_use_id, {
        text: textsOf(result.content).join('\n'),
        isError: result.is_error === true,
      });
  }
  const refused = new Set(refusedCalls.map(({ toolUseId }) => toolUseId));
  const answered = calls.filter((call) => call.outcome === 'answered' && call.purpose === undefined);
  const answers = messages.filter(({ role }) => role === 'assistant').length;
  // After it was summed up, a conversation holds its last answers only.
  const last = Math.max(answers, answered.at(-1)?.turn ?? 0);
  const turns: Turn[] = [];
  for (const { role, content } of messages) {
    if (role === 'user') turns.at(-1)?.told.push(...textsOf(content));
    else {
      const number = last - answers + turns.length + 1;
      turns.push({
        number,
        call: answered.findLast((call) => call.turn === number),
        others: calls.filter(
          (call) => call.turn === number && (call.outcome === 'failed' || call.purpose !== undefined),
        ),
        items: blocksOf(content).map((block) => itemOf(block, results, refused)),
        told: [],
      });
    }
  }
  const first = messages[0];
  return {
    task: first?.role === 'user' ? textsOf(first.content).join('\n\n') : '',
    turns,
    calls,
    compactions,
    openCalls: calls.filter((call) => call.turn > last),
  };
}

function itemOf(
  block: { type: string },
  results: ReadonlyMap<string, { text: string; isError: boolean }>,
  refused: ReadonlySet<string>,
): Item {
  const use = ToolUse.safeParse(block).data;
  if (use !== undefined) {
    const input = z.record(z.string(), z.unknown()).safeParse(use.input).data ?? { input: use.input };
    return { kind: 'tool', name: use.name, input, result: results.get(use.id), isRefused: refused.has(use.id) };
  }
  const thinking = Thinking.safeParse(block).data;
  if (thinking !== undefined) return { kind: 'thinking', text: thinking.thinking };
  return block.type === 'text'
    ? { kind: 'text', text: textOf(block) }
    : { kind: 'other', text: block.type.replaceAll('_', ' ') };
}
