import type { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { CallToolResultSchema, type ContentBlock, type Tool } from '@modelcontextprotocol/sdk/types.js';
import { z } from 'zod';
import { errorMessage } from '../../../shared/errors.ts';
import { withoutTags } from '../../../shared/marked-text.ts';
import { capText, dataBlock } from '../data-block.ts';
import { type AgentTool, type ToolEffects, refused } from '../tool.ts';

const MAX_RESULT_CHARS = 30_000;
const MAX_DESCRIPTION_CHARS = 2_000;
const MAX_SCHEMA_CHARS = 20_000;
const AnyInput = z.record(z.string(), z.unknown());
const InputSchema = z.looseObject({ type: z.literal('object') });

interface OfTool {
  /** The server, with what is to be told of it: it may have been started anew. Throws when it is gone for good. */
  ready: () => Promise<{ client: Client; note?: string }>;
  server: string;
  tool: Tool;
  timeoutMs: number;
  effects: ToolEffects;
  /** Why the server is gone; empty while it is there. */
  gone: () => string;
}

/** One tool of an MCP server, as a persona has it. What the server says is data, and what goes wrong is an answer. */
export function mcpTool({ ready, server, tool, timeoutMs, effects, gone }: OfTool): AgentTool {
  const name = `mcp__${server}__${tool.name}`;
  const schema = InputSchema.safeParse(shownSchema(tool.inputSchema));
  const words = withoutTags((tool.description ?? '').slice(0, MAX_DESCRIPTION_CHARS));
  return {
    name,
    description: `A tool of the MCP server ${server}. ${words === '' ? 'It says nothing of itself.' : `It says of itself: ${words}`}`,
    effects,
    schema: AnyInput,
    inputSchema: schema.success ? schema.data : { type: 'object' },
    async run(input, { signal }) {
      const { client, note } = await ready();
      const told = note === undefined ? '' : `${note}\n`;
      const result = await client
        .request(
          { method: 'tools/call', params: { name: tool.name, arguments: AnyInput.parse(input) } },
          CallToolResultSchema,
          {
            timeout: timeoutMs,
            maxTotalTimeout: timeoutMs,
            signal,
          },
        )
        .catch((err: unknown) => {
          if (signal.aborted) throw err;
          return { failed: gone() || errorMessage(err) };
        });
      if ('failed' in result && typeof result.failed === 'string')
        return refused(`${told}${name} failed: ${capText(result.failed, 2_000)}`);
      const answer = CallToolResultSchema.parse(result);
      const text = textOf(answer.content, answer.structuredContent);
      const block = dataBlock(capText(text, MAX_RESULT_CHARS), { mcp: server, tool: tool.name });
      return { text: told + block, isError: answer.isError === true };
    },
  };
}

/** A schema with its texts as a person sees them; nothing when a name in it is not what it seems, or it is too large. */
function shownSchema(schema: unknown): unknown {
  const text = JSON.stringify(schema);
  if (text.length > MAX_SCHEMA_CHARS) return undefined;
  let isPlain = true;
  const shown: unknown = JSON.parse(text, (key, value: unknown) => {
    if (withoutTags(key) !== key) isPlain = false;
    return typeof value === 'string' ? withoutTags(value) : value;
  });
  return isPlain ? shown : undefined;
}

function textOf(content: readonly ContentBlock[], structured: unknown): string {
  const parts = content.map((block) => {
    if (block.type === 'text') return block.text;
    if (block.type === 'resource')
      return 'text' in block.resource ? block.resource.text : '[a binary resource, not shown]';
    if (block.type === 'resource_link') return `[a link: ${block.uri}]`;
    return `[${block.type}, ${block.mimeType}, ${block.data.length} characters of base64, not shown]`;
  });
  const text = parts.join('\n');
  return text === '' && structured !== undefined ? JSON.stringify(structured, null, 2) : text;
}
