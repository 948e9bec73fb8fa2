import type Anthropic from '@anthropic-ai/sdk';
import { z } from 'zod';
import { FleetError, errorMessage } from '../../shared/errors.ts';
import { ToolName } from '../../shared/persona-schema.ts';
import { withoutTags } from '../../shared/marked-text.ts';
import { reachesOutside } from '../../shared/workspace-path.ts';
import { nearestHint } from '../../shared/yaml-file.ts';
import { abortReason } from '../models/call-model.ts';
import { Parked } from '../parking.ts';
import { ASK, ASK_TOOLS, Ask } from './ask-tool.ts';
import { COMMAND_TOOLS, reaching } from './command-tools.ts';
import { capText } from './data-block.ts';
import { FILE_TOOLS } from './file-tools.ts';
import type { LineageEntry } from './lineage.ts';
import { SEARCH_TOOLS } from './search-tool.ts';
import type { AgentTool, ToolContext, ToolEffects } from './tool.ts';
import { WorkTree } from './work-tree.ts';

const MAX_ERROR_CHARS = 2_000;

const ALL_TOOLS: readonly AgentTool[] = [...FILE_TOOLS, ...SEARCH_TOOLS, ...COMMAND_TOOLS, ...ASK_TOOLS];

interface ToolCall {
  id: string;
  name: string;
  input: unknown;
  messageId: string;
}

interface ToolOutcome {
  text: string;
  isError: boolean;
  lineage: LineageEntry[];
  /** True when the call asked for something that this persona may not do. */
  isRefused: boolean;
}

/** The tools one persona has, and no others. */
export interface ToolBox {
  readonly definitions: readonly Anthropic.Tool[];
  /** What a call of this tool may change; a tool that this persona does not have changes nothing. */
  effectsOf(name: string): ToolEffects;
  /** Why the files cannot be handed off as they are, in words for the model. */
  fault(): string | undefined;
  /**
   * Asks people what the calls of an answer ask them, before any of these runs: while there is no answer the
   * conversation parks (throws `Parked`), and nothing has been done that would be done again.
   */
  askFirst(calls: readonly Omit<ToolCall, 'messageId'>[]): Promise<void>;
  /** Runs one call. What goes wrong in a tool is an answer for the model, never an exception; only an abort throws. */
  invoke(call: ToolCall): Promise<ToolOutcome>;
}

const inputSchemas = new WeakMap<z.ZodType, Anthropic.Tool.InputSchema>();

/** The JSON schema of a tool's input, as the API wants it; made once for each, and not for each conversation. */
export function inputSchemaOf(schema: z.ZodType): Anthropic.Tool.InputSchema {
  const known = inputSchemas.get(schema);
  if (known !== undefined) return known;
  const { $schema: _, ...json } = z.toJSONSchema(schema, { io: 'input' });
  const made: Anthropic.Tool.InputSchema = { ...json, type: 'object' };
  inputSchemas.set(schema, made);
  return made;
}

/** One line per problem of an input, naming the field. */
export const inputProblems = (error: z.ZodError): string =>
  error.issues.map((issue) => `${issue.path.map(String).join('.') || 'input'}: ${issue.message}`).join('\n');

/** What went wrong, in which names that files or a model gave tell nothing but themselves. */
const fail = (text: string, isRefused = false): ToolOutcome => ({
  text: withoutTags(text),
  isError: true,
  lineage: [],
  isRefused,
});

export function createToolBox(
  options: ToolContext & { tools: readonly ToolName[]; more?: readonly AgentTool[]; tree?: WorkTree },
): ToolBox {
  const { egress, tree = new WorkTree(options.root) } = options;
  const own = ALL_TOOLS.filter((tool) => options.tools.some((name) => name === tool.name));
  const mine = [...own.map((tool) => (egress === undefined ? tool : reaching(tool, egress))), ...(options.more ?? [])];
  const names = mine.map((tool) => tool.name);
  return {
    definitions: mine.map((tool) => ({
      name: tool.name,
      description: tool.description,
      input_schema: tool.inputSchema ?? inputSchemaOf(tool.schema),
    })),
    effectsOf: (name) => {
      const effects = mine.find((tool) => tool.name === name)?.effects ?? 'none';
      return typeof effects === 'string' ? effects : effects(options);
    },
    fault: () => tree.fault,
    async askFirst(calls) {
      let parked: Parked | undefined;
      for (const { id: toolUseId, input } of calls.filter((one) => one.name === ASK && names.includes(ASK))) {
        const asked = Ask.safeParse(input);
        if (!asked.success) continue;
        try {
          await options.askPerson?.({ toolUseId, ...asked.data });
        } catch (err) {
          // The others are asked all the same, so that a person finds them together.
          if (!(err instanceof Parked)) throw err;
          parked ??= err;
        }
      }
      if (parked !== undefined) throw parked;
    },
    async invoke(call) {
      if (options.signal.aborted) throw abortReason(options.signal);
      const tool = mine.find((one) => one.name === call.name);
      if (tool === undefined) {
        const isKnown = ToolName.safeParse(call.name).success;
        const reason = isKnown ? 'is not among your tools' : `does not exist${nearestHint(call.name, names)}`;
        options.logger.warn({ tool: call.name }, 'a persona asked for a tool it does not have');
        return fail(`the tool ${call.name} ${reason}; yours are: ${names.join(', ')}`, true);
      }
      const input = tool.schema.safeParse(call.input);
      if (!input.success) return fail(`the input of ${tool.name} is not valid:\n${inputProblems(input.error)}`);
      try {
        const output = await tool.run(input.data, { ...options, tree, toolUseId: call.id });
        const origin = { tool: tool.name, toolUseId: call.id, messageId: call.messageId };
        const lineage = (output.changed ?? []).map((change) => ({ ...change, ...origin }));
        return { text: output.text, isError: output.isError ?? false, lineage, isRefused: output.isRefused ?? false };
      } catch (err) {
        if (options.signal.aborted) throw abortReason(options.signal);
        // It goes on where it stands, when there is an answer.
        if (err instanceof Parked) throw err;
        // Without a sandbox no command can be run at all; that is the machine's fault and not the model's to mend.
        if (err instanceof FleetError && err.code === 'SANDBOX_UNAVAILABLE') throw err;
        options.logger.debug({ err, tool: tool.name }, 'tool failed');
        return fail(`${tool.name} failed: ${capText(errorMessage(err), MAX_ERROR_CHARS)}`, reachesOutside(err));
      }
    },
  };
}
