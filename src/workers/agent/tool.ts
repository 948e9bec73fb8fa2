import type { z } from 'zod';
import type { Logger } from '../../shared/logger.ts';
import type { Egress } from '../../shared/network/allow-list.ts';
import type { ToolName } from '../../shared/persona-schema.ts';
import type { Answer } from '../../shared/question.ts';
import type { Sandbox } from '../../shared/sandbox/sandbox.ts';
import type { FileChange } from './lineage.ts';
import type { WorkTree } from './work-tree.ts';
import type { LiveCommands } from './live-command.ts';

/** What the tools of one job work on. */
export interface ToolContext {
  /** The work tree. No tool reads or writes outside it. */
  root: string;
  sandbox: Sandbox;
  /** What commands may reach; nothing when absent. */
  egress?: Egress | undefined;
  /** Measures the work tree with the collectors that the gate will use, and returns a table to read. */
  runGates: (signal: AbortSignal) => Promise<string>;
  /** Asks a person, and gives the answer; throws `Parked` while there is none. A reviewer asks nobody. */
  askPerson?: (question: { toolUseId: string; question: string; options?: string[] | undefined }) => Promise<Answer>;
  /** Shows people what commands print while they run; nobody is shown anything when absent. */
  live?: LiveCommands;
  signal: AbortSignal;
  logger: Logger;
}

/** The same for one call. */
export interface CallContext extends ToolContext {
  toolUseId: string;
  tree: WorkTree;
}

export interface ToolOutput {
  text: string;
  isError?: boolean;
  /** It asked for what is not for it. */
  isRefused?: boolean;
  changed?: FileChange[];
}

/**
 * What running a call may change. `none`: nothing, so it may run beside others and be run again. `workspace`: files of
 * the work tree, which are taken back together with a conversation. `outside`: things that cannot be taken back.
 */
export type ToolEffects = 'none' | 'workspace' | 'outside';

export interface AgentTool {
  name: string;
  description: string;
  effects: ToolEffects | ((context: ToolContext) => ToolEffects);
  schema: z.ZodType;
  /** What the model is told of the input, where that is not made from `schema`. */
  inputSchema?: { type: 'object'; [key: string]: unknown };
  run(input: unknown, context: CallContext): Promise<ToolOutput>;
}

/** A tool whose input is checked before it runs. */
export function defineTool<S extends z.ZodType>(tool: {
  name: ToolName;
  description: string;
  effects: ToolEffects | ((context: ToolContext) => ToolEffects);
  schema: S;
  run(input: z.infer<S>, context: CallContext): Promise<ToolOutput>;
}): AgentTool {
  return { ...tool, run: (input, context) => tool.run(tool.schema.parse(input), context) };
}

/** An answer that tells the model what was wrong with its call. */
export const refused = (text: string): ToolOutput => ({ text, isError: true });

/** An answer to a call that asked for what is not for it; the refusal is kept. */
export const forbidden = (text: string): ToolOutput => ({ text, isError: true, isRefused: true });
