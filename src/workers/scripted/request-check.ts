import { z } from 'zod';
import { signatureOf } from './signature.ts';

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
  text: z
    .string()
    .min(1, 'text content blocks must be non-empty')
    .regex(/\S/, 'text content blocks must contain non-whitespace text'),
  citations: z.array(z.unknown()).nullish(),
  cache_control: CacheControl,
});
const ImageBlock = z.strictObject({
  type: z.literal('image'),
  source: z.discriminatedUnion('type', [
    z.strictObject({
      type: z.literal('base64'),
      media_type: z.enum(['image/jpeg', 'image/png', 'image/gif', 'image/webp']),
      data: z.base64().min(1),
    }),
    z.strictObject({ type: z.literal('url'), url: z.url() }),
  ]),
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
  content: z.union([z.string(), z.array(z.discriminatedUnion('type', [TextBlock, ImageBlock]))]).optional(),
  is_error: z.boolean().optional(),
  toolset_name: z.string().nullish(),
  cache_control: CacheControl,
});
const ThinkingBlock = z.strictObject({ type: z.literal('thinking'), thinking: z.string(), signature: z.string() });
const RedactedBlock = z.strictObject({ type: z.literal('redacted_thinking'), data: z.string().min(1) });
const Block = z.discriminatedUnion('type', [
  TextBlock,
  ImageBlock,
  ToolUseBlock,
  ToolResultBlock,
  ThinkingBlock,
  RedactedBlock,
]);
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
  thinking: z
    .looseObject({
      type: z.enum(['enabled', 'disabled', 'adaptive']),
      budget_tokens: z.number().int().min(1_024).optional(),
    })
    .optional(),
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
  top_p: z.number().min(0).max(1).optional(),
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

const NOT_FROM_USERS = ['tool_use', 'thinking', 'redacted_thinking'];
const NOT_FROM_MODELS = ['tool_result', 'image'];

function checkConversation(messages: readonly ScriptedMessage[]): void {
  const turns = turnsOf(messages);
  if (turns[0]?.role !== 'user') throw invalid('messages: the first message must use the user role');
  const seen = new Set<string>();
  let open: string[] = [];
  for (const [index, turn] of turns.entries()) {
    const wrongKinds: readonly string[] = turn.role === 'user' ? NOT_FROM_USERS : NOT_FROM_MODELS;
    const wrong = turn.blocks.find((block) => wrongKinds.includes(block.type));
    if (wrong !== undefined)
      throw invalid(`messages.${index}: \`${wrong.type}\` blocks cannot be in ${turn.role} messages`);
    if (turn.role === 'user') {
      checkResults(index, turn.blocks, open);
      open = [];
      continue;
    }
    checkThoughts(index, turn.blocks);
    open = turn.blocks.flatMap((block) => (block.type === 'tool_use' ? [block.id] : []));
    for (const id of open) {
      if (seen.has(id)) throw invalid(`messages.${index}: \`tool_use\` ids must be unique (${id})`);
      seen.add(id);
    }
  }
  if (open.length > 0) throw missingResults(turns.length - 1, open);
}

/** A thought goes back as it came: with the signature it was given, which fits no other text. */
function checkThoughts(index: number, blocks: readonly Block[]): void {
  for (const [at, block] of blocks.entries()) {
    if (block.type !== 'thinking' || block.signature === signatureOf(block.thinking)) continue;
    throw invalid(`messages.${index}.content.${at}: Invalid \`signature\` in \`thinking\` block`);
  }
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
  if (new Set(results).size < results.length) {
    const twice = results.find((id, at) => results.indexOf(id) !== at) ?? '';
    throw invalid(
      `messages.${index}: each tool_use must have a single result. Found multiple \`tool_result\` blocks with id: ${twice}`,
    );
  }
  const firstOther = blocks.findIndex((block) => block.type !== 'tool_result');
  if (firstOther !== -1 && blocks.slice(firstOther).some((block) => block.type === 'tool_result')) {
    throw invalid(`messages.${index}: \`tool_result\` blocks must come first in the content`);
  }
}

type Counted = z.infer<typeof CountRequest>;

/** Four breakpoints at most, and those that are kept for longer stand before the others. */
function checkMarks({ tools = [], system = [], messages, cache_control: whole }: Counted): void {
  const blocks: { cache_control?: z.infer<typeof CacheControl> }[] = [
    ...tools,
    ...(typeof system === 'string' ? [] : system),
  ];
  for (const message of messages)
    for (const block of blocksOf(message)) {
      if (block.type === 'tool_result' && Array.isArray(block.content)) blocks.push(...block.content);
      if ('cache_control' in block) blocks.push(block);
    }
  const marks = [...blocks, { cache_control: whole }].flatMap((block) => block.cache_control ?? []);
  if (marks.length > 4)
    throw invalid(`A maximum of 4 blocks with cache_control may be provided. Found ${marks.length}.`);
  const short = marks.findIndex((mark) => mark.ttl !== '1h');
  if (short !== -1 && marks.slice(short).some((mark) => mark.ttl === '1h'))
    throw invalid("a ttl='1h' cache_control block must not come after a ttl='5m' cache_control block");
}

function checkTools({ tools, tool_choice: choice, messages }: Counted): void {
  const names = (tools ?? []).map((tool) => tool.name);
  if (new Set(names).size < names.length) throw invalid('tools: Tool names must be unique.');
  if (choice !== undefined && choice.type !== 'none' && names.length === 0)
    throw invalid('tool_choice may only be specified while providing tools.');
  if (choice?.type === 'tool' && (choice.name === undefined || !names.includes(choice.name)))
    throw invalid(`Tool '${choice.name ?? ''}' not found in provided tools`);
  const usesTools = messages.some((message) =>
    blocksOf(message).some((block) => block.type === 'tool_use' || block.type === 'tool_result'),
  );
  if (usesTools && names.length === 0)
    throw invalid('Requests which include `tool_use` or `tool_result` blocks must define tools');
}

/** What a model can take and give, in tokens. */
export interface ModelSize {
  context: number;
  output: number;
}

/** Holds a request against what the model can do. */
export function checkSize(request: z.infer<typeof MessagesRequest>, inputTokens: number, size: ModelSize): void {
  const { model, max_tokens: most, thinking, temperature } = request;
  if (most > size.output)
    throw invalid(
      `max_tokens: ${most} > ${size.output}, which is the maximum allowed number of output tokens for ${model}`,
    );
  if (thinking?.type === 'enabled') {
    if (thinking.budget_tokens === undefined) throw invalid('thinking.enabled.budget_tokens: Field required');
    if (thinking.budget_tokens >= most) throw invalid('`max_tokens` must be greater than `thinking.budget_tokens`.');
    if (temperature !== undefined && temperature !== 1)
      throw invalid('`temperature` may only be set to 1 when thinking is enabled.');
  }
  if (inputTokens > size.context) throw invalid(`prompt is too long: ${inputTokens} tokens > ${size.context} maximum`);
}

const isSystemRole = (body: unknown): boolean =>
  z
    .looseObject({ messages: z.array(z.looseObject({ role: z.unknown() })) })
    .safeParse(body)
    .data?.messages.some(({ role }) => role === 'system') ?? false;

/** What is wrong in the shape that comes closest, where something may have one of several. */
function innermost(issue: z.core.$ZodIssue): z.core.$ZodIssue {
  if (issue.code !== 'invalid_union') return issue;
  const [deepest] = issue.errors
    .flatMap(([first]) => (first === undefined ? [] : [innermost(first)]))
    .toSorted((a, b) => b.path.length - a.path.length);
  return deepest === undefined ? issue : { ...deepest, path: [...issue.path, ...deepest.path] };
}

/** Checks a request body as the real API does. Throws an `ApiProblem` that names the field. */
export function checkRequest<T extends z.infer<typeof CountRequest>>(schema: z.ZodType<T>, body: unknown): T {
  const parsed = schema.safeParse(body);
  if (!parsed.success) {
    const [first] = parsed.error.issues;
    const issue = first === undefined ? undefined : innermost(first);
    const extra = issue?.code === 'unrecognized_keys' ? issue.keys[0] : undefined;
    const path = [...(issue?.path ?? []), ...(extra === undefined ? [] : [extra])].map(String).join('.');
    if (path.endsWith('.role') && /^messages\.\d+\.role$/.test(path) && isSystemRole(body))
      throw invalid(
        'messages: Unexpected role "system". The Messages API accepts a top-level `system` parameter, not "system" as an input message role.',
      );
    const missing = issue?.code === 'invalid_type' && issue.message.endsWith('received undefined');
    const reason =
      extra === undefined ? (missing ? 'Field required' : issue?.message) : 'Extra inputs are not permitted';
    throw invalid(path === '' ? `${reason}` : `${path}: ${reason}`);
  }
  checkMarks(parsed.data);
  checkTools(parsed.data);
  checkConversation(parsed.data.messages);
  return parsed.data;
}
