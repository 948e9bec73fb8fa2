import type { Usage } from '../../src/shared/run-record.ts';

/** One call to a model, as far as a page shows it. */
export interface CallOfTalk {
  turn: number;
  outcome: 'answered' | 'failed';
  error: string | null;
  modelAsked: string;
  modelAnswered: string | null;
  host: string;
  latencyMs: number;
  usage: Usage;
  simulated: boolean;
  replayed?: boolean;
  /** The model that was overloaded, when this call went to its fallback. */
  fallbackFrom?: string;
}

export type TalkBlock =
  | { type: 'text'; text: string }
  | { type: 'thinking'; thinking: string }
  | { type: 'tool_use'; id: string; name: string; input: Record<string, unknown> }
  | ToolResult;
export interface ToolResult {
  type: 'tool_result';
  tool_use_id: string;
  is_error?: boolean;
  content?: string | TalkBlock[];
}

/** What a worker keeps of a conversation. */
export interface Talk {
  messages: { role: 'user' | 'assistant'; content: string | TalkBlock[] }[];
  calls: CallOfTalk[];
  refusedCalls: { tool: string }[];
}

/** One answer of the model, with what came of the tools that it called. */
export interface TalkTurn {
  blocks: TalkBlock[];
  results: Map<string, ToolResult>;
  /** What it was told besides, such as a warning that it goes round in circles. */
  told: string[];
  call: CallOfTalk | undefined;
}

const blocksOf = (content: string | TalkBlock[]): TalkBlock[] =>
  typeof content === 'string' ? [{ type: 'text', text: content }] : content;

export const resultText = ({ content = '' }: ToolResult): string =>
  blocksOf(content)
    .map((block) => (block.type === 'text' ? block.text : `[${block.type}]`))
    .join('\n');

/** A conversation by its turns. The first message is the task. */
export function turnsOf({ messages, calls }: Talk): { task: string; turns: TalkTurn[] } {
  const [first, ...others] = messages;
  const task = blocksOf(first?.content ?? '').flatMap((block) => (block.type === 'text' ? block.text : []));
  const turns: TalkTurn[] = [];
  const answered = calls.filter(({ outcome }) => outcome === 'answered');
  for (const { role, content } of others) {
    const blocks = blocksOf(content);
    if (role === 'assistant') {
      const call = answered[turns.length];
      turns.push({ blocks, results: new Map(), told: [], call });
      continue;
    }
    const turn = turns.at(-1);
    for (const block of blocks) {
      if (block.type === 'tool_result') turn?.results.set(block.tool_use_id, block);
      if (block.type === 'text') turn?.told.push(block.text);
    }
  }
  return { task: task.join('\n'), turns };
}
