import type { LoadedPolicy } from '../loaded-policy.ts';
import type { MetricSpec } from '../policy-schema.ts';

/** Whatever a policy file says: build, critical bugs, deployment and stakeholder approval are never bypassed. */
const NEVER_METRICS = ['build_success_rate', 'critical_bugs', 'deployment_success', 'stakeholder_approval'];
/** Nor is anything about security, or anything that these collectors measure. */
const NEVER_COLLECTORS = ['build', 'security', 'deployment'];

/** The exit gates and success criteria of a policy. */
export const namesOf = (policy: LoadedPolicy): string[] => [
  ...policy.gates.map((gate) => gate.gate),
  ...Object.keys(policy.policy.success_criteria),
];

/** A gate, criterion or metric that is listed, or that no list can leave out. */
export const isNeverBypassed = (
  name: string,
  listed: readonly string[],
  metrics: Readonly<Record<string, MetricSpec>>,
): boolean =>
  listed.includes(name) ||
  NEVER_METRICS.includes(name) ||
  (Object.hasOwn(metrics, name) &&
    (/^security(_|$)/.test(name) || NEVER_COLLECTORS.includes(metrics[name]?.collector ?? '')));

/**
 * The gates and criteria of a policy that no bypass and no enforcement mode may let through: those that are listed or
 * fixed, every gate that reads such a metric, and every criterion that such a gate reads.
 */
export function neverBypassed(
  policy: LoadedPolicy,
  listed: readonly string[],
  metrics: Readonly<Record<string, MetricSpec>>,
): ReadonlySet<string> {
  const isFixed = (name: string): boolean => isNeverBypassed(name, listed, metrics);
  const gates = policy.gates.filter((gate) => isFixed(gate.gate) || gate.condition.metrics.some(isFixed));
  const read = new Set([...gates.map((gate) => gate.gate), ...gates.flatMap((gate) => gate.condition.metrics)]);
  return new Set(namesOf(policy).filter((name) => isFixed(name) || read.has(name)));
}
