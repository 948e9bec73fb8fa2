import { type ServerResponse, createServer } from 'node:http';
import { onTestFinished } from 'vitest';
import { z } from 'zod';

const Body = z.looseObject({
  messages: z.array(z.looseObject({ role: z.string(), content: z.unknown() })),
  tool_choice: z.unknown().optional(),
  max_tokens: z.number(),
});
export type RawRequest = z.infer<typeof Body>;

/** An endpoint that answers exactly what a test wants, byte by byte, also what no sound one would. */
export async function rawModel(
  answer: (response: ServerResponse, request: { nth: number; body: RawRequest }) => void,
): Promise<{ url: string; requests: RawRequest[] }> {
  const requests: RawRequest[] = [];
  const server = createServer((request, response) => {
    let text = '';
    request.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
    request.on('end', () => {
      const body = Body.parse(JSON.parse(text));
      requests.push(body);
      answer(response, { nth: requests.length - 1, body });
    });
  });
  const port = await new Promise<number>((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      resolve(typeof address === 'object' && address !== null ? address.port : 0);
    });
  });
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  return { url: `http://127.0.0.1:${port}`, requests };
}

type Block = { type: 'text'; text: string } | { type: 'tool_use'; name: string; input: object };

const usage = { input_tokens: 10, output_tokens: 5 };

/** The events of one answer, in order. */
export function answerEvents(blocks: readonly Block[], stopReason: string | null, id = 'msg_1') {
  const message = {
    id,
    type: 'message',
    role: 'assistant',
    model: 'raw-1',
    content: [],
    stop_reason: null,
    stop_sequence: null,
    usage,
  };
  return [
    { type: 'message_start', message },
    ...blocks.flatMap((block, index) => {
      const isText = block.type === 'text';
      const start = isText
        ? { type: 'text', text: '' }
        : { type: 'tool_use', id: `toolu_${id}_${index}`, name: block.name, input: {} };
      const delta = isText
        ? { type: 'text_delta', text: block.text }
        : { type: 'input_json_delta', partial_json: JSON.stringify(block.input) };
      return [
        { type: 'content_block_start', index, content_block: start },
        { type: 'content_block_delta', index, delta },
        { type: 'content_block_stop', index },
      ];
    }),
    { type: 'message_delta', delta: { stop_reason: stopReason, stop_sequence: null }, usage: { output_tokens: 5 } },
    { type: 'message_stop' },
  ];
}

/** Sends events as a stream, and ends it. */
export function stream(response: ServerResponse, events: readonly { type: string }[]): void {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  for (const event of events) response.write(`event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`);
  response.end();
}
