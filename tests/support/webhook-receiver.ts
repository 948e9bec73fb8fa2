import { once } from 'node:events';
import { type IncomingHttpHeaders, type ServerResponse, createServer } from 'node:http';
import { onTestFinished } from 'vitest';

export interface Received {
  id: string;
  headers: IncomingHttpHeaders;
  body: string;
}

export interface Receiver {
  url: string;
  /** Every request, in the order they came. */
  received: Received[];
}

/** A service that is told of events; it answers 204 when `answer` is not given. */
export async function webhookReceiver(
  answer: (received: Received, res: ServerResponse, count: number) => void = (_received, res) =>
    res.writeHead(204).end(),
): Promise<Receiver> {
  const received: Received[] = [];
  const server = createServer((req, res) => {
    let body = '';
    req.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
    req.on('end', () => {
      const one = { id: String(req.headers['webhook-id']), headers: req.headers, body };
      received.push(one);
      answer(one, res, received.filter(({ id }) => id === one.id).length);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return { url: `http://127.0.0.1:${port}/told?by=maestro`, received };
}
