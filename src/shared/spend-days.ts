import { z } from 'zod';
import { type CostTotals, usdOf } from './call-ledger.ts';
import type { Redis } from './redis.ts';

/** Days that are kept: a year, and a month to compare with the year before. */
export const KEEP_DAYS = 400;

/** Runs that ask a real provider and runs that cannot cost anything have accounts of their own. */
export type SpendKind = 'paid' | 'free';

/** The account of a day (UTC): of the whole fleet, or of all runs of one workflow. */
export const dayKey = (prefix: string, kind: SpendKind, day: string, workflow?: string): string =>
  `${prefix}:maestro:spend:${kind}:${day}${workflow === undefined ? '' : `:${workflow}`}`;

export const dayOf = (at: Date): string => at.toISOString().slice(0, 10);

/** What the counters of a day are kept by, beside the whole. */
export const DAY_KEYS = ['workflow', 'persona', 'model'] as const;
export type DayBy = (typeof DAY_KEYS)[number];

const COUNTERS = [
  'calls',
  'failedCalls',
  'inputTokens',
  'outputTokens',
  'cacheReadTokens',
  'cacheWriteTokens',
  'thinkingTokens',
  'repeatTokens',
  'repeatCachedTokens',
  'micros',
  'unpricedCalls',
  'unknownCalls',
  'unknownTokens',
  'unknownMicros',
  'simulatedCalls',
  'replayedCalls',
] as const;
type Counters = Record<(typeof COUNTERS)[number], number>;

const Whole = z.coerce.number().int();

function totalsOf(fields: Readonly<Record<string, string>>, prefix: string): CostTotals {
  const read = (name: string): number => Whole.parse(fields[`${prefix}${name}`] ?? '0');
  const counted = Object.fromEntries(COUNTERS.map((name) => [name, read(name)]));
  const { micros, unknownMicros, ...rest } = z.record(z.enum(COUNTERS), Whole).parse(counted) satisfies Counters;
  const isPriced = rest.unpricedCalls === 0;
  return {
    ...rest,
    cachedShare: rest.repeatTokens === 0 ? null : rest.repeatCachedTokens / rest.repeatTokens,
    micros: isPriced ? micros : null,
    costUsd: isPriced ? usdOf(micros) : null,
    unknownUsd: isPriced ? usdOf(unknownMicros) : null,
  };
}

/** What a day cost: the whole, and by workflow, persona and model. */
export interface SpendDay {
  day: string;
  totals: CostTotals;
  by: Record<DayBy, { key: string; totals: CostTotals }[]>;
}

/** The usage of one phase of a run, as its account counts it. */
export const phaseTotals = (fields: Readonly<Record<string, string>>, phase: string): CostTotals =>
  totalsOf(fields, `phase:${phase}:`);

/** The last `days` days, newest first; days without a call are left out. */
export async function readSpendDays(
  redis: Redis,
  prefix: string,
  of: { kind: SpendKind; days: number; now?: Date },
): Promise<SpendDay[]> {
  const now = of.now ?? new Date();
  const wanted = Array.from({ length: of.days }, (_, back) => dayOf(new Date(now.getTime() - back * 24 * 3600_000)));
  const hashes = await Promise.all(wanted.map((day) => redis.hgetall(dayKey(prefix, of.kind, day))));
  return wanted.flatMap((day, index): SpendDay[] => {
    const fields = hashes[index] ?? {};
    if (Object.keys(fields).length === 0) return [];
    const group = (by: DayBy) => {
      const names = new Set<string>();
      for (const field of Object.keys(fields)) {
        const [, name] = new RegExp(`^${by}:(.+):[a-zA-Z]+$`).exec(field) ?? [];
        if (name !== undefined) names.add(name);
      }
      return [...names].toSorted().map((key) => ({ key, totals: totalsOf(fields, `${by}:${key}:`) }));
    };
    const by = { workflow: group('workflow'), persona: group('persona'), model: group('model') };
    return [{ day, totals: totalsOf(fields, 'all:'), by }];
  });
}
