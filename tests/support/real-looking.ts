import { type IncomingMessage, type ServerResponse, createServer } from 'node:http';
import { Readable, Transform } from 'node:stream';
import { onTestFinished } from 'vitest';

/**
 * Stands before the stand-in and takes away what it is known by, its header and its model's name, so that the fleet
 * prices its answers as a real model's. Counts, ids and everything else pass through as they are.
 */
export async function looksReal(target: string): Promise<string> {
  const server = createServer((request, response) => {
    void forward(target, request, response).catch(() => response.destroy());
  });
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  const port = await new Promise<number>((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      resolve(typeof address === 'object' ? (address?.port ?? 0) : 0);
    });
  });
  return `http://127.0.0.1:${port}`;
}

async function forward(target: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(Buffer.from(chunk));
  const aborted = new AbortController();
  response.on('close', () => aborted.abort());
  const answer = await fetch(`${target}${request.url}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-api-key': 'any', 'anthropic-version': '2023-06-01' },
    body: Buffer.concat(chunks),
    signal: aborted.signal,
  });
  const headers = [...answer.headers].filter(
    ([name]) => !/^(x-maestro-simulated|transfer-encoding|content-length|connection)$/.test(name),
  );
  response.writeHead(answer.status, Object.fromEntries(headers));
  if (answer.body === null) return void response.end();
  const renamed = new Transform({
    transform(chunk, _encoding, done) {
      done(null, String(chunk).replaceAll('"scripted-1"', '"claude-sonnet-5-5"'));
    },
  });
  const body = Readable.fromWeb(answer.body);
  body.on('error', () => response.destroy());
  body.pipe(renamed).pipe(response);
}
