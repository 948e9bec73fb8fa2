/** A small HTTP client over a unix socket that never follows a redirect and never waits for ever. */
import { Agent, type IncomingHttpHeaders, request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

const MAX_BODY = 1024 ** 2;
const CALL_MS = 5000;

export interface Call {
  method: string;
  path: string;
  headers?: Record<string, string>;
  body?: string | undefined;
}

export interface Answer {
  /** 0 when there was no answer. */
  status: number;
  headers: IncomingHttpHeaders;
  body: string;
  error: string | undefined;
  ms: number;
}

export class HttpClient {
  readonly #socket: string;
  readonly #agent: Agent;

  constructor(socket: string, connections: number) {
    this.#socket = socket;
    this.#agent = new Agent({ keepAlive: true, maxSockets: connections });
  }

  /** Sends one request; a failure is an answer with status 0. */
  send(call: Call): Promise<Answer> {
    const startedAt = performance.now();
    return new Promise((done) => {
      const finish = (status: number, headers: IncomingHttpHeaders, body: string, error?: string): void =>
        done({ status, headers, body, error, ms: performance.now() - startedAt });
      const sent = request(
        {
          socketPath: this.#socket,
          agent: this.#agent,
          method: call.method,
          path: call.path,
          headers: {
            host: '127.0.0.1',
            ...call.headers,
            ...(call.body === undefined ? {} : { 'content-length': String(Buffer.byteLength(call.body)) }),
          },
          signal: AbortSignal.timeout(CALL_MS),
        },
        (response) => {
          const pieces: Buffer[] = [];
          let size = 0;
          response.on('data', (piece: Buffer) => {
            size += piece.length;
            if (size > MAX_BODY) response.destroy(new Error(`the answer is larger than ${MAX_BODY} bytes`));
            else pieces.push(piece);
          });
          response.on('error', (err) => finish(0, {}, '', err.message));
          response.on('end', () =>
            finish(response.statusCode ?? 0, response.headers, Buffer.concat(pieces).toString('utf8')),
          );
        },
      );
      sent.on('error', (err) => finish(0, {}, '', err.message));
      sent.end(call.body);
    });
  }

  close(): void {
    this.#agent.destroy();
  }
}

/** Waits until something answers on the socket. */
export async function waitForService(client: HttpClient, ms: number): Promise<boolean> {
  const deadline = Date.now() + ms;
  while (Date.now() < deadline) {
    const answer = await client.send({ method: 'GET', path: '/' });
    if (answer.status !== 0) return true;
    await sleep(50);
  }
  return false;
}
