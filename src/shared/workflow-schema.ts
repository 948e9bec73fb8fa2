import { z } from 'zod';
import { Name } from './names.ts';

/** What timers can count. */
const MOST_MS = 480 * 3600 * 1000;

/** `20m`, `90s`, `1h30m`: hours, minutes and seconds, in this order. */
export const Duration = z
  .string()
  .regex(/^(?=\d)(\d+h)?(\d+m)?(\d+s)?$/, 'write a duration as 90s, 20m or 1h30m')
  .refine((text) => durationMs(text) >= 1_000 && durationMs(text) <= MOST_MS, 'a duration is from 1s to 480h');

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
  /** Another model for when the first is overloaded; without one it is waited for. */
  fallback: z.string().optional(),
  attempts: Attempts.optional(),
  rework: Rework.optional(),
  timeout: Duration.optional(),
});

export const Budget = z.strictObject({
  usd: z.number().positive().optional(),
  tokens: z.number().int().positive().optional(),
});
export type Budget = z.infer<typeof Budget>;

/** What a workflow may spend: each of its runs, and all of them together in a day (UTC). */
export const WorkflowBudget = z.strictObject({ ...Budget.shape, perDay: Budget.optional() });

/** Two hyphens part the name of a phase from the key of its instance, or from a phase of its sub-workflow. */
const PhaseName = Name.regex(
  /^(?!.*--)/,
  'a name in a workflow file holds no "--": names with it are made for the instances of a phase',
);

const Scalar = z.union([z.string(), z.number(), z.boolean()]);
/** A CEL expression that gives a list, or the list itself. */
export const ListSource = z.union(
  [z.string(), z.array(z.union([Scalar, z.record(z.string(), Scalar)])).min(1, 'the list is empty')],
  {
    error: 'write a list, or an expression that gives one',
  },
);

export type ListSource = z.infer<typeof ListSource>;

/** Phases of one group run at most `limit` at a time, over all runs. */
export const Concurrency = z.strictObject({
  /** A name, which may hold `${{ expression }}`. */
  group: z.string().min(1).max(200),
  limit: z.number().int().min(1).max(10_000).default(1),
});
export type Concurrency = z.infer<typeof Concurrency>;

/** What a phase that stands for a sub-workflow may say. */
const SUB_WORKFLOW_KEYS: readonly string[] = ['needs', 'if', 'workflow', 'with', 'description'];

export const Phase = z
  .strictObject({
    needs: z.array(PhaseName).optional(),
    /** A CEL expression over `inputs` and the phases before this one; when it is false, the phase is skipped. */
    if: z.string({ error: 'write the expression as a text' }).optional(),
    persona: Name.optional(),
    personas: z.array(Name).min(1).optional(),
    /** Another workflow in the place of a persona: the name of a shipped one, or a path from this file. */
    workflow: z.string().min(1).optional(),
    /** What the sub-workflow is given; texts may hold `${{ inputs.NAME }}`. */
    with: z.record(Name, Scalar).optional(),
    /** One instance of the phase for each entry of a list. */
    foreach: ListSource.optional(),
    /** One instance for each combination of the entries of several lists. */
    matrix: z
      .record(Name, ListSource)
      .refine((lists) => Object.keys(lists).length > 0, { message: 'name at least one list' })
      .optional(),
    /** How many instances run at once. */
    parallel: z.number().int().min(1).max(500).optional(),
    concurrency: Concurrency.optional(),
    /** Name of a policy, or `none` for a phase that is not gated (said aloud, never counted as passed). */
    policy: Name.optional(),
    approval: z.strictObject({ role: Name }).optional(),
    model: z.string().optional(),
    fallback: z.string().optional(),
    attempts: Attempts.optional(),
    rework: Rework.optional(),
    timeout: Duration.optional(),
    description: z.string().optional(),
  })
  .superRefine((phase, context) => {
    const refuse = (message: string, ...path: string[]): void => context.addIssue({ code: 'custom', message, path });
    const workers = ['persona', 'personas', 'workflow'].filter((key) => key in phase);
    if (workers.length !== 1) refuse('a phase has exactly one of `persona`, `personas` and `workflow`');
    const isRepeated = phase.foreach !== undefined || phase.matrix !== undefined;
    if (phase.foreach !== undefined && phase.matrix !== undefined)
      refuse('a phase has `foreach` or `matrix`, not both: a matrix of one list is a foreach', 'matrix');
    if (phase.parallel !== undefined && !isRepeated)
      refuse('`parallel` limits the instances of `foreach` or `matrix`, and the phase has neither', 'parallel');
    if (phase.with !== undefined && phase.workflow === undefined)
      refuse('`with` gives inputs to a sub-workflow, and the phase has no `workflow`', 'with');
    if (phase.workflow === undefined) return;
    for (const key of Object.keys(phase).filter((written) => !SUB_WORKFLOW_KEYS.includes(written))) {
      if (key === 'persona' || key === 'personas') continue;
      const remedy = key === 'foreach' || key === 'matrix' ? ': repeat the phases inside it' : ': say it inside it';
      refuse(`\`${key}\` is not for a phase that is a sub-workflow${remedy}`, key);
    }
  });
export type Phase = z.infer<typeof Phase>;

/** From 0, the most urgent and what a run has that says nothing, to 100. */
export const Priority = z.number().int().min(0).max(100);

/** A workflow file. */
export const Workflow = z.strictObject({
  apiVersion: z.literal('maestro/v1'),
  name: Name,
  description: z.string().optional(),
  inputs: z.record(Name, InputSpec).default({}),
  defaults: WorkflowDefaults.default({}),
  budget: WorkflowBudget.optional(),
  /** Runs with a lower number go before those with a higher one, wherever they wait for a worker. */
  priority: Priority.optional(),
  /** Whole runs of one group: at most `limit` at a time. */
  concurrency: Concurrency.optional(),
  phases: z.record(PhaseName, Phase),
});
export type Workflow = z.infer<typeof Workflow>;

export const InputValues = z.record(z.string(), z.union([z.string(), z.number(), z.boolean()]));
export type InputValues = z.infer<typeof InputValues>;
