import { RE2JS } from 're2js';
import { z } from 'zod';
import { errorMessage } from './errors.ts';
import { Name } from './names.ts';
import { HostPort } from './network/allow-list.ts';
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

const McpToolNames = z
  .array(z.string().regex(/^[a-zA-Z0-9_-]{1,64}$/))
  .min(1)
  .max(50);
const mcpShape = {
  /** The tools of it that the persona has; it has no others. */
  tools: McpToolNames,
  /** For the start, and for each call. */
  timeout: Duration.default('60s'),
};
/** An MCP server whose tools a persona has, as `mcp__SERVER__TOOL`. */
export const McpServer = z.union([
  z.strictObject({
    /** A program inside the sandbox; what the operator offers lies in /opt/mcp. */
    command: z.string().min(1),
    args: z.array(z.string()).default([]),
    /** Values for its environment. Nothing is inherited, so no secret of the fleet is in it. */
    env: z.record(z.string().regex(/^[A-Z][A-Z0-9_]{0,63}$/), z.string().max(4_000)).default({}),
    ...mcpShape,
  }),
  z.strictObject({
    /** Streamable HTTP; the operator must allow its host and port. */
    url: z.url({ protocol: /^https?$/ }),
    ...mcpShape,
  }),
]);
export type McpServer = z.infer<typeof McpServer>;

/** A persona as a run keeps it: what files are refused for since then does not end a run that began before. */
export const StoredPersona = z.strictObject({
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
  /** MCP servers, by the name their tools carry. */
  mcp: z.record(z.string().regex(/^[a-z][a-z0-9-]{0,30}$/), McpServer).optional(),
  /** Places that its commands may reach through the proxy, when the operator allows them too. */
  network: z.array(HostPort).max(50).optional(),
  model: z.string().optional(),
  maxTurns: z.number().int().min(1).max(500).default(60),
  /** The most tool calls of one conversation; 2,000 when it is not given. */
  maxToolCalls: z.number().int().min(1).max(20_000).optional(),
  maxTokensPerTurn: z.number().int().min(256).max(64_000).default(16_000),
  /** The most time one attempt may take, where that is less than the phase has. */
  timeout: Duration.optional(),
  /** The stable part of the system prompt. */
  prompt: z.string().min(40),
});

/** A persona file in `personas/`. */
export const Persona = StoredPersona.superRefine((persona, context) => {
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
  if (persona.kind === 'reviewer' && (persona.mcp !== undefined || persona.network !== undefined))
    refuse([persona.mcp === undefined ? 'network' : 'mcp'], 'a reviewer only reads the work it judges');
  if (persona.kind === 'reviewer' && Object.keys(persona.deliverables).length > 0)
    refuse(['deliverables'], 'a reviewer hands on no files');
});
export type Persona = z.infer<typeof Persona>;
