import type { RunCosts } from '../../src/producer/api-cost-schemas.ts';
import type { RunLog } from '../lib/run-log.ts';

/** The costs of a run whose calls were recorded. */
export type Recorded = Extract<RunCosts, { recorded: true }>;

export interface Spent {
  times: number[];
  input: number[];
  output: number[];
  cached: number[];
  /** Dollars, or null from where on a price is not known. */
  usd: (number | null)[];
}

interface Use {
  at: string;
  input: number;
  output: number;
  cached: number;
  micros: number | null;
}

/** Enough for any screen. */
const MOST_POINTS = 1200;

/** What was used and spent up to every moment. */
function addedUp(uses: readonly Use[]): Spent {
  const spent: Spent = { times: [], input: [], output: [], cached: [], usd: [] };
  let [input, output, cached] = [0, 0, 0];
  // Whole millionths of a dollar, so that no dust of binary fractions adds up.
  let micros: number | null = 0;
  const every = Math.max(1, Math.ceil(uses.length / MOST_POINTS));
  uses
    .toSorted((a, b) => a.at.localeCompare(b.at))
    .forEach((use, index) => {
      input += use.input;
      output += use.output;
      cached += use.cached;
      micros = micros === null || use.micros === null ? null : micros + use.micros;
      if (index % every !== 0 && index !== uses.length - 1) return;
      spent.times.push(Date.parse(use.at) / 1000);
      spent.input.push(input);
      spent.output.push(output);
      spent.cached.push(cached);
      spent.usd.push(micros === null ? null : micros / 1e6);
    });
  return spent;
}

/** From the ledger: every call with what the provider counted. */
export const spentOf = ({ calls }: Recorded): Spent =>
  addedUp(
    calls
      .filter(({ outcome }) => outcome !== 'unknown')
      .map((call) => ({
        at: call.at,
        input: call.inputTokens + call.cacheWriteTokens,
        output: call.outputTokens,
        cached: call.cacheReadTokens,
        micros: call.micros,
      })),
  );

/** From the log, for runs of before there was a ledger: every turn with its use. */
export const spentByTurns = ({ turns }: RunLog): Spent =>
  addedUp(
    turns.map(({ at, usage }) => ({
      at,
      input: usage.inputTokens + usage.cacheWriteTokens,
      output: usage.outputTokens,
      cached: usage.cacheReadTokens,
      micros: usage.costUsd === null ? null : Math.round(usage.costUsd * 1e6),
    })),
  );
