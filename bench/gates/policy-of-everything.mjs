import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';

/** The shipped catalogue with one policy that reads every wanted metric, as YAML. Its thresholds mean nothing. */
export function policyOfEverything(fleet, isWanted) {
  const shipped = parse(readFileSync(join(fleet, 'policies', 'phase_slos.yaml'), 'utf8'));
  const wanted = Object.entries(shipped.metrics).filter(([metric, { collector }]) => isWanted(metric, collector));
  const criterion = ([name, { direction, type }]) => [
    name,
    { threshold: type === 'ratio' ? 0.5 : 1, direction, severity: 'WARNING' },
  ];
  const everything = {
    phase_name: 'Everything',
    phase_id: 'everything',
    description: 'Every metric of some collectors.',
    success_criteria: Object.fromEntries(wanted.map(criterion)),
    required_artifacts: [],
    optional_artifacts: [],
    exit_gates: [{ gate: 'tested', condition: 'test_pass_rate == 1', severity: 'BLOCKING' }],
    metrics: [],
  };
  const bypass_rules = { ...shipped.bypass_rules, bypassable_gates: [], non_bypassable_gates: [] };
  const phases = { everything, custom_component: { ...everything, phase_id: 'custom_component' } };
  return stringify({ ...shipped, bypass_rules, phases });
}
