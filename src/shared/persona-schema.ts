import { RE2JS } from 're2js';
import { z } from 'zod';
import { errorMessage } from './errors.ts';
import { Name } from './names.ts';
import { Duration } from './workflow-schema.ts';

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

/** Tools that change files, or run commands which may. */
const WRITING: readonly ToolName[] = ['write_file', 'edit_file', 'delete_file', 'shell'];

/** A regular expression in RE2's syntax: matched in linear time, whatever a persona wrote into the file. */
export const LinePattern = z
  .string()
  .min(1)
  .max(500)
  .superRefine((text, context) => {
    try {
      RE2JS.compile(text);
    } catch (err) {
      context.addIssue({ code: 'custom', message: `not a regular expression (RE2): ${errorMessage(err)}` });
    }
  });

/** What a deliverable must hold. It is read from the files, never from what their author says. */
export const Contains = z.strictObject({
  /** How many files must match its paths. */
  files: z.number().int().min(1).default(1),
  /** Headings that each of the files must have, with text under them. */
  sections: z.array(z.string().min(1)).default([]),
  /** The language of a fenced block that each of the files must have, e.g. `mermaid`. */
  fenced: z.string().optional(),
  /** How long each of the files must be. */
  minBytes: z.number().int().min(1).default(1),
  /** Lines that must be there, counted over all the files. */
  lines: z
    .array(
      z.strictObject({
        /** In words, for the persona that has to write them. */
        what: z.string().min(1),
        matching: LinePattern,
        min: z.number().int().min(1).default(1),
      }),
    )
    .default([]),
});
export type Contains = z.infer<typeof Contains>;

export const Deliverable = z.strictObject({
  /** Globs in the workspace. */
  paths: z.array(z.string().min(1)).min(1),
  description: z.string().optional(),
  contains: Contains.optional(),
});
export type Deliverable = z.infer<typeof Deliverable>;

/** A persona file in `personas/`. */
export const Persona = z
  .strictObject({
    apiVersion: z.literal('maestro/v1'),
    name: Name,
    /** Other names it answers to. */
    aliases: z.array(Name).default([]),
    role: z.string().min(1),
    /** `author` writes into the workspace; `reviewer` only reads and judges. */
    kind: z.enum(['author', 'reviewer']).default('author'),
    /** Names of deliverables or run inputs it cannot work without: where one is missing, it does not start. */
    needs: z.array(Name).default([]),
    /** Those of its needs that are interfaces it builds against: whoever hands one on names it among its contracts. */
    buildsAgainst: z.array(Name).default([]),
    /** What it hands on: name in the artifact catalogue of the policies -> where it is and what it must hold. */
    deliverables: z.record(Name, Deliverable).default({}),
    tools: z.array(ToolName),
    model: z.string().optional(),
    maxTurns: z.number().int().min(1).max(500).default(60),
    maxTokensPerTurn: z.number().int().min(256).max(64_000).default(16_000),
    /** The most time one attempt may take, where that is less than the phase has. */
    timeout: Duration.optional(),
    /** The stable part of the system prompt. */
    prompt: z.string().min(40),
  })
  .superRefine((persona, context) => {
    const refuse = (path: (string | number)[], message: string): void =>
      context.addIssue({ code: 'custom', path, message });
    persona.buildsAgainst.forEach((name, index) => {
      if (!persona.needs.includes(name)) refuse(['buildsAgainst', index], `"${name}" is not among its needs`);
    });
    persona.needs.forEach((name, index) => {
      if (persona.needs.indexOf(name) !== index) refuse(['needs', index], `"${name}" is named twice`);
    });
    persona.tools.forEach((tool, index) => {
      if (persona.tools.indexOf(tool) !== index) refuse(['tools', index], `"${tool}" is named twice`);
      if (persona.kind === 'reviewer' && WRITING.includes(tool))
        refuse(['tools', index], `a reviewer only reads: "${tool}" is not for it`);
    });
    if (persona.kind === 'reviewer' && Object.keys(persona.deliverables).length > 0)
      refuse(['deliverables'], 'a reviewer hands on no files');
  });
export type Persona = z.infer<typeof Persona>;
