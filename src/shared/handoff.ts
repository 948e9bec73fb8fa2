import { z } from 'zod';

const OutputScalar = z.union([z.string(), z.number(), z.boolean()]);
/** A value, an object of values, or a list of either. */
const OutputValue = z.union([
  OutputScalar,
  z.record(z.string(), OutputScalar),
  z.array(z.union([OutputScalar, z.record(z.string(), OutputScalar)])).max(1_000),
]);

/** An interface that others build against, and the file that says what it is. */
export const HandedContract = z.strictObject({
  /** What it is called: for an interface that a later persona needs, the name of that deliverable. */
  name: z.string().min(1).max(200),
  kind: z.enum(['api', 'schema', 'events', 'module', 'component', 'command', 'other']).default('other'),
  /** Workspace path of the file that defines it. */
  file: z.string().min(1).max(1_000),
  /** Where in the file it begins. */
  line: z.number().int().positive().optional(),
  note: z.string().max(10_000).default(''),
});
export type HandedContract = z.infer<typeof HandedContract>;

/**
 * What a persona says of its work when it is done. A claim: what it names is looked for in the files, and no gate reads
 * a value from it.
 */
export const Handoff = z.strictObject({
  summary: z.string().min(1).max(200_000),
  decisions: z.array(z.string()).default([]),
  /** Interfaces that later personas build against; each must be in the file it names. */
  contracts: z.array(HandedContract).max(500).default([]),
  /** Workspace paths the next persona should look at. */
  files: z.array(z.string()).default([]),
  open_questions: z.array(z.string()).default([]),
  /** Free statements such as "all tests pass"; compared with what was measured, never believed. */
  claims: z.array(z.string()).default([]),
  /** Values by name, for the conditions and lists of later phases; no gate reads them. */
  outputs: z.record(z.string(), OutputValue).optional(),
});
export type Handoff = z.infer<typeof Handoff>;

/** One item a reviewer checked. A met item quotes the file and line it rests on. */
export const ReviewItem = z.strictObject({
  item: z.string().min(1),
  met: z.boolean(),
  note: z.string().default(''),
  quote: z.strictObject({ file: z.string(), line: z.number().int().positive(), text: z.string().min(1) }).optional(),
});

/** A reviewer's structured verdict on one metric. Its value is computed from the items, not given. */
export const Judgement = z.strictObject({
  metric: z.string(),
  items: z.array(ReviewItem).min(1),
  summary: z.string(),
});
export type Judgement = z.infer<typeof Judgement>;

/** What the `hand_over_review` tool takes. */
export const Review = z.strictObject({ judgements: z.array(Judgement).min(1) });
export type Review = z.infer<typeof Review>;

/** A decision by a person in a role. */
export const Approval = z.strictObject({
  phase: z.string(),
  role: z.string(),
  /** The rework round that was looked at: a decision holds for the work it was made on. */
  round: z.number().int().nonnegative(),
  by: z.string().min(1),
  decision: z.enum(['approved', 'rejected']),
  note: z.string().default(''),
  at: z.string(),
  /** True for the scripted stakeholder of the demo. */
  simulated: z.boolean(),
});
export type Approval = z.infer<typeof Approval>;
