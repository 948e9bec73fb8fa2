import { createServer } from 'node:http';

/**
 * A listening HTTP server that can be stopped.
 *
 * @typedef {object} HttpHost
 * @property {number} port
 * @property {string} url
 * @property {() => Promise<void>} stop Lets requests in flight finish, then closes; safe to call twice.
 */

const HOST = '127.0.0.1';
const HEADERS_TIMEOUT_MS = 5_000;
const REQUEST_TIMEOUT_MS = 10_000;
const GRACE_MS = 2_000;

/**
 * Listens on the loopback interface only: a reverse proxy stands in front where the service is public.
 *
 * @param {import('node:http').RequestListener} handler
 * @param {{ port: number, graceMs?: number }} options
 * @returns {Promise<HttpHost>}
 */
export async function hostHttp(handler, { port, graceMs = GRACE_MS }) {
  const server = createServer({ headersTimeout: HEADERS_TIMEOUT_MS, requestTimeout: REQUEST_TIMEOUT_MS }, handler);
  await new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, HOST, () => {
      server.off('error', reject);
      resolve(undefined);
    });
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('The server has no TCP address.');

  /** @type {Promise<void> | undefined} */
  let stopping;
  const stop = () => {
    stopping ??= closeServer(server, graceMs);
    return stopping;
  };
  return { port: address.port, url: `http://${HOST}:${address.port}`, stop };
}

/**
 * @param {import('node:http').Server} server
 * @param {number} graceMs
 * @returns {Promise<void>}
 */
async function closeServer(server, graceMs) {
  const closed = new Promise((resolve) => server.close(resolve));
  server.closeIdleConnections();
  const deadline = setTimeout(() => server.closeAllConnections(), graceMs);
  await closed;
  clearTimeout(deadline);
}
