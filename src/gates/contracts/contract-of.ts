import { NO_POLICY, type PolicySet, policyOf, requiredMetrics } from '../load-policy.ts';
import type { LoadedPolicy } from '../loaded-policy.ts';
import type { ContractGate, PersonaContract } from '../persona-contracts-schema.ts';

const NOTHING: PersonaContract = { quality_gates: {}, required_artifacts: [] };

/**
 * What a persona is held to in a phase. One without a contract of its own is held to the defaults as far as the policy
 * of the phase judges the same metric, and less strictly: so they are a floor, and never ask for more to be measured.
 */
export function contractOf(set: PolicySet, policy: string, persona: string): PersonaContract {
  const { contracts } = set;
  if (contracts === undefined || policy === NO_POLICY) return NOTHING;
  if (Object.hasOwn(contracts.personas, persona)) return contracts.personas[persona] ?? NOTHING;
  const loaded = policyOf(set, policy);
  const floor = Object.entries(contracts.default_quality_gates).filter(([, gate]) => isLooser(loaded, gate));
  return { quality_gates: Object.fromEntries(floor), required_artifacts: [] };
}

/** Does the policy judge the metric, but to nothing as strict as this? */
function isLooser(loaded: LoadedPolicy, { metric, threshold, direction, severity }: ContractGate): boolean {
  const criterion = loaded.policy.success_criteria[metric];
  if (criterion === undefined) return loaded.gates.some((gate) => gate.condition.metrics.includes(metric));
  const own = criterion.threshold ?? (direction === 'min' ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY);
  const isAsFar = direction === 'min' ? own >= threshold : own <= threshold;
  return !isAsFar || (severity === 'BLOCKING' && criterion.severity === 'WARNING');
}

/** Every metric that a phase's policy and the contracts of its personas read, in alphabetical order. */
export function metricsOf(set: PolicySet, policy: string, personas: readonly string[]): string[] {
  const own = personas.flatMap((persona) =>
    Object.values(contractOf(set, policy, persona).quality_gates).map((gate) => gate.metric),
  );
  return [...new Set([...requiredMetrics(set, policy), ...own])].toSorted();
}

/** Artifacts that the contracts of a phase's personas require. */
export const contractArtifacts = (set: PolicySet, policy: string, personas: readonly string[]): string[] => [
  ...new Set(personas.flatMap((persona) => contractOf(set, policy, persona).required_artifacts)),
];
