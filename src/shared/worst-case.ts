import { type Price, costOf } from './model-config.ts';

/** The most a call is taken to use. */
export interface WorstCase {
  inputTokens: number;
  outputTokens: number;
}

/** What the cost of a call depends on, beside its tokens. */
export interface CostTerms {
  /** Null when nobody knows it. */
  price: Price | null;
  /** No real model is asked: nothing is bought. */
  simulated: boolean;
  replayed?: boolean;
}

/** How often one turn of a conversation asks the model: again when the conversation had to be summed up first. */
export const CALLS_OF_TURN = 2;
/** How often a note that sums the conversation up is asked for, at most once in a turn. */
export const NOTES_OF_TURN = 2;
/** The longest note. */
export const NOTE_TOKENS = 8_000;

const micros = (usd: number): number => Math.ceil(usd * 1_000_000);

/** What one call can cost at most, in millionths of a dollar; null when nobody knows its price. */
export function worstMicros(worst: WorstCase, { price, simulated, replayed = false }: CostTerms): number | null {
  if (simulated || replayed) return 0;
  // Writing to the cache is the dearest way of sending a token, reading none is the worst luck.
  const dearest = { inputTokens: 0, cacheReadTokens: 0, cacheWriteTokens: worst.inputTokens };
  const plain = { inputTokens: worst.inputTokens, cacheReadTokens: 0, cacheWriteTokens: 0 };
  const costs = [dearest, plain].map((sent) => costOf({ ...sent, outputTokens: worst.outputTokens }, price));
  return costs.includes(null) ? null : micros(Math.max(...costs.map(Number)));
}

/** The same for a call of which only the window of its model is known, and the longest answer it may be given. */
export function worstMicrosWithin(contextTokens: number, maxTokens: number, terms: CostTerms): number | null {
  const outputTokens = Math.min(maxTokens, contextTokens);
  // Prices are straight lines: the dearest call is at one end or the other.
  const ends = [outputTokens, 0].map((output) =>
    worstMicros({ inputTokens: contextTokens - output, outputTokens: output }, terms),
  );
  return ends.includes(null) ? null : Math.max(...ends.map(Number));
}
