import type { Condition } from './conditions.ts';

/** The least and the greatest value of a metric, and whether there are only whole ones between. */
export interface ValueRange {
  low: number;
  high: number;
  whole: boolean;
}

/** More combinations of values than this are not tried; the condition is then believed. */
const MOST_TRIED = 20_000;
const NUMBER = /(?<![A-Za-z0-9_.])\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;

/**
 * What a condition comes to whatever is measured; undefined when it depends on that, as it should.
 * It is tried with the ends of every range, every number it names, values just beside them and between them. For
 * comparisons with numbers that is exact. A condition that compares sums or other metrics could meet a single point
 * that was not tried, so one that only such a point decides is believed.
 */
export function foregoneResult(
  condition: Condition,
  rangeOf: (metric: string) => ValueRange | undefined,
): 'held' | 'violated' | undefined {
  const numbers = (condition.text.match(NUMBER) ?? []).map(Number);
  const tried = condition.metrics.map((metric) => {
    const range = rangeOf(metric);
    return { metric, values: range ? valuesToTry(range, numbers) : [] };
  });
  const combinations = tried.reduce((product, { values }) => product * values.length, 1);
  if (combinations === 0 || combinations > MOST_TRIED) return undefined;
  let foregone: 'held' | 'violated' | undefined;
  for (let index = 0; index < combinations; index += 1) {
    const { outcome } = condition.evaluate(combination(tried, index));
    if (outcome === 'not_evaluable') continue;
    if (foregone !== undefined && foregone !== outcome) return undefined;
    foregone = outcome;
  }
  const mayHinge = foregone === 'held' ? /!|\bNOT\b/ : /==|\bin\b|!|\bNOT\b/;
  return comparesOnlyNumbers(condition) || !mayHinge.test(condition.text) ? foregone : undefined;
}

/** Every comparison is of one metric with one number, so that nothing decides between two values that were tried. */
function comparesOnlyNumbers({ text, comparisons }: Condition): boolean {
  const written = text.match(/[<>]=?|[=!]=/g) ?? [];
  const lists = !/\bin\b/.test(text) || !/[+*/-]|\bin\s*\[[^\]]*[A-Za-z_]/.test(text);
  return lists && written.length === comparisons.length;
}

function combination(
  tried: readonly { metric: string; values: readonly number[] }[],
  index: number,
): ReadonlyMap<string, number> {
  let rest = index;
  return new Map(
    tried.map(({ metric, values }) => {
      const value = values[rest % values.length] ?? 0;
      rest = Math.floor(rest / values.length);
      return [metric, value] as const;
    }),
  );
}

function valuesToTry({ low, high, whole }: ValueRange, numbers: readonly number[]): number[] {
  const step = whole ? 1 : 1e-6;
  const top = Number.isFinite(high) ? high : Math.max(low, ...numbers) * 2 + 1000;
  const named = numbers.flatMap((number) => [number - step, number, number + step]);
  const inside = [low, top, ...named]
    .map((value) => (whole ? Math.floor(value) : value))
    .filter((value) => value >= low && value <= top);
  const sorted = [...new Set(inside)].toSorted((a, b) => a - b);
  const between = sorted.slice(1).map((value, index) => (value + (sorted[index] ?? value)) / 2);
  return whole ? sorted : [...new Set([...sorted, ...between])];
}
