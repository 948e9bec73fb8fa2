import { z } from 'zod';
import { Name } from './names.ts';
import type { Usage } from './run-record.ts';

const Count = z.number().int().nonnegative();

/** What a call is counted under. */
export const CallPlace = z.strictObject({
  workflow: Name,
  phase: Name,
  persona: Name,
  kind: z.enum(['work', 'review']),
  round: Count,
});
export type CallPlace = z.infer<typeof CallPlace>;

/** What the provider counts of a call. */
const counted = {
  inputTokens: Count,
  outputTokens: Count,
  cacheReadTokens: Count,
  cacheWriteTokens: Count,
  /** The part of the output that was thinking, where the provider tells. */
  thinkingTokens: Count,
  /** What the call before it in the same conversation had sent already, and how much of that came from the cache. */
  repeatTokens: Count,
  repeatCachedTokens: Count,
};

/** One call in the ledger of its run: who made it, which model answered, what the provider counted, what that costs. */
export const LedgerCall = z.strictObject({
  ...CallPlace.shape,
  at: z.string(),
  turn: Count,
  attempt: Count,
  /** The model that was asked, and the one that answered. */
  model: z.string(),
  answeredBy: z.string().nullable(),
  host: z.string(),
  requestId: z.string().nullable(),
  /**
   * `answered` and `failed`: the counts are the provider's. `unknown`: the call broke off or its worker was killed, nobody
   * was told what it used, and the counts are the most that it can have used.
   */
  outcome: z.enum(['answered', 'failed', 'unknown']),
  ...counted,
  /** Millionths of a dollar; null when nobody has entered the price. */
  micros: Count.nullable(),
  latencyMs: z.number().nonnegative(),
  /** A stand-in answered. */
  simulated: z.boolean(),
  /** The answer came from a recording; nothing was bought. */
  replayed: z.boolean(),
});
export type LedgerCall = z.infer<typeof LedgerCall>;

/** What calls add up to. Calls whose use is not known stand apart, at their worst case. */
export const CostTotals = z.strictObject({
  /** Answered calls. */
  calls: Count,
  /** Calls that the provider refused: they cost nothing. */
  failedCalls: Count,
  ...counted,
  /** Of the repeated tokens, how many came from the cache; null when nothing was repeated. */
  cachedShare: z.number().nullable(),
  /** Millionths of a dollar, exactly; null when a price is not known. */
  micros: Count.nullable(),
  /** The same in dollars. */
  costUsd: z.number().nonnegative().nullable(),
  /** Calls without a price. */
  unpricedCalls: Count,
  /** Calls that broke off, and the most they can have used and cost; that much more is what was spent at most. */
  unknownCalls: Count,
  unknownTokens: Count,
  unknownUsd: z.number().nonnegative().nullable(),
  /** Calls that a stand-in answered, and calls that came from a recording, both at no cost. */
  simulatedCalls: Count,
  replayedCalls: Count,
});
export type CostTotals = z.infer<typeof CostTotals>;

/** What calls can be added up by. */
export const COST_KEYS = ['phase', 'persona', 'model', 'day', 'workflow'] as const;
export type CostKey = (typeof COST_KEYS)[number];

const MICRO = 1_000_000;

/** Dollars of a whole number of millionths, without the dust of binary fractions. */
export const usdOf = (micros: number): number => micros / MICRO;

const isExact = (call: LedgerCall): boolean => call.outcome !== 'unknown';

/** Adds up calls: exact integers of what the provider counted, and apart from them the worst case of what nobody knows. */
export function totalCosts(calls: readonly LedgerCall[]): CostTotals {
  const exact = calls.filter(isExact);
  const unknown = calls.filter((call) => !isExact(call));
  const sum = (of: readonly LedgerCall[], read: (call: LedgerCall) => number): number =>
    of.reduce((total, call) => total + read(call), 0);
  const micros = (of: readonly LedgerCall[]): number | null =>
    of.some((call) => call.micros === null) ? null : sum(of, (call) => call.micros ?? 0);
  const repeatTokens = sum(exact, (call) => call.repeatTokens);
  const repeatCachedTokens = sum(exact, (call) => call.repeatCachedTokens);
  const spent = micros(exact);
  const unknownMicros = micros(unknown);
  return {
    calls: exact.filter((call) => call.outcome === 'answered').length,
    failedCalls: exact.filter((call) => call.outcome === 'failed').length,
    inputTokens: sum(exact, (call) => call.inputTokens),
    outputTokens: sum(exact, (call) => call.outputTokens),
    cacheReadTokens: sum(exact, (call) => call.cacheReadTokens),
    cacheWriteTokens: sum(exact, (call) => call.cacheWriteTokens),
    thinkingTokens: sum(exact, (call) => call.thinkingTokens),
    repeatTokens,
    repeatCachedTokens,
    cachedShare: repeatTokens === 0 ? null : repeatCachedTokens / repeatTokens,
    micros: spent,
    costUsd: spent === null ? null : usdOf(spent),
    unpricedCalls: calls.filter((call) => call.micros === null).length,
    unknownCalls: unknown.length,
    unknownTokens: sum(unknown, tokensOfCall),
    unknownUsd: unknownMicros === null ? null : usdOf(unknownMicros),
    simulatedCalls: calls.filter((call) => call.simulated).length,
    replayedCalls: calls.filter((call) => call.replayed).length,
  };
}

/** Every token of a call, sent and received. */
export const tokensOfCall = (
  call: Pick<Usage, 'inputTokens' | 'outputTokens' | 'cacheReadTokens' | 'cacheWriteTokens'>,
): number => call.inputTokens + call.outputTokens + call.cacheReadTokens + call.cacheWriteTokens;

/** The name of the model that counts: the one that answered, else the one that was asked. */
const keyOf = (call: LedgerCall, by: CostKey): string =>
  by === 'day' ? call.at.slice(0, 10) : by === 'model' ? call.model : call[by];

/** The totals of calls by one of their names, in the order in which the names first appear. */
export function costsBy(calls: readonly LedgerCall[], by: CostKey): { key: string; totals: CostTotals }[] {
  const groups = new Map<string, LedgerCall[]>();
  for (const call of calls) {
    const key = keyOf(call, by);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [call]);
    else group.push(call);
  }
  return [...groups].map(([key, group]) => ({ key, totals: totalCosts(group) }));
}

/** The calls of a run as they are stored, one JSON text each. */
export const parseLedger = (entries: readonly string[]): LedgerCall[] =>
  entries.map((entry) => LedgerCall.parse(JSON.parse(entry)));
