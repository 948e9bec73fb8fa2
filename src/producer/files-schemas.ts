import { z } from 'zod';
import { Name, RunId } from '../shared/names.ts';

/** A commit's address, in full. */
export const CommitId = z.string().regex(/^[0-9a-f]{40}([0-9a-f]{24})?$/, 'a commit is named by its whole hash');

export const RunFile = z.strictObject({
  path: z.string(),
  /** Bytes. */
  size: z.number().int().nonnegative(),
  kind: z.enum(['file', 'program', 'link']),
  /** Who last changed it, when that was a persona. */
  persona: z.string().nullable(),
});
export type RunFile = z.infer<typeof RunFile>;

/** What a run, or one of its phases, has handed on, as files. */
export const RunFiles = z.strictObject({
  runId: RunId,
  /** The phase that was asked for; null for the whole run. */
  phase: Name.nullable(),
  /** Null when nothing has been handed on yet. */
  commit: CommitId.nullable(),
  simulated: z.boolean(),
  replayed: z.boolean().optional(),
  /** The phases whose work these files hold, with all that they built on. */
  phases: z.array(z.string()),
  /** The phases whose work does not fit with the rest, and is not in the files. */
  leftOut: z.array(z.string()),
  conflicts: z.array(z.strictObject({ file: z.string(), labels: z.array(z.string()) })),
  files: z.array(RunFile),
  /** True when there are more files than are listed. */
  truncated: z.boolean(),
});
export type RunFiles = z.infer<typeof RunFiles>;

export const ChangedPath = z.strictObject({
  path: z.string(),
  /** Null for a file that is not text. */
  lines: z.strictObject({ added: z.number().int(), deleted: z.number().int() }).nullable(),
});
export type ChangedPath = z.infer<typeof ChangedPath>;

/** One commit: what a persona made in one round, or a person's edits. */
export const RunChange = z.strictObject({
  commit: CommitId,
  parent: CommitId.nullable(),
  at: z.string(),
  author: z.string(),
  phase: z.string().nullable(),
  persona: z.string().nullable(),
  round: z.number().int().nullable(),
  attempt: z.number().int().nullable(),
  editedBy: z.string().nullable(),
  simulated: z.boolean(),
  replayed: z.boolean().optional(),
  subject: z.string(),
  files: z.array(ChangedPath),
});
export type RunChange = z.infer<typeof RunChange>;

/** Everything that was changed in a run, also in rounds that were blocked, newest first. */
export const RunChanges = z.strictObject({
  runId: RunId,
  simulated: z.boolean(),
  replayed: z.boolean().optional(),
  changes: z.array(RunChange),
  truncated: z.boolean(),
});
export type RunChanges = z.infer<typeof RunChanges>;

export const FilesQuery = z.strictObject({
  /** Only this phase's work, also when its gates have blocked it. */
  phase: Name.optional(),
});
export const FileQuery = z.strictObject({
  phase: Name.optional(),
  /** The file as it was in this commit of the run. */
  commit: CommitId.optional(),
});
export const DiffQuery = z.strictObject({
  path: z
    .string()
    .min(1)
    .max(4_096)
    .refine((path) => !path.includes('\0'), 'a path has no NUL in it')
    .optional(),
});
