import type { Comparison, Condition } from './conditions.ts';

/** `a` can only hold where `b` holds. Both compare the same metric with a number. */
function implies(a: Comparison, b: Comparison): boolean {
  const [low, high] = [a.literal, b.literal];
  switch (b.operator) {
    case '>=':
      return (a.operator === '>=' || a.operator === '>' || a.operator === '==') && low >= high;
    case '>':
      return a.operator === '>' ? low >= high : (a.operator === '>=' || a.operator === '==') && low > high;
    case '<=':
      return (a.operator === '<=' || a.operator === '<' || a.operator === '==') && low <= high;
    case '<':
      return a.operator === '<' ? low <= high : (a.operator === '<=' || a.operator === '==') && low < high;
    case '==':
      return a.operator === '==' && low === high;
    case '!=':
      return excludes(a, high);
  }
}

function excludes(comparison: Comparison, value: number): boolean {
  switch (comparison.operator) {
    case '==':
      return comparison.literal !== value;
    case '!=':
      return comparison.literal === value;
    case '>':
      return comparison.literal >= value;
    case '>=':
      return comparison.literal > value;
    case '<':
      return comparison.literal <= value;
    case '<=':
      return comparison.literal < value;
  }
}

/**
 * Why a condition is not provably at least as strict as another; undefined when it is.
 * Proved only for comparisons joined by AND: each one of the base must follow from one on the same metric.
 */
export function looserThan(changed: Condition, base: Condition): string | undefined {
  if (changed.text.trim() === base.text.trim()) return undefined;
  const { conjunction: had } = base;
  const { conjunction: has } = changed;
  if (had === undefined || has === undefined)
    return 'only comparisons of a metric with a number, joined by AND, can be shown to be stricter';
  const lost = had.find((part) => !has.some((own) => own.metric === part.metric && implies(own, part)));
  return lost === undefined
    ? undefined
    : `it would hold where ${lost.metric} ${lost.operator} ${lost.literalText} does not`;
}
