import { findPolicy, requiredMetrics } from '../../src/gates/load-policy.ts';
import { GOOD, shippedPolicies, unexpected } from '../gates/support.ts';
import type { Metrics } from '../support/supplied-fleet.ts';

/** A value that meets the target of every metric that is only a target. */
const TARGETS: Metrics = {
  requirements_count: 12,
  user_stories_count: 6,
  phase_duration_days: 1,
  api_endpoints_count: 6,
  design_iterations: 1,
  lines_of_code: 900,
  test_count: 40,
  defect_density: 0,
  total_test_cases: 60,
  bugs_found: 3,
  bugs_fixed: 1,
  deployment_time_minutes: 4,
  downtime_minutes: 0,
  post_deployment_incidents: 0,
  incidents_count: 0,
  mean_time_to_recovery_minutes: 12,
  customer_satisfaction: 4.5,
  requirements_met_count: 1,
  technical_debt_items: 1,
  improvement_actions: 4,
  api_endpoints_implemented: 6,
  response_time_ms: 40,
  components_count: 12,
  page_load_time_ms: 300,
  adr_count: 4,
  review_iterations: 1,
  service_dependencies: 2,
  component_complexity: 6,
};

/** Everything that the policy of a phase reads, at a value that passes. */
export function fullRecord(phase: string): Metrics {
  const { policy } = findPolicy(shippedPolicies, phase);
  return Object.fromEntries(
    requiredMetrics(shippedPolicies, policy).map((name) => [
      name,
      GOOD[name] ?? TARGETS[name] ?? unexpected(`no good value for ${name}`),
    ]),
  );
}

/** The fixtures that the authors of the cases supplied, whatever the phase needed. */
export const AUTHORS = {
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
