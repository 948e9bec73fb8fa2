import { z } from 'zod';
import { Name } from '../shared/names.ts';
import { Direction, Severity } from '../shared/verdict.ts';

const ContractGate = z.strictObject({ threshold: z.number(), direction: Direction, severity: Severity });

/** What one persona's work must reach, beside the policy of its phase. */
const PersonaContract = z.strictObject({
  quality_gates: z.record(Name, ContractGate),
  required_artifacts: z.array(Name),
});

/** The contracts of personas, as data. */
export const PersonaContracts = z.strictObject({
  version: z.string(),
  default_quality_gates: z.record(Name, ContractGate),
  personas: z.record(Name, PersonaContract),
  build_policies: z.record(Name, ContractGate),
  security_policies: z.strictObject({
    max_vulnerabilities: z.number().int().nonnegative(),
    blocking_severities: z.array(z.enum(['critical', 'high', 'medium', 'low'])),
    warning_severities: z.array(z.enum(['critical', 'high', 'medium', 'low'])),
    scans: z.array(z.enum(['dependency', 'static', 'secret'])),
  }),
  traceability_policies: z.record(Name, z.strictObject({ threshold: z.number().optional(), severity: Severity })),
  deployment_policies: z.strictObject({
    required_artifacts: z.array(Name),
    checks: z.array(Name),
    rollback_plan: Severity,
  }),
  quality_slo: z.strictObject({
    overall_quality_score: z.strictObject({ minimum: z.number(), target: z.number(), severity: Severity }),
    gates_passed_ratio: ContractGate,
  }),
  override_policies: z.strictObject({
    adr_required: z.literal(true),
    approval_required: z.literal(true),
    audit_trail: z.literal(true),
    max_bypass_rate: z.number().min(0).max(1),
    allowed: z.array(z.strictObject({ gate: Name, approval: z.array(Name).min(1), only_for: z.string().optional() })),
    prohibited: z.array(Name),
  }),
  monitoring_alerts: z.array(
    z.strictObject({
      metric: Name,
      condition: z.string(),
      severity: z.enum(['critical', 'warning']),
      action: z.string().optional(),
    }),
  ),
});
export type PersonaContracts = z.infer<typeof PersonaContracts>;
