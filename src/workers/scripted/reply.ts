import { createHash } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import type { ScriptTurn } from './script-schema.ts';
import { type ScriptedUsage, tokensOf } from './prompt-cache.ts';
import { signatureOf } from './signature.ts';

/** The model id of every answer, so that no record of the stand-in looks like a real model's. */
export const SCRIPTED_MODEL = 'scripted-1';

type ReplyBlock =
  | { type: 'thinking'; thinking: string; signature: string }
  | { type: 'text'; text: string; citations: null }
  | { type: 'tool_use'; id: string; name: string; input: Record<string, unknown>; caller: { type: 'direct' } };

const outputTokensOf = (content: readonly ReplyBlock[]): number =>
  Math.max(tokensOf(JSON.stringify(content).length), 1);

/** The whole answer to one request, in the API's shape. Depends on the request and the script alone. */
export function buildReply(turn: ScriptTurn, requestBody: string, usage: ScriptedUsage) {
  const digest = createHash('sha256').update(requestBody).digest('hex').slice(0, 24);
  const { think } = turn;
  const content: ReplyBlock[] = [
    ...(think === undefined ? [] : [{ type: 'thinking' as const, thinking: think, signature: signatureOf(think) }]),
    ...(turn.say === undefined ? [] : [{ type: 'text' as const, text: turn.say, citations: null }]),
    ...turn.tools.map((tool, index) => ({
      type: 'tool_use' as const,
      id: `toolu_scripted_${digest}_${index}`,
      name: tool.tool,
      input: tool.input,
      caller: { type: 'direct' as const },
    })),
  ];
  const stopReason = turn.stop_reason ?? (turn.tools.length > 0 ? 'tool_use' : 'end_turn');
  return {
    id: `msg_scripted_${digest}`,
    type: 'message',
    role: 'assistant',
    model: SCRIPTED_MODEL,
    content,
    stop_reason: stopReason,
    stop_sequence: null,
    stop_details:
      stopReason === 'refusal' ? { type: 'refusal', category: null, explanation: 'refused by the script' } : null,
    container: null,
    diagnostics: null,
    usage: {
      ...usage,
      output_tokens: outputTokensOf(content),
      cache_creation: {
        ephemeral_5m_input_tokens: usage.cache_creation_input_tokens,
        ephemeral_1h_input_tokens: 0,
      },
      inference_geo: null,
      output_tokens_details: think === undefined ? null : { thinking_tokens: tokensOf(think.length) },
      server_tool_use: null,
      service_tier: 'standard',
      speed: null,
    },
  };
}
export type Reply = ReturnType<typeof buildReply>;

/** Cuts a text into at least three pieces (when it is long enough), none of them very long. */
function pieces(text: string): string[] {
  const size = Math.min(Math.max(Math.ceil(text.length / 3), 1), 8_192);
  const cut: string[] = [];
  for (let at = 0; at < text.length; at += size) cut.push(text.slice(at, at + size));
  return cut;
}

type StreamEvent = Readonly<Record<string, unknown>> & { type: string };

/** A block as it starts, empty, and what is added to it piece by piece. */
function opened(block: ReplyBlock): { start: object; deltas: object[] } {
  switch (block.type) {
    case 'text':
      return {
        start: { ...block, text: '' },
        deltas: pieces(block.text).map((text) => ({ type: 'text_delta', text })),
      };
    case 'thinking':
      return {
        start: { ...block, thinking: '', signature: '' },
        deltas: [
          ...pieces(block.thinking).map((thinking) => ({ type: 'thinking_delta', thinking })),
          { type: 'signature_delta', signature: block.signature },
        ],
      };
    case 'tool_use':
      return {
        start: { ...block, input: {} },
        deltas: pieces(JSON.stringify(block.input)).map((partial) => ({
          type: 'input_json_delta',
          partial_json: partial,
        })),
      };
  }
}

function* blockEvents(block: ReplyBlock, index: number): Generator<StreamEvent> {
  const { start, deltas } = opened(block);
  yield { type: 'content_block_start', index, content_block: start };
  for (const delta of deltas) yield { type: 'content_block_delta', index, delta };
  yield { type: 'content_block_stop', index };
}

/** The events of a streamed answer. `half` stops after the first piece of the first block. */
export function* replyEvents(reply: Reply, half: boolean): Generator<StreamEvent> {
  const { output_tokens: outputTokens, ...input } = reply.usage;
  const started = { ...reply, content: [], stop_reason: null, stop_details: null };
  yield { type: 'message_start', message: { ...started, usage: { ...input, output_tokens: 1 } } };
  yield { type: 'ping' };
  for (const [index, block] of reply.content.entries()) {
    for (const event of blockEvents(block, index)) {
      yield event;
      if (half && event.type === 'content_block_delta') return;
    }
  }
  if (half) return;
  const { stop_reason, stop_sequence, stop_details, container } = reply;
  yield {
    type: 'message_delta',
    delta: { stop_reason, stop_sequence, stop_details, container },
    usage: { ...reply.usage, output_tokens: outputTokens },
  };
  yield { type: 'message_stop' };
}

/** Writes one server-sent event, and waits when the reader is slow. */
export async function sendEvent(response: ServerResponse, event: StreamEvent): Promise<void> {
  if (response.destroyed) return;
  const isFull = !response.write(`event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`);
  if (!isFull) return;
  await new Promise<void>((resolve) => {
    const done = (): void => {
      response.off('drain', done);
      response.off('close', done);
      resolve();
    };
    response.on('drain', done);
    response.on('close', done);
  });
}
