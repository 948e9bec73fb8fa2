import { readFileSync } from 'node:fs';
import { allCollectors } from '../../src/gates/collectors/registry.ts';
import { describe, expect, test } from 'vitest';
import {
  findPolicy,
  judgementMetrics,
  loadPolicySet,
  policyJsonSchema,
  requiredMetrics,
} from '../../src/gates/load-policy.ts';
import { AGREED_CRITERIA, AGREED_GATES } from './agreed-numbers.ts';
import { packagePath } from '../../src/shared/package-root.ts';
import { placeOf, problemsOf, shippedPolicies, shippedText, shippedWith } from './support.ts';

const policies = [...shippedPolicies.policies.values()];
const load = (text: string) => loadPolicySet([{ file: 'p.yaml', text }]);
const problemsAfter = (before: string | RegExp, after: string): string[] =>
  problemsOf(() => load(shippedWith(before, after)));

describe('the shipped policies', () => {
  test('hold 12 phases with 52 blocking gates over 36 metrics', () => {
    expect(policies).toHaveLength(12);
    const gates = policies.flatMap((policy) => policy.gates);
    expect(gates).toHaveLength(52);
    expect(gates.filter((gate) => gate.severity === 'BLOCKING')).toHaveLength(52);
    expect(new Set(gates.flatMap((gate) => gate.condition.metrics)).size).toBe(36);
  });

  test('hold 78 criteria, 66 of them blocking', () => {
    const criteria = policies.flatMap((policy) => Object.values(policy.policy.success_criteria));
    expect(criteria).toHaveLength(78);
    expect(criteria.filter((criterion) => criterion.severity === 'BLOCKING')).toHaveLength(66);
    expect(criteria.filter((criterion) => criterion.severity === 'WARNING')).toHaveLength(12);
  });

  test('hold exactly the agreed numbers', () => {
    const gates = policies.flatMap(({ name, gates: own }) =>
      own.map(({ gate, condition, severity }) => `${name} ${gate}: ${condition.text} ${severity}`),
    );
    expect(gates).toEqual(AGREED_GATES.trim().split('\n'));
    const criteria = policies.flatMap(({ name, policy }) =>
      Object.entries(policy.success_criteria).map(
        ([metric, { direction, threshold, severity }]) => `${name} ${metric} ${direction} ${threshold} ${severity}`,
      ),
    );
    expect(criteria).toEqual(AGREED_CRITERIA.trim().split('\n'));
  });

  test('name 44 distinct required artifacts and 32 metric targets', () => {
    const required = new Set(policies.flatMap((policy) => policy.policy.required_artifacts));
    expect(required.size).toBe(44);
    expect(policies.flatMap((policy) => policy.targets)).toHaveLength(32);
  });

  test('give every declared metric a use, but for two that only policies of users read', () => {
    const used = policies.flatMap((policy) => requiredMetrics(shippedPolicies, policy.name));
    const all = new Set([...used, 'licence_violations', 'sbom_complete']);
    expect(Object.keys(shippedPolicies.metrics).toSorted()).toEqual([...all].toSorted());
  });

  test('give every metric a collector that can measure it', () => {
    const unmeasured = Object.entries(shippedPolicies.metrics).filter(
      ([metric, { collector }]) =>
        !allCollectors.some(({ id, metrics }) => id === collector && metrics.includes(metric)),
    );
    expect(unmeasured.map(([metric]) => metric)).toEqual([]);
  });

  test('ask reviewers and stakeholders for what only they can judge', () => {
    const { reviews, approvals } = judgementMetrics(shippedPolicies, 'design');
    expect(reviews.map((review) => [review.metric, review.reviewer])).toEqual([
      ['design_review_approval', 'phase_reviewer'],
      ['security_design_review', 'security_specialist'],
    ]);
    expect(approvals).toEqual([]);
    expect(judgementMetrics(shippedPolicies, 'requirements').approvals).toEqual([
      { metric: 'stakeholder_approval', role: 'stakeholder' },
    ]);
  });

  test('are described by a JSON Schema', () => {
    expect(policyJsonSchema()).toMatchObject({ type: 'object', additionalProperties: false });
  });
});

describe('a policy file is refused at load, with the place,', () => {
  test('when a condition names a metric that is not declared', () => {
    const text = shippedWith("'stub_rate <= 0.05'", "'stub_rte <= 0.05'");
    expect(problemsOf(() => load(text))).toEqual([
      `p.yaml:${placeOf(text, 'stub_rte')}: "stub_rte" is not a declared metric (did you mean "stub_rate"?)`,
    ]);
  });

  test('when a criterion or a target names a metric that is not declared', () => {
    expect(problemsAfter('      stub_rate: {', '      stub_rates: {')[0]).toMatch(/did you mean "stub_rate"/);
    expect(problemsAfter('metric: test_count,', 'metric: test_counts,')[0]).toMatch(/did you mean "test_count"/);
  });

  test('when a threshold is impossible for its metric', () => {
    const text = shippedWith(/test_coverage: \{ threshold: 0\.8,/, 'test_coverage: { threshold: 80,');
    expect(problemsOf(() => load(text))).toEqual([
      `p.yaml:${placeOf(text, '80, direction')}: test_coverage is a ratio (0 to 1): >= 80 can never decide anything`,
    ]);
    expect(problemsAfter('test_coverage >= 0.80', 'test_coverage > 1')[0]).toMatch(/can never decide/);
    expect(problemsAfter("'stakeholder_approval == 1.0'", "'stakeholder_approval == 0.5'")[0]).toMatch(/flag/);
  });

  test('when a criterion points the wrong way', () => {
    expect(problemsAfter('threshold: 0.05, direction: max', 'threshold: 0.05, direction: min')[0]).toMatch(
      /direction of stub_rate is max/,
    );
    expect(
      problemsAfter("metric: phase_duration_days, target: '<= 5'", "metric: phase_duration_days, target: '>= 5'"),
    ).toEqual([expect.stringContaining('points the wrong way')]);
  });

  test('when a gate is defined twice, or there is none', () => {
    expect(problemsAfter('gate: stakeholder_approved', 'gate: documentation_complete')[0]).toMatch(/defined twice/);
    expect(problemsAfter(/exit_gates:\n( {6}- \{ gate.*\n)+/, 'exit_gates: []\n')[0]).toMatch(/exit_gates/);
  });

  test('when a condition is empty or reads no metric, such as "true"', () => {
    expect(problemsAfter("'stub_rate <= 0.05'", "' '")[0]).toMatch(/condition is empty/);
    expect(problemsAfter("'stub_rate <= 0.05'", "'1 == 1'")[0]).toMatch(/reads no metric/);
    expect(problemsAfter("'stub_rate <= 0.05'", "'true'")[0]).toMatch(/"true" is not a declared metric/);
  });

  test.each([
    'stub_rate >= 0',
    'stub_rate <= 1',
    'stub_rate >= -0.5',
    'stub_rate <= 0.05 OR 1 == 1',
    'stub_rate <= 0.05 OR stub_rate > 0.05',
    'NOT (stub_rate > 0.05 AND stub_rate < 0.04)',
    'stub_rate == stub_rate',
    'stub_rate - stub_rate == 0',
    'stub_rate * 0 == 0',
    'stub_rate in [stub_rate]',
    'stub_rate + test_coverage >= 5',
    'stub_rate <= 0.05 AND stub_rate > 0.5',
    'stub_rate in []',
  ])('when a condition comes out the same whatever is measured: %s', (condition) => {
    const text = shippedWith("'stub_rate <= 0.05'", `'${condition}'`);
    expect(problemsOf(() => load(text))).toEqual([
      expect.stringMatching(
        new RegExp(`^p\\.yaml:${placeOf(text, `'${condition}'`).replace(/\d+$/, '\\d+')}: .* whatever is measured`),
      ),
    ]);
  });

  test('when a criterion asks for the worst value there is', () => {
    expect(problemsAfter(/test_coverage: \{ threshold: 0\.8,/, 'test_coverage: { threshold: 0,')).toEqual([
      expect.stringContaining('worst value is 0: this can never decide anything'),
    ]);
  });

  test.each([
    'stub_rate <= 0.05 OR test_coverage >= 0.9',
    'NOT stub_rate > 0.05',
    'stub_rate + 0.1 != test_coverage',
    'stub_rate * test_coverage == 0.037',
    'test_count / total_test_cases >= 0.5',
    'stub_rate in [0, 0.01]',
    'stub_rate < test_coverage',
    'test_count >= 1',
  ])('but not for a condition that something could decide: %s', (condition) => {
    expect(() => load(shippedWith("'stub_rate <= 0.05'", `'${condition}'`))).not.toThrow();
  });

  test('when a key is unknown, with the nearest key', () => {
    expect(problemsAfter('minimum_examined: 1', 'minimum_examind: 1')).toEqual(
      expect.arrayContaining([
        expect.stringMatching(/unknown key "minimum_examind" \(did you mean "minimum_examined"/),
      ]),
    );
  });

  test('when a key stands twice', () => {
    expect(problemsAfter("version: '1.0.0'", "version: '1.0.0'\nversion: '2'")[0]).toMatch(/unique/);
  });

  test('when a bypass rule names no gate, no phase, or one that is never bypassable', () => {
    const rule = 'gate: performance_slo_met, phases: [testing]';
    expect(problemsAfter(rule, 'gate: performance_slo_meet, phases: [testing]')[0]).toMatch(
      /neither a gate nor a criterion \(did you mean "performance_slo_met"/,
    );
    expect(problemsAfter(rule, 'gate: performance_slo_met, phases: [test]')[0]).toMatch(/no phase "test"/);
    expect(problemsAfter(rule, 'gate: performance_slo_met, phases: [design]')[0]).toMatch(/has no gate or criterion/);
    expect(problemsAfter(rule, 'gate: security_clean, phases: [backend]')[0]).toMatch(/never bypassable/);
    expect(problemsAfter(rule, 'gate: no_critical_bugs, phases: [testing]')[0]).toMatch(/never bypassable/);
    expect(problemsAfter(`${rule}, requires_adr: true`, `${rule}, requires_adr: false`)[0]).toMatch(
      /always needs an ADR/,
    );
    expect(problemsAfter('non_bypassable_gates: [build_success,', 'non_bypassable_gates: [build_sucess,')[0]).toMatch(
      /did you mean "build_success"/,
    );
  });

  test('when an artifact is not in the catalogue, or leads out of the folder', () => {
    expect(problemsAfter('required_artifacts: [prd_document', 'required_artifacts: [prd_documents')[0]).toMatch(
      /not in the artifact catalogue \(did you mean "prd_document"/,
    );
    expect(problemsAfter("'docs/requirements/prd.md'", "'../prd.md'")[0]).toMatch(/leads out of the measured folder/);
  });

  test('when a judgement has nobody to judge', () => {
    expect(problemsAfter('    role: stakeholder\n', '')[0]).toMatch(/needs `role`/);
    expect(problemsAfter('    reviewer: phase_reviewer\n', '')[0]).toMatch(/needs `reviewer` and `question`/);
  });

  test('and all problems are reported together', () => {
    const text = shippedWith("'stub_rate <= 0.05'", "'stub_rte <= 0.05'").replace(
      "'test_pass_rate >= 0.95'",
      "'test_pass_rate >= 95'",
    );
    expect(problemsOf(() => load(text))).toHaveLength(2);
  });

  test('when there is no policy for phases that no policy names', () => {
    const start = shippedText().indexOf('  custom_component:');
    const end = shippedText().indexOf('# Rules over several phases');
    const text = shippedText().slice(0, start) + shippedText().slice(end);
    expect(problemsOf(() => load(text))[0]).toMatch(/custom_component/);
  });
});

describe('the persona contracts', () => {
  const file = 'policies/persona_contracts.yaml';
  const text = readFileSync(packagePath('policies', 'persona_contracts.yaml'), 'utf8');
  const loadBoth = (contracts: string) =>
    loadPolicySet([
      { file: 'p.yaml', text: shippedText() },
      { file, text: contracts },
    ]);

  test('are loaded beside the phase policies', () => {
    const { contracts } = loadBoth(text);
    expect(Object.keys(contracts?.personas ?? {})).toEqual([
      'backend_developer',
      'frontend_developer',
      'qa_engineer',
      'project_reviewer',
      'deployment_specialist',
    ]);
    expect(contracts?.personas['qa_engineer']?.quality_gates['complexity']).toEqual({
      metric: 'component_complexity',
      threshold: 8,
      direction: 'max',
      severity: 'WARNING',
    });
  });

  test('are refused with an unknown key, with the place', () => {
    const wrong = text.replace('gates_passed_ratio:', 'gates_pased_ratio:');
    expect(problemsOf(() => loadBoth(wrong))).toEqual(
      expect.arrayContaining([
        expect.stringMatching(/persona_contracts.yaml:\d+:1: .*did you mean "gates_passed_ratio"/),
      ]),
    );
  });

  test.each([
    ['an unknown metric', 'metric: stub_rate', 'metric: stub_rat', 'stub_rat,', /did you mean "stub_rate"/],
    [
      'a threshold that cannot be',
      'threshold: 0.90, direction',
      'threshold: 90, direction',
      '90,',
      /a ratio: 90 can never/,
    ],
    [
      'the wrong direction',
      'component_complexity, threshold: 8, direction: max',
      'component_complexity, threshold: 8, direction: min',
      'min, severity: WARNING }\n      documentation: { metric: documentation_coverage, threshold: 0.80',
      /direction of component_complexity is max/,
    ],
    [
      'a judgement',
      'metric: quality_score, threshold: 70',
      'metric: requirements_fulfilled, threshold: 1',
      'requirements_fulfilled',
      /is a judgement/,
    ],
    [
      'an unknown artifact',
      '[code_files, test_files, api_documentation]',
      '[code_files, test_file, api_documentation]',
      'test_file,',
      /did you mean "test_files"/,
    ],
    [
      'an artifact listed twice',
      '[code_files, test_files, api_documentation]',
      '[code_files, code_files]',
      'code_files]',
      /listed twice/,
    ],
    [
      'an artifact that the phase policies have',
      '  risk_analysis:',
      '  test_plan:',
      'test_plan:',
      /in the catalogue of the phase policies already/,
    ],
  ])('are refused with %s, with the place', (_, before, after, piece, message) => {
    const wrong = text.replace(before, after);
    const place = placeOf(wrong, piece);
    const found = problemsOf(() => loadBoth(wrong)).filter((problem) => message.test(problem));
    expect(found).toEqual([expect.stringContaining(`persona_contracts.yaml:${place}: `)]);
  });

  test('change the digest of the policies', () => {
    expect(loadBoth(text).digest).not.toBe(shippedPolicies.digest);
    expect(loadBoth(text).digest).toBe(loadBoth(text).digest);
  });
});

describe('the policy of a phase', () => {
  test('is its own, service_template for service_*, else custom_component, said to be a fallback', () => {
    expect(findPolicy(shippedPolicies, 'backend')).toEqual({ policy: 'backend', fallback: false });
    expect(findPolicy(shippedPolicies, 'service_3')).toEqual({ policy: 'service_template', fallback: false });
    expect(findPolicy(shippedPolicies, 'integration')).toEqual({ policy: 'custom_component', fallback: true });
  });

  test('is the one named, and a name that does not exist is an error', () => {
    expect(findPolicy(shippedPolicies, 'api', 'backend')).toEqual({ policy: 'backend', fallback: false });
    expect(findPolicy(shippedPolicies, 'api', 'none')).toEqual({ policy: 'none', fallback: false });
    expect(() => findPolicy(shippedPolicies, 'api', 'backnd')).toThrow(/did you mean "backend"/);
    expect(() => findPolicy(shippedPolicies, 'api', '__proto__')).toThrow(/no policy/);
  });
});
