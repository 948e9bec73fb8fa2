import type { LedgerCall } from '../../src/shared/call-ledger.ts';
import type { Charge } from '../../src/workers/scripted/server.ts';

/** Prices of a model file, which `bill` knows too. */
export const PRICES = `prices:
  claude-sonnet-5-5: { asOf: 2026-11-01, input: 3, output: 15, cacheWrite: 3.75, cacheRead: 0.3 }
  claude-haiku-5-5: { asOf: 2026-11-01, input: 0.8, output: 4, cacheWrite: 1, cacheRead: 0.08 }
`;

/** The bill for some requests to claude-sonnet-5-5, in the provider's own arithmetic: tokens times price, in millionths. */
export const bill = (charges: readonly Charge[]): number =>
  charges.reduce(
    (sum, one) =>
      sum +
      Math.round(
        (one.inputTokens * 300 + one.outputTokens * 1_500 + one.cacheWriteTokens * 375 + one.cacheReadTokens * 30) /
          100,
      ),
    0,
  );

export const countsOf = (one: LedgerCall | Charge): number[] => [
  one.inputTokens,
  one.cacheWriteTokens,
  one.cacheReadTokens,
  one.outputTokens,
];
