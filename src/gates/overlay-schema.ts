import { z } from 'zod';
import { Name } from '../shared/names.ts';
import { Direction, Severity } from '../shared/verdict.ts';
import { MeasureFile } from './collectors/code/declared/measure-file.ts';
import { ArtifactSpec, PolicyFile, RELATIVE } from './policy-schema.ts';

/** Changes to a criterion of the base; or, for a metric without one, a new criterion. */
const OverlayCriterion = z.strictObject({
  threshold: z.number().optional(),
  direction: Direction.optional(),
  severity: Severity.optional(),
  description: z.string().optional(),
  ...RELATIVE,
});

const OverlayGate = z.strictObject({
  gate: Name,
  condition: z.string().min(1).optional(),
  severity: Severity.optional(),
});

const OverlayTarget = z.strictObject({
  metric: Name,
  target: z.string().min(1),
  description: z.string().optional(),
});

const OverlayPhase = z.strictObject({
  success_criteria: z.record(Name, OverlayCriterion).default({}),
  exit_gates: z.array(OverlayGate).default([]),
  /** Required beside those of the base. */
  required_artifacts: z.array(Name).default([]),
  metrics: z.array(OverlayTarget).default([]),
  /** What the base lets a repository leave out. */
  remove: z
    .strictObject({
      success_criteria: z.array(Name).default([]),
      exit_gates: z.array(Name).default([]),
      required_artifacts: z.array(Name).default([]),
      metrics: z.array(Name).default([]),
    })
    .prefault({}),
});
export type OverlayPhase = z.infer<typeof OverlayPhase>;

/** `maestro.policies.yaml`: what a repository adds to a policy file. It can only tighten what the base does not mark. */
export const OverlayFile = z.strictObject({
  apiVersion: z.literal('maestro/v1'),
  /** The base: the name of the policy file without its ending. */
  extends: z.string().min(1),
  settings: z
    .strictObject({ enforcement_mode: PolicyFile.shape.global_settings.shape.enforcement_mode.optional() })
    .prefault({}),
  /** Metrics of the base: how many things must be examined at least. */
  metrics: z.record(z.string(), z.strictObject({ minimum_examined: z.number().int().nonnegative() })).default({}),
  /** New artifacts; those of the base stay what they are. */
  artifacts: z.record(Name, ArtifactSpec).default({}),
  phases: z.record(Name, OverlayPhase).default({}),
  /** Commands that measure what no collector can on this stack, or in its place. */
  measure: MeasureFile.optional(),
  bypass_rules: z
    .strictObject({
      /** Beside those of the base. */
      non_bypassable_gates: z.array(Name).default([]),
      alert_threshold: z.number().min(0).max(1).optional(),
    })
    .prefault({}),
});
export type OverlayFile = z.infer<typeof OverlayFile>;
