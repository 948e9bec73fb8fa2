import { describe, expect, test } from 'vitest';
import { type EvaluateInput, evaluatePhase } from '../../src/gates/evaluate.ts';
import { evaluateSupplied, exitCodeOf } from '../../src/gates/evaluate-supplied.ts';
import { loadPolicySet, requiredMetrics } from '../../src/gates/load-policy.ts';
import { type ArtifactResult, type Measurement, PhaseVerdict } from '../../src/shared/verdict.ts';
import { GOOD, goodRecord, judge, problemsOf, shippedPolicies, shippedWith, withOutcome } from './support.ts';

const everyGate = [...shippedPolicies.policies.values()].flatMap((policy) =>
  policy.gates.map((gate) => ({ phase: policy.name, gate: gate.gate, condition: gate.condition })),
);

describe.each(everyGate)('gate $phase/$gate', ({ phase, gate, condition }) => {
  const outcomeWith = (metrics: Record<string, unknown>) => {
    const verdict = judge(phase, metrics);
    return { verdict, result: verdict.gates.find((each) => each.gate === gate) };
  };

  test('passes on the full good record', () => {
    const { verdict, result } = outcomeWith(goodRecord(phase));
    expect(result?.outcome).toBe('passed');
    expect(verdict).toMatchObject({ verdict: 'passed', errors: [] });
    expect(Object.values(result?.values ?? {}).every((value) => value.source === 'supplied')).toBe(true);
  });

  test('fails when any of its metrics misses, and says which, what and how much', () => {
    for (const { metric, operator, literal, literalText } of condition.conjunction ?? []) {
      const type = shippedPolicies.metrics[metric]?.type;
      const step = type === 'flag' || type === 'count' ? 1 : 0.004;
      const bad = literal + (operator === '<=' || literal === 0 ? step : -step);
      const { verdict, result } = outcomeWith({ ...goodRecord(phase), [metric]: bad });
      expect(result?.outcome).toBe('failed');
      expect(result?.message).toBe(`${metric} ${Number(bad.toFixed(4))}, required ${operator} ${literalText}`);
      expect(verdict.verdict).toBe('blocked');
      expect(verdict.errors).toEqual([]);
    }
    expect(condition.conjunction?.length).toBeGreaterThan(0);
  });

  test.each([
    ['absent', undefined],
    ['null', null],
    ['text', '1'],
    ['true', true],
    ['a list', [1]],
    ['out of range', -1],
  ])('is in error and blocks when any of its metrics is %s', (_, bad) => {
    for (const metric of condition.metrics) {
      const { verdict, result } = outcomeWith({ ...goodRecord(phase), [metric]: bad });
      expect(result?.outcome).toBe('error');
      expect(result?.message).toContain(metric);
      expect(verdict.verdict).toBe('blocked');
      expect(verdict.errors).toEqual(expect.arrayContaining([expect.objectContaining({ gate, metric })]));
    }
  });
});

const measured = (metric: string, value: number, more: Partial<Extract<Measurement, { status: 'measured' }>> = {}) => ({
  status: 'measured' as const,
  metric,
  collector: 'test',
  collectorVersion: '1',
  evidence: [],
  value,
  examined: 10,
  source: 'collector' as const,
  simulated: false,
  ...more,
});
const GOOD_TARGETS: Readonly<Record<string, number>> = {
  api_endpoints_implemented: 6,
  response_time_ms: 50,
};
/** A real run of the backend phase in which everything is in order. */
function backendRun(change: Partial<EvaluateInput> = {}): EvaluateInput {
  const artifacts = shippedPolicies.policies.get('backend')?.policy.required_artifacts ?? [];
  return {
    policySet: shippedPolicies,
    policy: 'backend',
    phase: 'backend',
    fallback: false,
    measurements: requiredMetrics(shippedPolicies, 'backend').map((metric) =>
      measured(metric, GOOD[metric] ?? GOOD_TARGETS[metric] ?? Number.NaN),
    ),
    artifacts: artifacts.map((artifact): ArtifactResult => ({
      artifact,
      required: true,
      outcome: 'present',
      files: [],
      message: '',
    })),
    ...change,
  };
}
const replaced = (metric: string, measurement: Measurement | undefined): Measurement[] => [
  ...backendRun().measurements.filter((each) => each.metric !== metric),
  ...(measurement ? [measurement] : []),
];

describe('a real run', () => {
  test('passes when all was measured and held', () => {
    const verdict = evaluatePhase(backendRun());
    expect(verdict).toMatchObject({ verdict: 'passed', errors: [], simulated: false });
    expect(PhaseVerdict.parse(verdict)).toEqual(verdict);
  });

  test('gives the same verdict byte for byte, whatever the order of the measurements', () => {
    const input = backendRun();
    const shuffled = {
      ...input,
      measurements: input.measurements.toReversed(),
      artifacts: input.artifacts.toReversed(),
    };
    expect(JSON.stringify(evaluatePhase(shuffled))).toBe(JSON.stringify(evaluatePhase(input)));
  });

  test('is blocked when a required artifact is missing or was never looked for', () => {
    const [first, ...rest] = backendRun().artifacts;
    const missing: ArtifactResult[] = first ? [{ ...first, outcome: 'missing' }, ...rest] : [];
    expect(evaluatePhase(backendRun({ artifacts: missing })).verdict).toBe('blocked');
    const unseen = evaluatePhase(backendRun({ artifacts: rest }));
    expect(unseen.verdict).toBe('blocked');
    expect(unseen.artifacts[0]).toMatchObject({ outcome: 'missing', message: 'not looked for' });
  });

  test('warns when a metric target is missed or was not measured', () => {
    const missed = evaluatePhase(
      backendRun({ measurements: replaced('response_time_ms', measured('response_time_ms', 201)) }),
    );
    expect(missed.verdict).toBe('passed_with_warnings');
    expect(missed.targets).toContainEqual({
      metric: 'response_time_ms',
      condition: 'response_time_ms <= 200',
      outcome: 'missed',
      value: 201,
      message: 'response_time_ms 201, target <= 200',
    });
    const unmeasured = evaluatePhase(backendRun({ measurements: replaced('response_time_ms', undefined) }));
    expect(unmeasured.verdict).toBe('passed_with_warnings');
    expect(unmeasured.targets.find((target) => target.metric === 'response_time_ms')?.outcome).toBe('not_measured');
  });

  test('is in error when too little was examined: nothing scanned is not nothing found', () => {
    const nothing = measured('security_vulnerabilities', 0, { examined: 0 });
    const verdict = evaluatePhase(backendRun({ measurements: replaced('security_vulnerabilities', nothing) }));
    expect(verdict.verdict).toBe('blocked');
    expect(withOutcome(verdict, 'error')).toEqual(['security_clean', 'security_vulnerabilities']);
    expect(verdict.errors[0]?.reason).toMatch(/only 0 examined .* at least 1 needed/);
  });

  test.each([
    ['test_coverage', 1.2],
    ['test_coverage', -0.1],
    ['security_vulnerabilities', -1],
    ['security_vulnerabilities', 0.5],
    ['security_scan_complete', 0.5],
    ['code_quality_score', 11],
    ['build_success_rate', Number.NaN],
    ['build_success_rate', Number.POSITIVE_INFINITY],
  ])('is in error when %s is %d', (metric, value) => {
    const verdict = evaluatePhase(backendRun({ measurements: replaced(metric, measured(metric, value)) }));
    expect(verdict.verdict).toBe('blocked');
    expect(verdict.errors.map((error) => error.metric)).toContain(metric);
  });

  test('is in error when a collector gave a reason, and passes the reason on', () => {
    const failed: Measurement = {
      status: 'not_evaluable',
      metric: 'test_coverage',
      collector: 'tests',
      collectorVersion: '1',
      evidence: [],
      reason: 'no tests were found',
    };
    const verdict = evaluatePhase(backendRun({ measurements: replaced('test_coverage', failed) }));
    expect(verdict.errors).toEqual([
      { gate: 'quality_threshold', metric: 'test_coverage', reason: 'no tests were found' },
      { criterion: 'test_coverage', metric: 'test_coverage', reason: 'no tests were found' },
    ]);
  });

  test('is in error when a metric was measured twice: nobody picks the better one', () => {
    const measurements = [...backendRun().measurements, measured('test_coverage', 0.2)];
    expect(evaluatePhase(backendRun({ measurements })).errors[0]?.reason).toBe('measured more than once');
  });

  test('never rounds a value onto the threshold in its message', () => {
    const measurements = replaced('test_coverage', measured('test_coverage', 0.79999999));
    const gate = evaluatePhase(backendRun({ measurements })).gates.find((each) => each.gate === 'quality_threshold');
    expect(gate).toMatchObject({ outcome: 'failed', message: 'test_coverage 0.79999999, required >= 0.80' });
  });

  test('carries simulated through, and only from metrics that the policy reads', () => {
    const review = measured('code_review_completion', 1, { source: 'review', simulated: true });
    const verdict = evaluatePhase(backendRun({ measurements: replaced('code_review_completion', review) }));
    expect(verdict.simulated).toBe(true);
    expect(verdict.gates.find((gate) => gate.gate === 'code_reviewed')?.values).toEqual({
      code_review_completion: { value: 1, source: 'review', simulated: true },
    });
    const other = measured('quality_score', 1, { simulated: true });
    expect(evaluatePhase(backendRun({ measurements: [...backendRun().measurements, other] })).simulated).toBe(false);
  });

  test('under the policy none is not gated, which is not passed', () => {
    expect(evaluatePhase(backendRun({ policy: 'none' }))).toMatchObject({ verdict: 'not_gated', gates: [] });
  });
});

describe('the enforcement mode', () => {
  const inMode = (mode: string, metrics: Record<string, unknown>, phase = 'testing') => {
    const text = shippedWith('enforcement_mode: blocking', `enforcement_mode: ${mode}`);
    const policySet = loadPolicySet([{ file: 'p.yaml', text }]);
    return evaluateSupplied({
      policySet,
      phase,
      text: JSON.stringify({ metrics: { ...goodRecord(phase), ...metrics } }),
      file: 'M.json',
    });
  };

  test('advisory lets failures warn, and says so in each of them', () => {
    const verdict = inMode('advisory', { test_pass_rate: 0.5 });
    expect(verdict.verdict).toBe('passed_with_warnings');
    expect(verdict.gates[0]?.message).toMatch(/enforcement mode advisory: warns only/);
  });

  test('advisory never lets through an error, nor what may never be bypassed', () => {
    expect(inMode('advisory', { test_pass_rate: null }).verdict).toBe('blocked');
    expect(inMode('advisory', { critical_bugs: 1 }).verdict).toBe('blocked');
    expect(inMode('advisory', { build_success_rate: 0.1 }, 'backend').verdict).toBe('blocked');
  });

  test('mixed lets only criteria warn', () => {
    expect(inMode('mixed', { regression_test_coverage: 0.1 }).verdict).toBe('passed_with_warnings');
    expect(inMode('mixed', { test_pass_rate: 0.5 }).verdict).toBe('blocked');
  });
});

describe('supplied values', () => {
  const evaluate = (text: string) =>
    evaluateSupplied({ policySet: shippedPolicies, phase: 'implementation', text, file: 'M.json' });

  test('that were not supplied leave targets and artifacts alone', () => {
    const verdict = judge('backend', goodRecord('backend'), ['source_code']);
    expect(verdict.verdict).toBe('passed');
    expect(verdict.targets.map((target) => target.outcome)).toEqual(['not_supplied', 'not_supplied']);
    expect(verdict.artifacts.map((artifact) => artifact.outcome)).toEqual([
      'present',
      'not_supplied',
      'not_supplied',
      'not_supplied',
      'not_supplied',
    ]);
  });

  test('that miss a target warn', () => {
    const verdict = judge('backend', { ...goodRecord('backend'), response_time_ms: 900 });
    expect(verdict.verdict).toBe('passed_with_warnings');
  });

  test('that are bare NaN or infinite, as Python writes them, are errors of their gate', () => {
    for (const bad of ['NaN', 'Infinity', '-Infinity', '1e999', '"NaN"', 'null', '"0.9"', '{}']) {
      const text = JSON.stringify({ metrics: goodRecord('implementation') }).replace(
        '"test_coverage":0.85',
        `"test_coverage":${bad}`,
      );
      const verdict = evaluate(text);
      expect(verdict.verdict).toBe('blocked');
      expect(withOutcome(verdict, 'error')).toEqual(['quality_threshold', 'test_coverage']);
    }
  });

  test('of a WARNING criterion block when they are not evaluable, and warn when they fail', () => {
    const record = goodRecord('implementation');
    expect(judge('implementation', { ...record, documentation_coverage: null }).verdict).toBe('blocked');
    expect(judge('implementation', { ...record, documentation_coverage: 0.1 }).verdict).toBe('passed_with_warnings');
  });

  test('with an unknown name are refused, with the nearest one', () => {
    expect(problemsOf(() => evaluate('{"metrics": {\n "test_coverag": 1}}'))).toEqual([
      'M.json:2:2: "test_coverag" is not a declared metric (did you mean "test_coverage"?)',
    ]);
    expect(problemsOf(() => evaluate('{"metrics": {}, "artifacts": ["source_cod"]}'))[0]).toMatch(/"source_code"/);
    expect(problemsOf(() => evaluate('{"metrics": {"__proto__": 1}}'))).toHaveLength(1);
  });

  test.each([
    '',
    '[]',
    '{"metrics": []}',
    '{"metrics": {}, "more": 1}',
    '{"metrics": {"test_coverage": 1,}}',
    'metrics: {}',
  ])('that are no such document are refused: %s', (text) => {
    expect(problemsOf(() => evaluate(text)).length).toBeGreaterThan(0);
  });

  test('given twice are refused', () => {
    expect(problemsOf(() => evaluate('{"metrics": {"test_coverage": 0.1, "test_coverage": 1}}'))[0]).toMatch(/unique/);
  });

  test('may be indented with tabs', () => {
    expect(evaluate(JSON.stringify({ metrics: goodRecord('implementation') }, null, '\t')).verdict).toBe('passed');
  });

  test('end a command with 0 when passed, also with warnings, and 3 when blocked', () => {
    expect(exitCodeOf({ verdict: 'passed' })).toBe(0);
    expect(exitCodeOf({ verdict: 'passed_with_warnings' })).toBe(0);
    expect(exitCodeOf({ verdict: 'not_gated' })).toBe(0);
    expect(exitCodeOf({ verdict: 'blocked' })).toBe(3);
  });
});
