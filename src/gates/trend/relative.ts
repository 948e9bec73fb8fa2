import type { Baseline } from '../../shared/baseline.ts';
import type { Criterion } from '../policy-schema.ts';
import { formatValue } from '../verdict-messages.ts';

/** What a value is held against. */
export type Limit =
  /** `note` says which baseline had a part in it. */
  | { kind: 'threshold'; threshold: number; note: string }
  /** The policy lets a first run go on without a baseline; `warns` when it says so aloud. */
  | { kind: 'declared'; note: string; warns: boolean }
  | { kind: 'missing'; reason: string };

/** Differences of decimal fractions, without the dust of binary ones. */
const tidy = (value: number): number => Number(value.toPrecision(12));

/**
 * The limit of a criterion: its threshold, or the baseline's value less what it may lose, whichever is stricter.
 * There is no implicit baseline: without one, only what the policy declares.
 */
export function limitOf(metric: string, criterion: Criterion, baseline: Baseline | null): Limit {
  const { threshold, direction, relative_to } = criterion;
  if (relative_to === undefined) return { kind: 'threshold', threshold: threshold ?? Number.NaN, note: '' };
  const before = baseline !== null && Object.hasOwn(baseline.values, metric) ? baseline.values[metric] : undefined;
  if (before === undefined) {
    const what = baseline === null ? 'there is no baseline yet' : `the baseline (${baseline.source}) has no ${metric}`;
    const onMissing = criterion.on_missing ?? 'block';
    if (onMissing === 'block')
      return { kind: 'missing', reason: `${what} to compare with, and the policy asks for one` };
    const note = `${what}, and the policy declares on_missing: ${onMissing}`;
    return { kind: 'declared', note, warns: onMissing === 'warn' };
  }
  const sign = direction === 'min' ? -1 : 1;
  const relative = tidy(before.value + sign * (criterion.ratchet === true ? 0 : (criterion.max_regression ?? 0)));
  const stricter = direction === 'min' ? Math.max : Math.min;
  return {
    kind: 'threshold',
    threshold: stricter(relative, threshold ?? relative),
    note: `baseline ${formatValue(before.value)} of ${before.source}`,
  };
}
