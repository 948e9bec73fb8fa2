import { describe, expect, test } from 'vitest';
import { evaluateSupplied } from '../../src/gates/evaluate-supplied.ts';
import { loadPolicySet, overlayJsonSchema } from '../../src/gates/load-policy.ts';
import { goodRecord, placeOf, problemsOf, shippedPolicies, shippedText } from './support.ts';

const BASE = 'policies/phase_slos.yaml';
const HEAD = 'apiVersion: maestro/v1\nextends: phase_slos\n';
const sourcesOf = (overlay: string, base = shippedText()) => [
  { file: BASE, text: base },
  { file: 'maestro.policies.yaml', text: overlay, kind: 'overlay' as const },
];
const load = (body: string, base?: string) => loadPolicySet(sourcesOf(HEAD + body, base));
const inPhase = (phase: string, body: string): string => `phases:\n  ${phase}:\n    ${body}\n`;
const refused = (body: string, base?: string): string[] => problemsOf(() => load(body, base));
const outcomeOf = (body: string, metrics: Record<string, unknown>, phase = 'implementation'): string =>
  evaluateSupplied({
    policySet: load(body),
    phase,
    text: JSON.stringify({ metrics: { ...goodRecord(phase), ...metrics } }),
    file: 'M.json',
  }).verdict;

describe('an overlay tightens', () => {
  test('a threshold, a severity and a condition', () => {
    expect(
      outcomeOf(inPhase('implementation', 'success_criteria: { test_coverage: { threshold: 0.9 } }'), {
        test_coverage: 0.85,
      }),
    ).toBe('blocked');
    expect(
      outcomeOf(inPhase('implementation', 'success_criteria: { stub_rate: { threshold: 0.01 } }'), { stub_rate: 0.02 }),
    ).toBe('blocked');
    expect(
      outcomeOf(inPhase('implementation', 'success_criteria: { documentation_coverage: { severity: BLOCKING } }'), {
        documentation_coverage: 0.6,
      }),
    ).toBe('blocked');
    const gate = "exit_gates: [{ gate: no_stubs, condition: 'stub_rate <= 0.01' }]";
    expect(outcomeOf(inPhase('implementation', gate), { stub_rate: 0.02 })).toBe('blocked');
    expect(outcomeOf(inPhase('implementation', gate), { stub_rate: 0.005 })).toBe('passed');
  });

  test('by a new gate, criterion, required artifact and target', () => {
    const policy = load(
      inPhase(
        'implementation',
        `exit_gates: [{ gate: small, condition: 'lines_of_code <= 9000' }]
    success_criteria: { test_count: { threshold: 30 } }
    required_artifacts: [api_documentation]
    metrics: [{ metric: bundle_size_kb, target: '<= 100' }]`,
      ),
    ).policies.get('implementation');
    expect(policy?.gates.map((gate) => `${gate.gate} ${gate.severity}`)).toContain('small BLOCKING');
    expect(policy?.policy.success_criteria['test_count']).toEqual({
      threshold: 30,
      direction: 'min',
      severity: 'BLOCKING',
    });
    expect(policy?.policy.required_artifacts).toContain('api_documentation');
    expect(policy?.policy.optional_artifacts).not.toContain('api_documentation');
    expect(policy?.targets.map((target) => target.condition.text)).toContain('bundle_size_kb <= 100');
  });

  test('by a comparison with the last passed run beside the threshold of the base', () => {
    const body = inPhase(
      'implementation',
      'success_criteria: { test_coverage: { relative_to: last_passed, ratchet: true } }',
    );
    expect(load(body).policies.get('implementation')?.policy.success_criteria['test_coverage']).toMatchObject({
      threshold: 0.8,
      ratchet: true,
    });
    expect(outcomeOf(body, {})).toBe('blocked');
  });

  test('the minimum examined, what is never bypassable and the alert', () => {
    const { metrics, file } = load(
      'metrics: { test_coverage: { minimum_examined: 50 } }\nbypass_rules: { non_bypassable_gates: [documentation_coverage], alert_threshold: 0.05 }\n',
    );
    expect(metrics['test_coverage']?.minimum_examined).toBe(50);
    expect(file.bypass_rules.non_bypassable_gates).toContain('documentation_coverage');
    expect(file.bypass_rules.bypassable_gates.map((rule) => rule.gate)).not.toContain('documentation_coverage');
    expect(file.bypass_rules.audit_trail.alert_threshold).toBe(0.05);
  });

  test('what it does not name stays as it is, and the digest is another', () => {
    const set = load(inPhase('implementation', 'success_criteria: { test_coverage: { threshold: 0.9 } }'));
    expect(set.file.phases['backend']).toEqual(shippedPolicies.file.phases['backend']);
    expect(set.digest).not.toBe(shippedPolicies.digest);
  });
});

describe('an overlay is refused, with the place and what the base says,', () => {
  test('when it lowers a threshold', () => {
    const body = inPhase('implementation', 'success_criteria: { test_coverage: { threshold: 0.7 } }');
    const lines = shippedText().split('\n');
    const start = lines.findIndex((line) => line === '  implementation:');
    const line = lines.findIndex((text, index) => index > start && text.includes('test_coverage: { threshold: 0.8'));
    const column = (lines[line]?.indexOf('0.8') ?? 0) + 1;
    expect(refused(body)).toEqual([
      `maestro.policies.yaml:${placeOf(HEAD + body, '0.7')}: test_coverage: 0.7 is lower than the base's 0.8: an overlay can only tighten this (${BASE}:${line + 1}:${column})`,
    ]);
  });

  test.each<[string, string, RegExp]>([
    ['raises a ceiling', 'success_criteria: { stub_rate: { threshold: 0.1 } }', /0\.1 is higher than the base's 0\.05/],
    ['makes a criterion only warn', 'success_criteria: { test_coverage: { severity: WARNING } }', /base says BLOCKING/],
    ['makes a gate only warn', 'exit_gates: [{ gate: no_stubs, severity: WARNING }]', /base says BLOCKING/],
    ['removes a gate', 'remove: { exit_gates: [no_stubs] }', /"no_stubs" would be removed/],
    ['removes a criterion', 'remove: { success_criteria: [test_coverage] }', /"test_coverage" would be removed/],
    ['removes an artifact', 'remove: { required_artifacts: [unit_tests] }', /"unit_tests" would be removed/],
    ['removes a target', 'remove: { metrics: [defect_density] }', /"defect_density" would be removed/],
    ['loosens a target', "metrics: [{ metric: defect_density, target: '<= 0.5' }]", /not provably stricter/],
    [
      'turns a criterion round',
      'success_criteria: { test_coverage: { direction: max } }',
      /direction of test_coverage is min/,
    ],
    ['names a policy that is not there', '', /no policy "implementatio" \(did you mean "implementation"/],
    ['removes what is not there', 'remove: { exit_gates: [no_stub] }', /no gate "no_stub" \(did you mean "no_stubs"/],
    [
      'changes a gate that is not there',
      'exit_gates: [{ gate: no_stub, severity: BLOCKING }]',
      /did you mean "no_stubs"/,
    ],
    [
      'adds a metric nobody declared',
      'success_criteria: { test_cover: { threshold: 0.9 } }',
      /test_cover" is not a declared metric/,
    ],
    ['adds an artifact nobody declared', 'required_artifacts: [unit_test]', /did you mean "unit_tests"/],
  ])('when it %s', (what, body, message) => {
    const phase = what.startsWith('names a policy') ? 'implementatio' : 'implementation';
    const problems = refused(inPhase(phase, body === '' ? '{}' : body));
    expect(problems[0]).toMatch(message);
    expect(problems[0]).toMatch(/^maestro\.policies\.yaml:[3-9]:\d+: /);
  });

  test.each<[string, string]>([
    ['is weaker', 'code_quality_score >= 8.0 AND test_coverage >= 0.7'],
    ['drops a part', 'code_quality_score >= 9.0'],
    ['is weaker at the edge', 'code_quality_score >= 8.0 AND test_coverage > 0.79'],
    ['offers another way', 'code_quality_score >= 9.0 OR test_coverage >= 0.9'],
    ['cannot be compared', 'code_quality_score >= 8.0 AND NOT (test_coverage < 0.9)'],
    ['reads other metrics', 'build_success_rate >= 0.99'],
  ])('when a condition %s', (_, condition) => {
    const body = inPhase('implementation', `exit_gates: [{ gate: quality_threshold, condition: '${condition}' }]`);
    expect(refused(body)[0]).toMatch(
      /not provably stricter than the base's "code_quality_score >= 8.0 AND test_coverage >= 0.80": /,
    );
  });

  test.each([
    'code_quality_score >= 8.0 AND test_coverage >= 0.80 AND stub_rate == 0',
    'test_coverage > 0.80 AND code_quality_score == 10',
    '0.9 <= test_coverage AND code_quality_score >= 8.5',
  ])('but not when each part is at least as strict: %s', (condition) => {
    const body = inPhase('implementation', `exit_gates: [{ gate: quality_threshold, condition: '${condition}' }]`);
    expect(load(body).policies.get('implementation')?.gates[1]?.condition.text).toBe(condition);
  });

  test.each<[string, RegExp]>([
    ['metrics: { test_coverage: { minimum_examined: 0 } }', /0 examined is less than the base's 1/],
    ['metrics: { test_coverag: { minimum_examined: 9 } }', /did you mean "test_coverage"/],
    ['metrics: { test_coverage: { collector: mine } }', /unknown key "collector"/],
    ['settings: { enforcement_mode: advisory }', /advisory is weaker than the base's blocking/],
    ['bypass_rules: { alert_threshold: 0.5 }', /later than the base's 0\.1/],
    ["artifacts: { unit_tests: { description: x, paths: ['*'] } }", /"unit_tests" is in the base already/],
    ['bypass_rules: { bypassable_gates: [] }', /unknown key "bypassable_gates"/],
    ['phases: { backend: { succes_criteria: {} } }', /did you mean "success_criteria"/],
  ])('when it says %s', (body, message) => {
    const problems = refused(body);
    expect(problems.join('\n')).toMatch(message);
    expect(problems[0]).toMatch(/^maestro\.policies\.yaml:3:\d+: /);
  });

  test('when it extends another policy, or there are two', () => {
    expect(problemsOf(() => loadPolicySet(sourcesOf('apiVersion: maestro/v1\nextends: other\n')))[0]).toMatch(
      /maestro\.policies\.yaml:2:10: it extends "other", and the policies are policies\/phase_slos\.yaml/,
    );
    const [base, overlay] = sourcesOf(HEAD);
    expect(problemsOf(() => loadPolicySet([base, overlay, overlay].flatMap((each) => each ?? [])))[0]).toMatch(
      /second overlay/,
    );
  });
});

describe('what the base marks as loosenable', () => {
  test('may be lowered and removed', () => {
    const body = inPhase(
      'requirements',
      `success_criteria: { clarity_score: { threshold: 0.5 } }
    metrics: [{ metric: user_stories_count, target: '>= 1' }]
    remove: { metrics: [phase_duration_days] }`,
    );
    const policy = load(body).policies.get('requirements');
    expect(policy?.policy.success_criteria['clarity_score']?.threshold).toBe(0.5);
    expect(policy?.targets.map((target) => target.condition.text)).toEqual([
      'requirements_count >= 10',
      'user_stories_count >= 1',
    ]);
    const removed = load(inPhase('requirements', 'remove: { success_criteria: [clarity_score] }'));
    expect(Object.keys(removed.policies.get('requirements')?.policy.success_criteria ?? {})).not.toContain(
      'clarity_score',
    );
  });

  test('may be a gate; problems after one that was removed still name the right place', () => {
    const base = shippedText().replace(
      "condition: 'stub_rate <= 0.05', severity: BLOCKING",
      "condition: 'stub_rate <= 0.05', severity: BLOCKING, loosenable: true",
    );
    const body = inPhase(
      'implementation',
      `remove: { exit_gates: [no_stubs] }
    exit_gates: [{ gate: more, condition: 'nothing >= 1' }]`,
    );
    expect(refused(body, base)).toEqual([
      `maestro.policies.yaml:${placeOf(HEAD + body, 'nothing >= 1')}: "nothing" is not a declared metric`,
    ]);
    const gates = load(inPhase('implementation', 'remove: { exit_gates: [no_stubs] }'), base).policies.get(
      'implementation',
    )?.gates;
    expect(gates?.map((gate) => gate.gate)).toEqual([
      'build_success',
      'quality_threshold',
      'security_clean',
      'code_reviewed',
    ]);
  });

  test('is never what may not be bypassed', () => {
    const base = shippedText().replace(
      "condition: 'security_vulnerabilities == 0', severity: BLOCKING",
      "condition: 'security_vulnerabilities == 0', severity: BLOCKING, loosenable: true",
    );
    expect(problemsOf(() => loadPolicySet([{ file: BASE, text: base }]))[0]).toMatch(
      /"security_clean" is never bypassable, so no overlay may loosen it/,
    );
  });

  test('is nothing that blocks in the shipped policies', () => {
    const marked = [...shippedPolicies.policies.values()].flatMap(({ policy }) => [
      ...policy.exit_gates.filter((gate) => gate.loosenable === true),
      ...Object.values(policy.success_criteria).filter(
        (each) => each.loosenable === true && each.severity === 'BLOCKING',
      ),
    ]);
    expect(marked).toEqual([]);
  });
});

test('overlays are described by a JSON Schema', () => {
  expect(overlayJsonSchema()).toMatchObject({ type: 'object', additionalProperties: false });
});
