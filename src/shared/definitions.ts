import { z } from 'zod';
import { Persona } from './persona-schema.ts';
import { Workflow } from './workflow-schema.ts';

/** A policy file as it was read: the gates module parses it, so that positions in errors stay true. */
export const PolicySource = z.strictObject({
  file: z.string(),
  text: z.string(),
  /** A repository's own additions to a policy file; without it, a policy file or the persona contracts. */
  kind: z.literal('overlay').optional(),
});
export type PolicySource = z.infer<typeof PolicySource>;

/** Everything a run was started with, kept as one blob: a run never changes when files on disk do. */
export const Definitions = z.strictObject({
  schemaVersion: z.literal(1),
  workflow: Workflow,
  personas: z.record(z.string(), Persona),
  policies: z.array(PolicySource).min(1),
  /** Model alias -> model id. */
  models: z.record(z.string(), z.string()),
});
export type Definitions = z.infer<typeof Definitions>;
