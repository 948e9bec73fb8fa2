import { z } from 'zod';
import { Name } from './names.ts';

export const ToolName = z.enum([
  'list_files',
  'read_file',
  'search',
  'write_file',
  'edit_file',
  'delete_file',
  'shell',
  'run_gates',
  'ask_human',
]);
export type ToolName = z.infer<typeof ToolName>;

/** A persona file in `personas/`. */
export const Persona = z.strictObject({
  apiVersion: z.literal('maestro/v1'),
  name: Name,
  /** Other names it answers to. */
  aliases: z.array(Name).default([]),
  role: z.string().min(1),
  /** `author` writes into the workspace; `reviewer` only reads and judges. */
  kind: z.enum(['author', 'reviewer']).default('author'),
  /** Names of deliverables or run inputs it cannot work without. */
  needs: z.array(Name).default([]),
  /** What it hands on: deliverable name -> path globs in the workspace. */
  deliverables: z
    .record(Name, z.strictObject({ paths: z.array(z.string()).min(1), description: z.string().optional() }))
    .default({}),
  tools: z.array(ToolName),
  model: z.string().optional(),
  maxTurns: z.number().int().min(1).max(500).default(60),
  maxTokensPerTurn: z.number().int().min(256).max(64_000).default(16_000),
  /** The stable part of the system prompt. */
  prompt: z.string().min(40),
});
export type Persona = z.infer<typeof Persona>;
