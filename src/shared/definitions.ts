import { z } from 'zod';
import { StoredPersona } from './persona-schema.ts';
import { BlobRef } from './run-record.ts';
import { Workflow } from './workflow-schema.ts';

/** A policy file as it was read: the gates module parses it, so that positions in errors stay true. */
export const PolicySource = z.strictObject({
  file: z.string(),
  text: z.string(),
  /** A repository's own additions to a policy file; without it, a policy file or the persona contracts. */
  kind: z.literal('overlay').optional(),
});
export type PolicySource = z.infer<typeof PolicySource>;

/** A file that whoever runs the fleet hands in: never one that an author can reach. */
export const GivenFile = z.strictObject({ name: z.string().min(1).max(300), text: z.string() });
export type GivenFile = z.infer<typeof GivenFile>;

/** What the operator knows and the project does not: records of operation, advisories about packages. */
export const GivenFiles = z.strictObject({ records: GivenFile.optional(), advisories: GivenFile.optional() });
export type GivenFiles = z.infer<typeof GivenFiles>;

const KeptFile = z.strictObject({ name: z.string(), blob: BlobRef });

/** Everything a run was started with, kept as one blob: a run never changes when files on disk do. */
export const Definitions = z.strictObject({
  schemaVersion: z.literal(1),
  workflow: Workflow,
  /** Its sub-workflows, by the name that their phase has in a run. */
  subWorkflows: z.record(z.string(), Workflow).optional(),
  personas: z.record(z.string(), StoredPersona),
  policies: z.array(PolicySource).min(1),
  /** Model alias -> model id. */
  models: z.record(z.string(), z.string()),
  /** What was handed in with the run, by digest. */
  given: z.strictObject({ records: KeptFile.optional(), advisories: KeptFile.optional() }).optional(),
});
export type Definitions = z.infer<typeof Definitions>;
