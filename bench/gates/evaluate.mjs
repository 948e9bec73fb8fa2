/** How long one verdict takes, over the largest shipped policy with every metric given. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { evaluatePhase } from '../../dist/gates/evaluate.js';
import { loadPolicySet, requiredMetrics } from '../../dist/gates/load-policy.js';
import { median, quantile } from './statistics.mjs';

const partsOf = ({ policy, gates, targets }) =>
  gates.length + Object.keys(policy.success_criteria).length + policy.required_artifacts.length + targets.length;

export function benchEvaluation({ fleet, warmUp, evaluations }) {
  const files = ['policies/phase_slos.yaml', 'policies/persona_contracts.yaml'];
  const policySet = loadPolicySet(files.map((file) => ({ file, text: readFileSync(join(fleet, file), 'utf8') })));
  const [policy, loaded] = [...policySet.policies].toSorted(([, a], [, b]) => partsOf(b) - partsOf(a))[0];
  const measurements = requiredMetrics(policySet, policy).map((metric) => ({
    status: 'measured',
    metric,
    collector: policySet.metrics[metric].collector,
    collectorVersion: '1',
    evidence: [],
    value: 1,
    examined: 10,
    source: 'collector',
    simulated: false,
  }));
  const artifacts = loaded.policy.required_artifacts.map((artifact) => ({
    artifact,
    required: true,
    outcome: 'present',
    paths: [],
    message: '',
  }));
  const input = { policySet, policy, phase: policy, fallback: false, measurements, artifacts };
  const verdict = JSON.stringify(evaluatePhase(input));
  for (let round = 0; round < warmUp; round += 1) evaluatePhase(input);
  const times = [];
  for (let round = 0; round < evaluations; round += 1) {
    const began = process.hrtime.bigint();
    evaluatePhase(input);
    times.push(Number(process.hrtime.bigint() - began) / 1e6);
  }
  if (JSON.stringify(evaluatePhase(input)) !== verdict) throw new Error('the same input gave another verdict');
  const { errors } = JSON.parse(verdict);
  if (errors.length > 0) throw new Error(`the verdict holds errors: ${JSON.stringify(errors[0])}`);
  return {
    policy,
    gates: loaded.gates.length,
    criteria: Object.keys(loaded.policy.success_criteria).length,
    artifacts: artifacts.length,
    targets: loaded.targets.length,
    metrics: measurements.length,
    evaluations,
    medianMs: median(times),
    p99Ms: quantile(times, 0.99),
    maxMs: Math.max(...times),
    limitMs: 1,
  };
}
