import { z } from 'zod';
import { Name } from '../shared/names.ts';
import { Direction, Severity } from '../shared/verdict.ts';

/** An entry of the metric catalogue. */
export const MetricSpec = z.strictObject({
  description: z.string(),
  /** `flag` is 0 or 1; `ratio` 0 to 1; `score10` 0 to 10; `score100` 0 to 100; `count` a whole number; `amount` any number from 0. */
  type: z.enum(['flag', 'ratio', 'score10', 'score100', 'count', 'amount']),
  unit: z.string(),
  direction: Direction,
  /** Id of the collector that measures it. */
  collector: z.string(),
  /** What is counted as examined, and how many at least; fewer is not evaluable. */
  examined: z.string(),
  minimum_examined: z.number().int().nonnegative(),
  /** Metrics that are read from exported records or advisories: how old these may be. */
  maximum_age_days: z.number().positive().optional(),
  /** Licences that packages may have, as SPDX ids. */
  allowed: z.array(z.string()).min(1).optional(),
  /** Review metrics: the persona that judges, and what it is asked. */
  reviewer: Name.optional(),
  question: z.string().optional(),
  /** Approval metrics: the role whose recorded decision counts. */
  role: Name.optional(),
});
export type MetricSpec = z.infer<typeof MetricSpec>;

/** An entry of the artifact catalogue: where it is looked for and what it must hold. */
export const ArtifactSpec = z.strictObject({
  description: z.string(),
  /** Globs relative to the measured folder. Empty for artifacts the fleet itself makes (`source`). */
  paths: z.array(z.string()),
  /** Headings that a Markdown artifact must have, each with text under it. */
  sections: z.array(z.string()).default([]),
  min_bytes: z.number().int().nonnegative().default(1),
  /** The language of a fenced block that a Markdown artifact must have, e.g. `mermaid`. */
  fenced: z.string().optional(),
  /** `files` (default): in the measured folder. `approvals`, `reviews`, `evidence`: recorded by the fleet itself. */
  source: z.enum(['files', 'approvals', 'reviews', 'evidence']).default('files'),
  /** With `source: evidence`: reports of the collectors, as globs over `collector/file`. */
  reports: z.array(z.string()).default([]),
});
export type ArtifactSpec = z.infer<typeof ArtifactSpec>;

/** `loosenable`: overlays of a repository may loosen or remove it. They may always tighten. */
const loosenable = z.boolean().optional();

/** How a value is compared with that of the baseline. */
export const RELATIVE = {
  relative_to: z
    .literal('last_passed', 'the baseline is `last_passed`: the last passed run of workflow and phase')
    .optional(),
  /** How much worse than the baseline it may be, in the unit of the metric. */
  max_regression: z.number().nonnegative().optional(),
  /** Never worse than the baseline. */
  ratchet: z.boolean().optional(),
  /** Without a baseline: `block` (default), `warn`, or `pass_declared`. */
  on_missing: z.enum(['block', 'warn', 'pass_declared']).optional(),
};

/** A criterion has a threshold, or is relative to a baseline, or both: then the stricter of the two counts. */
export const Criterion = z
  .strictObject({
    threshold: z.number().optional(),
    direction: Direction,
    severity: Severity,
    description: z.string().optional(),
    ...RELATIVE,
    loosenable,
  })
  .refine((criterion) => criterion.threshold !== undefined || criterion.relative_to !== undefined, {
    message: 'a criterion has a `threshold`, or `relative_to`',
  })
  .refine(
    (criterion) =>
      criterion.relative_to === undefined
        ? criterion.max_regression === undefined &&
          criterion.ratchet === undefined &&
          criterion.on_missing === undefined
        : (criterion.max_regression === undefined) !== (criterion.ratchet !== true),
    { message: 'a criterion with `relative_to` has either `max_regression` or `ratchet: true`, and no other has them' },
  );
export type Criterion = z.infer<typeof Criterion>;
export const ExitGate = z.strictObject({ gate: Name, condition: z.string().min(1), severity: Severity, loosenable });
export const MetricTarget = z.strictObject({
  metric: Name,
  target: z.string().min(1),
  description: z.string().optional(),
  loosenable,
});

/** One phase policy. */
export const PhasePolicy = z.strictObject({
  phase_name: z.string(),
  phase_id: Name,
  description: z.string(),
  success_criteria: z.record(Name, Criterion),
  required_artifacts: z.array(Name),
  optional_artifacts: z.array(Name),
  exit_gates: z.array(ExitGate).min(1),
  metrics: z.array(MetricTarget),
});
export type PhasePolicy = z.infer<typeof PhasePolicy>;

const EnforcementMode = z.enum(['blocking', 'mixed', 'advisory']);

const BypassRule = z.strictObject({
  /** An exit gate or a success criterion. */
  gate: Name,
  phases: z.array(Name).min(1),
  requires_adr: z.literal(true, 'a bypass always needs an ADR'),
  approval_level: Name,
});

/** The whole policy file. */
export const PolicyFile = z.strictObject({
  version: z.string(),
  schema_version: z.literal('1.0'),
  global_settings: z.strictObject({
    enforcement_mode: EnforcementMode,
    gate_evaluation_timeout: z.number().positive().max(3600),
    retry_on_failure: z.boolean(),
    max_retries: z.number().int().min(0).max(5),
  }),
  metrics: z.record(z.string().regex(/^[a-z][a-z0-9_]{0,62}$/, 'a metric is named like test_coverage'), MetricSpec),
  artifacts: z.record(Name, ArtifactSpec),
  phases: z.record(Name, PhasePolicy),
  cross_phase_policies: z.record(
    Name,
    z.strictObject({ description: z.string(), enforcement: z.enum(['advisory', 'blocking']) }),
  ),
  bypass_rules: z.strictObject({
    bypassable_gates: z.array(BypassRule),
    /** Gates, criteria or metrics. A gate that reads such a metric counts too. */
    non_bypassable_gates: z.array(Name),
    audit_trail: z.strictObject({ log: z.string(), alert_threshold: z.number().min(0).max(1) }),
  }),
  reporting: z.strictObject({
    phase_completion_report: z.strictObject({ enabled: z.boolean() }),
    gate_evaluation_report: z.strictObject({
      enabled: z.boolean(),
      format: z.literal('json'),
      include_recommendations: z.boolean(),
    }),
    trend_analysis: z.strictObject({ enabled: z.boolean(), period_days: z.number().int().positive() }),
  }),
  /** Kept as data. Its condition passes nothing: a phase without a policy is judged by `custom_component`. */
  fallback_validation: z.strictObject({
    gate: Name,
    condition: z.string(),
    severity: Severity,
    audit_log: z.string(),
  }),
});
export type PolicyFile = z.infer<typeof PolicyFile>;
