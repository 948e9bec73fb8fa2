import { once } from 'node:events';
import { createServer, request } from 'node:http';
import { onTestFinished } from 'vitest';

export interface Balancer {
  url: string;
  /** Where requests go from now on, in turn. */
  backends: string[];
  /** How many requests each was given. */
  given: Map<string, number>;
}

/** Hands each request to the next backend, and the answer back as it comes. */
export async function balancer(backends: readonly string[]): Promise<Balancer> {
  const state: Balancer = { url: '', backends: [...backends], given: new Map() };
  let turn = 0;
  const server = createServer((req, res) => {
    const backend = state.backends[turn++ % state.backends.length] ?? '';
    state.given.set(backend, (state.given.get(backend) ?? 0) + 1);
    const { hostname, port } = new URL(backend);
    const onward = request({ hostname, port, path: req.url, method: req.method, headers: req.headers }, (answer) => {
      res.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.on('error', () => res.destroy()).on('aborted', () => res.destroy());
      answer.pipe(res);
    });
    onward.on('error', () => (res.headersSent ? res.destroy() : res.writeHead(502).end()));
    res.on('close', () => onward.destroy());
    req.pipe(onward);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  const address = server.address();
  state.url = `http://127.0.0.1:${typeof address === 'object' && address !== null ? address.port : 0}`;
  return state;
}
