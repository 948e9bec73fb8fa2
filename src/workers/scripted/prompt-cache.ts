import { createHash } from 'node:crypto';
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

type Countable = z.infer<typeof CountRequest>;

/** A shorter prefix is not cached, whatever marks it. */
const LEAST_CACHED = 1_024;
/** How many blocks before a breakpoint are looked at for something cached. */
const LOOK_BACK = 20;
const TTL_MS = { '5m': 5 * 60_000, '1h': 60 * 60_000 } as const;
const MOST_ENTRIES = 20_000;

export interface Piece {
  text: string;
  /** How long what ends with it is to be kept; undefined when it is no breakpoint. */
  ttl: keyof typeof TTL_MS | undefined;
}

/** One block; what marks it does not belong to it. */
function pieceOf(block: object | string): Piece {
  if (typeof block === 'string') return { text: block, ttl: undefined };
  const mark = 'cache_control' in block ? block.cache_control : undefined;
  const isMarked = typeof mark === 'object' && mark !== null;
  const ttl = isMarked ? ('ttl' in mark && mark.ttl === '1h' ? '1h' : '5m') : undefined;
  return { text: JSON.stringify({ ...block, cache_control: undefined }), ttl };
}

/** The pieces of a request in the order a cache sees them: tools, system, messages. */
export function piecesOf(request: Countable): Piece[] {
  const { tools = [], system = [], messages } = request;
  const blocks: (object | string)[] = [...tools, ...(typeof system === 'string' ? [system] : system)];
  for (const { content } of messages) blocks.push(...(typeof content === 'string' ? [content] : content));
  return blocks.map(pieceOf);
}

/** All that a request sends, whether it is cached or not. */
export const inputTokensOf = (pieces: readonly Piece[]): number =>
  tokensOf(pieces.reduce((sum, { text }) => sum + text.length, 0));

/**
 * What a provider keeps of the prompts it was sent: prefixes up to a breakpoint, for five minutes or an hour from their
 * last use, each model its own. What was never marked, is too short or has expired is sent in full again, and counted so.
 */
export class PromptCache {
  readonly #now: () => number;
  /** Prefix -> when it is forgotten. Oldest use first. */
  readonly #kept = new Map<string, number>();

  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  /** Counts a request that is answered, reads what is kept of it, and keeps what it marks. */
  take(model: string, pieces: readonly Piece[]): ScriptedUsage {
    const hash = createHash('sha256').update(`${model}\n`);
    let characters = 0;
    const ends = pieces.map(({ text, ttl }) => {
      characters += text.length;
      hash.update(`${text.length} `).update(text);
      return { tokens: tokensOf(characters), ttl, prefix: hash.copy().digest('base64') };
    });
    const marks = ends.flatMap(({ ttl }, index) => (ttl === undefined ? [] : [index]));
    const read = this.#longest(ends, marks);
    let written = read;
    for (const index of marks) {
      const { tokens, ttl = '5m', prefix } = ends[index] ?? { tokens: 0, prefix: '' };
      if (tokens < LEAST_CACHED) continue;
      this.#keep(prefix, TTL_MS[ttl]);
      written = Math.max(written, tokens);
    }
    return {
      input_tokens: tokensOf(characters) - written,
      cache_creation_input_tokens: written - read,
      cache_read_input_tokens: read,
    };
  }

  #longest(ends: readonly { tokens: number; prefix: string }[], marks: readonly number[]): number {
    const now = this.#now();
    for (const mark of marks.toReversed())
      for (let index = mark; index >= Math.max(0, mark - LOOK_BACK); index -= 1) {
        const end = ends[index];
        if (end !== undefined && (this.#kept.get(end.prefix) ?? 0) > now) return end.tokens;
      }
    return 0;
  }

  #keep(prefix: string, ms: number): void {
    this.#kept.delete(prefix);
    this.#kept.set(prefix, this.#now() + ms);
    const oldest = this.#kept.keys().next();
    if (this.#kept.size > MOST_ENTRIES && oldest.done !== true) this.#kept.delete(oldest.value);
  }
}
