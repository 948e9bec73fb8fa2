import type { z } from 'zod';
import type { CountRequest } from './request-check.ts';

/**
 * The stand-in's own count: four characters are one token. It is no claim about any real tokenizer;
 * it only makes accounts, budgets and cache figures move as they do with a real model.
 */
export const tokensOf = (characters: number): number => Math.ceil(characters / 4);

export interface ScriptedUsage {
  input_tokens: number;
  cache_creation_input_tokens: number;
  cache_read_input_tokens: number;
}

/** The pieces of a request in the order a cache sees them: tools, system, messages. */
function* piecesOf(request: z.infer<typeof CountRequest>): Generator<object | string> {
  yield* request.tools ?? [];
  if (typeof request.system === 'string') yield request.system;
  else yield* request.system ?? [];
  for (const message of request.messages) {
    if (typeof message.content === 'string') yield message.content;
    else yield* message.content;
  }
}

/**
 * Counts what a request sends. Without any memory: on the first turn of a conversation all up to the last cache
 * breakpoint is written; later, all up to the last breakpoint but one was there before and is read.
 */
export function usageOf(request: z.infer<typeof CountRequest>): ScriptedUsage {
  let characters = 0;
  let last = 0;
  let lastButOne = 0;
  for (const piece of piecesOf(request)) {
    const isMarked = typeof piece === 'object' && 'cache_control' in piece && Boolean(piece.cache_control);
    const text = typeof piece === 'string' ? piece : JSON.stringify({ ...piece, cache_control: undefined });
    characters += text.length;
    if (!isMarked) continue;
    lastButOne = last;
    last = characters;
  }
  const isFirst = !request.messages.some((message) => message.role === 'assistant');
  const read = isFirst ? 0 : tokensOf(lastButOne);
  const written = tokensOf(last) - read;
  return {
    input_tokens: Math.max(tokensOf(characters) - read - written, 0),
    cache_creation_input_tokens: written,
    cache_read_input_tokens: read,
  };
}
