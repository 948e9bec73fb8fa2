import { z } from 'zod';

/** An answer in the API's error shape. */
export class ApiProblem extends Error {
  readonly status: number;
  readonly type: string;
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: number, type: string, message: string, headers: Readonly<Record<string, string>> = {}) {
    super(message);
    this.name = 'ApiProblem';
    this.status = status;
    this.type = type;
    this.headers = headers;
  }
}

const invalid = (message: string): ApiProblem => new ApiProblem(400, 'invalid_request_error', message);

const CacheControl = z.strictObject({ type: z.literal('ephemeral'), ttl: z.enum(['5m', '1h']).optional() }).nullish();

const TextBlock = z.strictObject({
  type: z.literal('text'),
  text: z.string().min(1, 'text content blocks must be non-empty'),
  citations: z.array(z.unknown()).nullish(),
  cache_control: CacheControl,
});
const ToolUseBlock = z.strictObject({
  type: z.literal('tool_use'),
  id: z.string().regex(/^[a-zA-Z0-9_-]+$/),
  name: z.string().min(1),
  input: z.record(z.string(), z.unknown()),
  caller: z.unknown().optional(),
  toolset_name: z.string().nullish(),
  cache_control: CacheControl,
});
const ToolResultBlock = z.strictObject({
  type: z.literal('tool_result'),
  tool_use_id: z.string(),
  content: z.union([z.string(), z.array(TextBlock)]).optional(),
  is_error: z.boolean().optional(),
  toolset_name: z.string().nullish(),
  cache_control: CacheControl,
});
const ThinkingBlock = z.strictObject({ type: z.literal('thinking'), thinking: z.string(), signature: z.string() });
const Block = z.discriminatedUnion('type', [TextBlock, ToolUseBlock, ToolResultBlock, ThinkingBlock]);
type Block = z.infer<typeof Block>;

const Message = z.strictObject({
  role: z.enum(['user', 'assistant']),
  content: z.union([z.string().min(1, 'messages must have non-empty content'), z.array(Block).min(1)]),
});
export type ScriptedMessage = z.infer<typeof Message>;

const ToolDefinition = z.strictObject({
  name: z.string().regex(/^[a-zA-Z0-9_-]{1,128}$/),
  description: z.string().optional(),
  input_schema: z.looseObject({ type: z.literal('object') }),
  type: z.literal('custom').nullish(),
  strict: z.boolean().optional(),
  eager_input_streaming: z.boolean().nullish(),
  cache_control: CacheControl,
});

const counted = {
  model: z.string().min(1),
  messages: z.array(Message).min(1, 'at least one message is required'),
  system: z.union([z.string(), z.array(TextBlock)]).optional(),
  tools: z.array(ToolDefinition).optional(),
  tool_choice: z
    .strictObject({
      type: z.enum(['auto', 'any', 'tool', 'none']),
      name: z.string().optional(),
      disable_parallel_tool_use: z.boolean().optional(),
    })
    .optional(),
  thinking: z.looseObject({ type: z.enum(['enabled', 'disabled', 'adaptive']) }).optional(),
  output_config: z.looseObject({}).optional(),
  cache_control: CacheControl,
};
export const CountRequest = z.strictObject(counted);
export const MessagesRequest = z.strictObject({
  ...counted,
  max_tokens: z.number().int().min(1),
  stream: z.boolean().optional(),
  stop_sequences: z.array(z.string()).optional(),
  temperature: z.number().min(0).max(1).optional(),
  top_p: z.number().optional(),
  top_k: z.number().int().optional(),
  metadata: z.strictObject({ user_id: z.string().nullish() }).optional(),
  service_tier: z.enum(['auto', 'standard_only']).optional(),
});
export type MessagesRequest = z.infer<typeof MessagesRequest>;

const blocksOf = (message: ScriptedMessage): readonly Block[] =>
  typeof message.content === 'string' ? [{ type: 'text', text: message.content }] : message.content;

/** Messages of one role that follow each other are one turn, as in the real API. */
function turnsOf(messages: readonly ScriptedMessage[]): { role: 'user' | 'assistant'; blocks: Block[] }[] {
  const turns: { role: 'user' | 'assistant'; blocks: Block[] }[] = [];
  for (const message of messages) {
    const last = turns.at(-1);
    if (last?.role === message.role) last.blocks.push(...blocksOf(message));
    else turns.push({ role: message.role, blocks: [...blocksOf(message)] });
  }
  return turns;
}

function checkConversation(messages: readonly ScriptedMessage[]): void {
  const turns = turnsOf(messages);
  if (turns[0]?.role !== 'user') throw invalid('messages: the first message must use the user role');
  const seen = new Set<string>();
  let open: string[] = [];
  for (const [index, turn] of turns.entries()) {
    const wrongKind = turn.role === 'user' ? 'tool_use' : 'tool_result';
    if (turn.blocks.some((block) => block.type === wrongKind)) {
      throw invalid(`messages.${index}: \`${wrongKind}\` blocks cannot be in ${turn.role} messages`);
    }
    if (turn.role === 'user') {
      checkResults(index, turn.blocks, open);
      open = [];
      continue;
    }
    open = turn.blocks.flatMap((block) => (block.type === 'tool_use' ? [block.id] : []));
    for (const id of open) {
      if (seen.has(id)) throw invalid(`messages.${index}: \`tool_use\` ids must be unique (${id})`);
      seen.add(id);
    }
  }
  if (open.length > 0) throw missingResults(turns.length - 1, open);
}

const missingResults = (index: number, ids: readonly string[]): ApiProblem =>
  invalid(
    `messages.${index}: \`tool_use\` ids were found without \`tool_result\` blocks immediately after: ${ids.join(', ')}. ` +
      'Each `tool_use` block must have a corresponding `tool_result` block in the next message.',
  );

function checkResults(index: number, blocks: readonly Block[], open: readonly string[]): void {
  const results = blocks.flatMap((block) => (block.type === 'tool_result' ? [block.tool_use_id] : []));
  const stray = results.find((id) => !open.includes(id));
  if (stray !== undefined) {
    throw invalid(
      `messages.${index}: unexpected \`tool_use_id\` found in \`tool_result\` blocks: ${stray}. ` +
        'Each `tool_result` block must have a corresponding `tool_use` block in the previous message.',
    );
  }
  const missing = open.filter((id) => !results.includes(id));
  if (missing.length > 0) throw missingResults(index - 1, missing);
  if (new Set(results).size < results.length) throw invalid(`messages.${index}: each tool_use has one tool_result`);
  const firstOther = blocks.findIndex((block) => block.type !== 'tool_result');
  if (firstOther !== -1 && blocks.slice(firstOther).some((block) => block.type === 'tool_result')) {
    throw invalid(`messages.${index}: \`tool_result\` blocks must come first in the content`);
  }
}

/** Checks a request body as the real API does. Throws an `ApiProblem` that names the field. */
export function checkRequest<T extends { messages: ScriptedMessage[] }>(schema: z.ZodType<T>, body: unknown): T {
  const parsed = schema.safeParse(body);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    const extra = issue?.code === 'unrecognized_keys' ? issue.keys[0] : undefined;
    const path = [...(issue?.path ?? []), ...(extra === undefined ? [] : [extra])].map(String).join('.');
    const missing = issue?.code === 'invalid_type' && issue.message.endsWith('received undefined');
    const reason =
      extra === undefined ? (missing ? 'Field required' : issue?.message) : 'Extra inputs are not permitted';
    throw invalid(path === '' ? `${reason}` : `${path}: ${reason}`);
  }
  const { messages, ...rest } = parsed.data;
  const marked = JSON.stringify([rest, messages]).split('"cache_control":{').length - 1;
  if (marked > 4) throw invalid(`A maximum of 4 blocks with cache_control may be provided. Found ${marked}.`);
  checkConversation(messages);
  return parsed.data;
}
