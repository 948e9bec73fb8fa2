import { contractOf } from './contracts/contract-of.ts';
import { NO_POLICY, type PolicySet, policyOf } from './load-policy.ts';
import type { Criterion } from './policy-schema.ts';

/** A policy in words, for the persona that will be measured by it: gates, criteria, artifacts with their places, targets. */
export function describePolicy(set: PolicySet, name: string, persona?: string): string {
  if (name === NO_POLICY) return 'This phase is not gated.';
  const { policy } = policyOf(set, name);
  const measuredBy = (metric: string): string => {
    const spec = set.metrics[metric];
    if (spec === undefined) return '';
    if (spec.reviewer !== undefined) return ` (judged by ${spec.reviewer})`;
    return spec.role === undefined ? ` (${spec.description})` : ` (decided by the ${spec.role})`;
  };
  const places = (artifact: string): string => {
    const spec = set.artifacts[artifact];
    if (spec === undefined) return '';
    if (spec.source !== 'files') return 'recorded by the fleet itself; you do not write it';
    const sections = spec.sections.length === 0 ? '' : `, with text under the headings: ${spec.sections.join(', ')}`;
    return `${spec.paths.join(' or ')}${sections}`;
  };
  const contractLines = (of: string): string[] => {
    const { quality_gates, required_artifacts } = contractOf(set, name, of);
    const lines = [
      ...Object.values(quality_gates).map(
        (gate) => `- ${gate.metric} ${limitInWords(gate)}, ${gate.severity}${measuredBy(gate.metric)}`,
      ),
      ...required_artifacts.map((artifact) => `- ${artifact}: ${places(artifact)}`),
    ];
    return lines.length === 0 ? [] : [`Your own contract as ${of}:`, ...lines];
  };
  return [
    `Policy ${name}: ${policy.description}`,
    'Exit gates, every one of which must hold:',
    ...policy.exit_gates.map((gate) => `- ${gate.gate}: ${gate.condition}`),
    'Success criteria:',
    ...Object.entries(policy.success_criteria).map(
      ([metric, criterion]) => `- ${metric} ${limitInWords(criterion)}, ${criterion.severity}${measuredBy(metric)}`,
    ),
    'Required artifacts:',
    ...policy.required_artifacts.map((artifact) => `- ${artifact}: ${places(artifact)}`),
    ...(policy.metrics.length === 0 ? [] : ['Targets:']),
    ...policy.metrics.map((target) => `- ${target.metric} ${target.target}${measuredBy(target.metric)}`),
    ...(persona === undefined ? [] : contractLines(persona)),
  ].join('\n');
}

/** `>= 0.8`, `not worse than the last passed run by more than 0.02`, or both. */
function limitInWords({
  threshold,
  direction,
  relative_to,
  max_regression,
}: Pick<Criterion, 'threshold' | 'direction' | 'relative_to' | 'max_regression'>): string {
  const absolute = threshold === undefined ? [] : [`${direction === 'min' ? '>=' : '<='} ${threshold}`];
  const margin = max_regression === undefined ? '' : ` by more than ${max_regression}`;
  const relative = relative_to === undefined ? [] : [`not worse than the last passed run${margin}`];
  return [...absolute, ...relative].join(' and ');
}
