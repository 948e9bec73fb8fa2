import { z } from 'zod';
import { Name } from './names.ts';

/** `20m`, `90s`, `1h30m`: hours, minutes and seconds, in this order. */
export const Duration = z.string().regex(/^(?=\d)(\d+h)?(\d+m)?(\d+s)?$/, 'write a duration as 90s, 20m or 1h30m');

/** Milliseconds of a `Duration`. */
export function durationMs(duration: string): number {
  const [, hours, minutes, seconds] = /^(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?$/.exec(duration) ?? [];
  return ((Number(hours ?? 0) * 60 + Number(minutes ?? 0)) * 60 + Number(seconds ?? 0)) * 1000;
}

/** What a run may be given from outside. */
export const InputSpec = z.strictObject({
  type: z.enum(['string', 'number', 'boolean']),
  description: z.string().optional(),
  minLength: z.number().int().nonnegative().optional(),
  maxLength: z.number().int().positive().optional(),
  minimum: z.number().optional(),
  maximum: z.number().optional(),
  enum: z.array(z.string()).optional(),
  default: z.union([z.string(), z.number(), z.boolean()]).optional(),
  /** Inputs are required unless they have a default or say `optional: true`. */
  optional: z.boolean().optional(),
});
export type InputSpec = z.infer<typeof InputSpec>;

const Attempts = z.number().int().min(1).max(20);
const Rework = z.number().int().min(0).max(20);

export const WorkflowDefaults = z.strictObject({
  model: z.string().optional(),
  attempts: Attempts.optional(),
  rework: Rework.optional(),
  timeout: Duration.optional(),
});

export const Budget = z.strictObject({
  usd: z.number().positive().optional(),
  tokens: z.number().int().positive().optional(),
});
export type Budget = z.infer<typeof Budget>;

export const Phase = z
  .strictObject({
    needs: z.array(Name).optional(),
    persona: Name.optional(),
    personas: z.array(Name).min(1).optional(),
    /** Name of a policy, or `none` for a phase that is not gated (said aloud, never counted as passed). */
    policy: Name.optional(),
    approval: z.strictObject({ role: Name }).optional(),
    model: z.string().optional(),
    attempts: Attempts.optional(),
    rework: Rework.optional(),
    timeout: Duration.optional(),
    description: z.string().optional(),
  })
  .refine((phase) => (phase.persona === undefined) !== (phase.personas === undefined), {
    message: 'a phase has either `persona` or `personas`',
  });
export type Phase = z.infer<typeof Phase>;

/** A workflow file. */
export const Workflow = z.strictObject({
  apiVersion: z.literal('maestro/v1'),
  name: Name,
  description: z.string().optional(),
  inputs: z.record(Name, InputSpec).default({}),
  defaults: WorkflowDefaults.default({}),
  budget: Budget.optional(),
  phases: z.record(Name, Phase),
});
export type Workflow = z.infer<typeof Workflow>;

export const InputValues = z.record(z.string(), z.union([z.string(), z.number(), z.boolean()]));
export type InputValues = z.infer<typeof InputValues>;
