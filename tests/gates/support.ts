import { readFileSync } from 'node:fs';
import { expect } from 'vitest';
import { evaluateSupplied } from '../../src/gates/evaluate-supplied.ts';
import { type PolicySet, loadPolicySet } from '../../src/gates/load-policy.ts';
import { InvalidInputError, formatProblem } from '../../src/shared/errors.ts';
import { packagePath } from '../../src/shared/package-root.ts';
import type { PhaseVerdict } from '../../src/shared/verdict.ts';

export const SHIPPED_FILE = 'policies/phase_slos.yaml';
export const shippedText = (): string => readFileSync(packagePath('policies', 'phase_slos.yaml'), 'utf8');
export const shippedPolicies: PolicySet = loadPolicySet([{ file: SHIPPED_FILE, text: shippedText() }]);

/** Ends a test whose preparation already went wrong. */
export function unexpected(what: string): never {
  throw new Error(what);
}

/** The problems a call reports, as `file:line:column: message`. */
export function problemsOf(call: () => unknown): string[] {
  try {
    call();
  } catch (err) {
    if (err instanceof InvalidInputError) return err.problems.map(formatProblem);
    throw err;
  }
  return unexpected('nothing was refused');
}

/** The shipped policies with one piece of their text replaced. */
export function shippedWith(before: string | RegExp, after: string): string {
  const text = shippedText();
  const changed = text.replace(before, after);
  expect(changed, 'the text to replace is there').not.toBe(text);
  return changed;
}

/** Line and column, from 1, of the first place where a text stands. */
export function placeOf(text: string, piece: string): string {
  const offset = text.indexOf(piece);
  expect(offset, `"${piece}" stands in the file`).toBeGreaterThanOrEqual(0);
  const before = text.slice(0, offset).split('\n');
  return `${before.length}:${(before.at(-1)?.length ?? 0) + 1}`;
}

export const judge = (phase: string, metrics: Record<string, unknown>, artifacts?: string[]): PhaseVerdict =>
  evaluateSupplied({
    policySet: shippedPolicies,
    phase,
    text: JSON.stringify({ metrics, ...(artifacts ? { artifacts } : {}) }),
    file: 'M.json',
  });

/** A value that passes for every metric that a gate or criterion reads. */
export const GOOD: Readonly<Record<string, number>> = {
  documentation_completeness: 0.95,
  stakeholder_approval: 1,
  acceptance_criteria_defined: 1,
  requirements_traceability: 0.97,
  clarity_score: 0.85,
  architecture_documentation: 0.95,
  design_review_approval: 1,
  api_specification_completeness: 0.98,
  database_schema_defined: 1,
  security_design_review: 1,
  scalability_assessment: 0.9,
  build_success_rate: 0.98,
  code_quality_score: 8.5,
  test_coverage: 0.85,
  stub_rate: 0.02,
  security_vulnerabilities: 0,
  code_review_completion: 1,
  documentation_coverage: 0.75,
  test_pass_rate: 0.98,
  acceptance_criteria_met: 1,
  regression_test_coverage: 0.95,
  performance_slo_met: 0.97,
  security_testing_complete: 1,
  critical_bugs: 0,
  high_priority_bugs: 1,
  deployment_success: 1,
  smoke_tests_passed: 1,
  rollback_plan_ready: 1,
  monitoring_configured: 1,
  documentation_updated: 0.95,
  stakeholder_notification: 1,
  uptime_slo: 0.999,
  error_rate: 0.005,
  response_time_p95: 400,
  alert_response_time_minutes: 10,
  incident_resolution_hours: 2,
  monitoring_coverage: 0.97,
  requirements_fulfilled: 0.97,
  quality_score: 90,
  retrospective_completed: 1,
  lessons_documented: 1,
  stakeholder_satisfaction: 0.9,
  api_contract_compliance: 1,
  security_scan_complete: 1,
  database_migration_safe: 1,
  ui_component_coverage: 0.95,
  accessibility_score: 0.92,
  bundle_size_kb: 200,
  architecture_document_complete: 1,
  security_architecture_review: 1,
  scalability_assessment_complete: 1,
  technology_stack_approved: 1,
  health_check_implemented: 1,
  observability_configured: 1,
};

/** The full good record of a policy: everything its gates and criteria read, at a passing value. */
export function goodRecord(policy: string): Record<string, number> {
  const loaded = shippedPolicies.policies.get(policy);
  const names = new Set([
    ...(loaded?.gates.flatMap((gate) => gate.condition.metrics) ?? []),
    ...Object.keys(loaded?.policy.success_criteria ?? {}),
  ]);
  return Object.fromEntries([...names].map((name) => [name, GOOD[name] ?? unexpected(`no good value for ${name}`)]));
}

/** Gates, or criteria, with an outcome. */
export const withOutcome = (verdict: PhaseVerdict, outcome: string): string[] => [
  ...verdict.gates.filter((gate) => gate.outcome === outcome).map((gate) => gate.gate),
  ...verdict.criteria.filter((each) => each.outcome === outcome).map((each) => each.criterion),
];
