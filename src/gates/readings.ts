import type { GateResult, Measurement } from '../shared/verdict.ts';
import { METRIC_RANGES } from './check-policy.ts';
import type { MetricSpec } from './policy-schema.ts';

type Source = GateResult['values'][string]['source'];

/** A metric as a gate may use it: a number that its type allows, or the reason why there is none. */
export type Reading =
  | { ok: true; value: number; source: Source; simulated: boolean }
  /** `absent`: nobody even tried to give a value. */
  | { ok: false; reason: string; absent: boolean };

/** Judges every measurement by the type and the minimum of its metric. */
export function readMeasurements(
  specs: Readonly<Record<string, MetricSpec>>,
  measurements: readonly Measurement[],
  absentReason: string,
): (metric: string) => Reading {
  const byMetric = new Map<string, Measurement[]>();
  for (const measurement of measurements) {
    byMetric.set(measurement.metric, [...(byMetric.get(measurement.metric) ?? []), measurement]);
  }
  return (metric) => {
    const [measurement, ...others] = byMetric.get(metric) ?? [];
    if (!measurement) return { ok: false, reason: absentReason, absent: true };
    const reason = others.length > 0 ? 'measured more than once' : unusable(specs[metric], measurement);
    if (reason !== undefined || measurement.status !== 'measured') {
      return { ok: false, reason: reason ?? 'not measured', absent: false };
    }
    return { ok: true, value: measurement.value, source: measurement.source, simulated: measurement.simulated };
  };
}

function unusable(spec: MetricSpec | undefined, measurement: Measurement): string | undefined {
  if (!spec) return 'not in the metric catalogue';
  if (measurement.status === 'not_evaluable') return measurement.reason;
  const { value, examined } = measurement;
  if (!Number.isFinite(value)) return `the value is ${value}, not a number`;
  const [low, high] = METRIC_RANGES[spec.type];
  const range = high === Number.POSITIVE_INFINITY ? `from ${low}` : `${low} to ${high}`;
  if (value < low || value > high) return `${value} is not possible: a ${spec.type} is ${range}`;
  if (spec.type === 'flag' && value !== 0 && value !== 1) return `${value} is not possible: a flag is 0 or 1`;
  if (spec.type === 'count' && !Number.isInteger(value)) return `${value} is not possible: a count is a whole number`;
  if (measurement.source !== 'supplied' && examined < spec.minimum_examined) {
    return `only ${examined} examined (${spec.examined}), at least ${spec.minimum_examined} needed`;
  }
  return undefined;
}
