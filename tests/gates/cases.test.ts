import { describe, expect, test } from 'vitest';
import { findPolicy } from '../../src/gates/load-policy.ts';
import type { PhaseVerdict } from '../../src/shared/verdict.ts';
import { goodRecord, judge, shippedPolicies, withOutcome } from './support.ts';

/** The metrics that the authors of the cases supplied, whatever the phase needed. */
const AUTHORS = {
  pass: {
    build_success_rate: 0.98,
    code_quality_score: 8.5,
    test_coverage: 0.85,
    security_vulnerabilities: 0,
    code_review_completion: 1,
    documentation_coverage: 0.75,
  },
  quality_fail: { code_quality_score: 6, test_coverage: 0.6, documentation_coverage: 0.5 },
  security_fail: { security_vulnerabilities: 5 },
  warning_only: { documentation_coverage: 0.55 },
} as const;

/** Judges a phase with its full good record, changed by an overlay as far as the phase reads it. */
function run(phase: string, overlay: Record<string, number> = {}): PhaseVerdict {
  const record = goodRecord(findPolicy(shippedPolicies, phase).policy);
  return judge(phase, { ...record, ...Object.fromEntries(Object.entries(overlay).filter(([name]) => name in record)) });
}
const gatesPassed = (verdicts: readonly PhaseVerdict[]): number =>
  verdicts.flatMap((verdict) => verdict.gates).filter((gate) => gate.outcome === 'passed').length;
const failedGates = (verdict: PhaseVerdict): string[] =>
  verdict.gates.filter((gate) => gate.outcome === 'failed').map((gate) => gate.gate);

describe('one phase', () => {
  test('simple-01: 5 of 5 gates pass; with the record of its authors it blocks, stub_rate is missing', () => {
    const verdict = run('implementation');
    expect(verdict).toMatchObject({ verdict: 'passed', errors: [] });
    expect(gatesPassed([verdict])).toBe(5);
    expect(withOutcome(verdict, 'failed')).toEqual([]);
    const authors = judge('implementation', AUTHORS.pass);
    expect(authors.verdict).toBe('blocked');
    expect(authors.errors).toEqual([
      { gate: 'no_stubs', metric: 'stub_rate', reason: 'not supplied' },
      { criterion: 'stub_rate', metric: 'stub_rate', reason: 'not supplied' },
    ]);
  });

  test('simple-02: quality_threshold alone fails', () => {
    const verdict = run('implementation', AUTHORS.quality_fail);
    expect(verdict.verdict).toBe('blocked');
    expect(failedGates(verdict)).toEqual(['quality_threshold']);
    expect(verdict.errors).toEqual([]);
  });

  test('simple-03: security_clean alone fails, and no bypass rule allows it', () => {
    const verdict = run('implementation', AUTHORS.security_fail);
    expect(verdict.verdict).toBe('blocked');
    expect(failedGates(verdict)).toEqual(['security_clean']);
    const rules = shippedPolicies.file.bypass_rules;
    expect(rules.bypassable_gates.map((rule) => rule.gate)).not.toContain('security_clean');
    expect(rules.non_bypassable_gates).toContain('security_vulnerabilities');
  });

  test('simple-04: exactly one warning, documentation_coverage 0.55 below 0.70', () => {
    const verdict = run('implementation', AUTHORS.warning_only);
    expect(verdict.verdict).toBe('passed_with_warnings');
    expect(withOutcome(verdict, 'failed')).toEqual(['documentation_coverage']);
    expect(verdict.criteria.find((each) => each.outcome === 'failed')?.message).toBe(
      'documentation_coverage 0.55, required >= 0.7',
    );
  });

  test('edge-01: a phase that no policy names is judged by custom_component, and says so', () => {
    expect(run('slow_phase')).toMatchObject({ policy: 'custom_component', fallback: true, verdict: 'passed' });
  });

  test('edge-03: a phase without a policy is not gated, which is not passed', () => {
    expect(findPolicy(shippedPolicies, 'custom', 'none').policy).toBe('none');
  });

  test('medium-07: each attempt has its own result', () => {
    const attempts = [1, 2, 3].map(() => run('implementation', AUTHORS.quality_fail));
    expect(attempts.map((attempt) => attempt.verdict)).toEqual(['blocked', 'blocked', 'blocked']);
  });
});

describe('several phases', () => {
  test.each([
    ['simple-05', ['requirements', 'implementation'], 8],
    ['medium-01', ['requirements', 'design', 'implementation'], 11],
    ['medium-03', ['requirements', 'backend', 'frontend'], 16],
    ['medium-05', ['requirements', 'design', 'implementation', 'testing'], 15],
    ['complex-01', ['requirements', 'design', 'implementation', 'testing', 'deployment', 'monitoring'], 21],
    ['complex-02', ['requirements', 'design', 'architecture', 'implementation'], 15],
    ['complex-03', ['requirements', 'backend', 'frontend', 'integration'], 21],
    ['complex-05', ['requirements', 'service_1', 'service_2', 'service_3', 'service_4', 'service_5'], 33],
  ])('%s: %o pass %i gates', (_, phases, gates) => {
    const verdicts = phases.map((phase) => run(phase));
    expect(verdicts.map((verdict) => verdict.verdict)).toEqual(phases.map(() => 'passed'));
    expect(gatesPassed(verdicts)).toBe(gates);
    expect(verdicts.flatMap((verdict) => verdict.errors)).toEqual([]);
  });

  test('medium-02: the design fails its own gate; with the record of its authors three metrics are missing', () => {
    expect(failedGates(run('design', { design_review_approval: 0 }))).toEqual(['architecture_approved']);
    const authors = judge('design', { ...AUTHORS.pass, ...AUTHORS.quality_fail });
    expect(authors.verdict).toBe('blocked');
    expect(authors.errors.filter((error) => error.gate).map((error) => error.metric)).toEqual([
      'design_review_approval',
      'api_specification_completeness',
      'security_design_review',
    ]);
  });

  test('medium-04: the front end fails with both numbers, the back end passes', () => {
    expect(run('backend').verdict).toBe('passed');
    const frontend = run('frontend', AUTHORS.quality_fail);
    expect(frontend.gates.find((gate) => gate.outcome === 'failed')).toMatchObject({
      gate: 'quality_threshold',
      message: 'code_quality_score 6, required >= 8.0; test_coverage 0.6, required >= 0.75',
    });
  });

  test('medium-06: the warnings of two phases are both there', () => {
    const verdicts = [
      run('requirements', { clarity_score: 0.75 }),
      run('implementation'),
      run('testing', { high_priority_bugs: 3 }),
    ];
    expect(verdicts.map((verdict) => verdict.verdict)).toEqual([
      'passed_with_warnings',
      'passed',
      'passed_with_warnings',
    ]);
    expect(verdicts.flatMap((verdict) => withOutcome(verdict, 'failed'))).toEqual([
      'clarity_score',
      'high_priority_bugs',
    ]);
  });

  test('complex-03: integration is judged by the five gates of custom_component, and says that it is a fallback', () => {
    const verdict = run('integration');
    expect(verdict).toMatchObject({ policy: 'custom_component', fallback: true });
    expect(verdict.gates).toHaveLength(5);
  });

  test('complex-04: both failures are reported, each by its own gate', () => {
    expect(failedGates(run('backend', AUTHORS.quality_fail))).toEqual(['quality_threshold']);
    expect(failedGates(run('frontend', AUTHORS.security_fail))).toEqual(['security_clean']);
  });

  test('complex-05: services are judged by service_template, six gates each', () => {
    expect(run('service_4')).toMatchObject({ policy: 'service_template', fallback: false });
    expect(run('service_4').gates).toHaveLength(6);
  });
});

describe('smoke', () => {
  const implementation = {
    build_success_rate: 0.98,
    code_quality_score: 8.5,
    test_coverage: 0.85,
    stub_rate: 0.02,
    security_vulnerabilities: 0,
    code_review_completion: 1,
    documentation_coverage: 0.75,
  };

  test('1: the full records of requirements, design and implementation pass', () => {
    const requirements = judge('requirements', {
      documentation_completeness: 0.95,
      stakeholder_approval: 1,
      acceptance_criteria_defined: 1,
      requirements_traceability: 0.97,
      clarity_score: 0.85,
    });
    const design = judge('design', {
      architecture_documentation: 0.95,
      design_review_approval: 1,
      api_specification_completeness: 0.98,
      database_schema_defined: 1,
      security_design_review: 1,
      scalability_assessment: 0.9,
    });
    const verdicts = [requirements, design, judge('implementation', implementation)];
    expect(verdicts.map((verdict) => verdict.verdict)).toEqual(['passed', 'passed', 'passed']);
  });

  test('2: quality 6.5 blocks', () => {
    const verdict = judge('implementation', {
      ...implementation,
      code_quality_score: 6.5,
      documentation_coverage: 0.6,
    });
    expect(verdict.verdict).toBe('blocked');
    expect(withOutcome(verdict, 'failed')).toEqual([
      'quality_threshold',
      'code_quality_score',
      'documentation_coverage',
    ]);
  });

  test('3: quality 8.2 with documentation 0.55 passes with exactly that warning', () => {
    const verdict = judge('implementation', {
      ...implementation,
      code_quality_score: 8.2,
      documentation_coverage: 0.55,
    });
    expect(verdict.verdict).toBe('passed_with_warnings');
    expect(withOutcome(verdict, 'failed')).toEqual(['documentation_coverage']);
  });
});
