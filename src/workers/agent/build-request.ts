import type Anthropic from '@anthropic-ai/sdk';
import type { WorstCase } from '../../shared/worst-case.ts';
import { type CallRecord, totalTokens } from '../models/call-record.ts';

const CACHED = { type: 'ephemeral' } as const;

/** Marks the end of a user message as cacheable; what the conversation keeps is left as it is. */
function marked(content: Anthropic.MessageParam['content']): Anthropic.UserMessageParam {
  const blocks = typeof content === 'string' ? [{ type: 'text' as const, text: content }] : content;
  const last = blocks.at(-1);
  if (last?.type !== 'text' && last?.type !== 'tool_result') return { role: 'user', content };
  return { role: 'user', content: [...blocks.slice(0, -1), { ...last, cache_control: CACHED }] };
}

/**
 * The next request of a conversation. Four cache breakpoints, as many as the API allows: tools, system prompt, and the
 * last two user messages, so that each call reads what the call before it wrote.
 */
export function buildRequest(conversation: {
  model: string;
  system: string;
  tools: readonly Anthropic.Tool[];
  messages: readonly Anthropic.MessageParam[];
  maxTokens: number;
}): Anthropic.MessageStreamParams {
  const { model, system, tools, messages } = conversation;
  const recent = new Set<Anthropic.MessageParam>(messages.filter((message) => message.role === 'user').slice(-2));
  return {
    model,
    max_tokens: conversation.maxTokens,
    system: [{ type: 'text', text: system, cache_control: CACHED }],
    tools: tools.map((tool, index) => (index === tools.length - 1 ? { ...tool, cache_control: CACHED } : tool)),
    messages: messages.map((message) => (recent.has(message) ? marked(message.content) : message)),
  };
}

const bytesOf = (value: unknown): number => Buffer.byteLength(JSON.stringify(value), 'utf8');

/**
 * The most a request is taken to use. What the provider counted in the call before is known; only what is new since then
 * is estimated, at two bytes a token. Ordinary text and code stay well below that; it is no bound of every tokenizer for
 * every text (random letters, rare scripts), and what the provider counts replaces it after the call.
 */
export function worstCaseOf(request: Anthropic.MessageStreamParams, last: CallRecord | undefined): WorstCase {
  const outputTokens = request.max_tokens;
  const answered = request.messages.findLastIndex((message) => message.role === 'assistant');
  if (last?.outcome === 'answered' && answered !== -1) {
    const added = Math.ceil(bytesOf(request.messages.slice(answered + 1)) / 2);
    return { inputTokens: totalTokens(last.usage) + added, outputTokens };
  }
  return { inputTokens: Math.ceil(bytesOf([request.system, request.tools, request.messages]) / 2), outputTokens };
}

/** How much of that is new to the provider: what the call before it wrote to or read from the cache is there again. */
export function uncachedOf(worst: WorstCase, last: CallRecord | undefined): number {
  if (last?.outcome !== 'answered') return worst.inputTokens;
  return worst.inputTokens - last.usage.cacheReadTokens - last.usage.cacheWriteTokens;
}
