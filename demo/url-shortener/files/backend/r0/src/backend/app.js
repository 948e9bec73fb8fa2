import { splitTarget } from '../shared/request-target.js';
import { applySecurityHeaders } from '../shared/security-headers.js';
import { PAGE_MOUNTS, sendStaticFile } from '../shared/static-files.js';
import { sendProblem } from './json-messages.js';
import { createLinkHandlers } from './link-handlers.js';
import { Metrics } from './metrics.js';
import { Problem } from './problems.js';
import { matchRoute } from './router.js';
import { createStatsHandler } from './stats-handler.js';
import { createSystemHandlers } from './system-handlers.js';

/** The longest request target that is read, in characters. */
export const MAX_TARGET_CHARACTERS = 4096;

/**
 * @typedef {object} AppOptions
 * @property {import('./link-store.js').LinkStore} store
 * @property {() => string} publicUrl
 * @property {(message: string) => void} log
 */

/**
 * Makes the request listener of the service: the page, the API and the redirects.
 *
 * @param {AppOptions} options
 * @returns {import('node:http').RequestListener}
 */
export function createApp({ store, publicUrl, log }) {
  const metrics = new Metrics();
  const routes = createRoutes(store, metrics, publicUrl);
  return (request, response) => {
    const started = performance.now();
    let route = 'other';
    response.once('finish', () => {
      const seconds = (performance.now() - started) / 1000;
      metrics.observe({ method: methodLabel(request.method), route, status: response.statusCode, seconds });
    });
    applySecurityHeaders(response);
    answer(routes, request, response, (name) => (route = name)).catch((/** @type {unknown} */ err) => {
      sendFailure(response, err, log);
    });
  };
}

/**
 * @param {import('./link-store.js').LinkStore} store
 * @param {Metrics} metrics
 * @param {() => string} publicUrl
 * @returns {import('./router.js').Route[]}
 */
function createRoutes(store, metrics, publicUrl) {
  const links = createLinkHandlers(store, publicUrl);
  const system = createSystemHandlers(store, metrics);
  return [
    { method: 'GET', path: '/healthz', handle: system.getHealth },
    { method: 'GET', path: '/metrics', handle: system.getMetrics },
    { method: 'GET', path: '/api/export', handle: system.exportLinks },
    { method: 'POST', path: '/api/links', handle: links.createLink },
    { method: 'GET', path: '/api/links', handle: links.listLinks },
    { method: 'GET', path: '/api/links/{code}/stats', handle: createStatsHandler(store) },
    { method: 'GET', path: '/api/links/{code}', handle: links.getLink },
    { method: 'DELETE', path: '/api/links/{code}', handle: links.deleteLink },
    { method: 'GET', path: '/{code}', handle: links.followLink },
  ];
}

/**
 * @param {readonly import('./router.js').Route[]} routes
 * @param {import('node:http').IncomingMessage} request
 * @param {import('node:http').ServerResponse} response
 * @param {(route: string) => void} noteRoute
 */
async function answer(routes, request, response, noteRoute) {
  if ((request.url ?? '').length > MAX_TARGET_CHARACTERS) {
    throw new Problem(414, 'URI Too Long', `A request target has at most ${MAX_TARGET_CHARACTERS} characters.`);
  }
  const { pathname, query } = splitTarget(request.url);
  if (await sendStaticFile(PAGE_MOUNTS, request, response, pathname)) return;
  const match = matchRoute(routes, request.method, pathname);
  if (match.kind === 'found') {
    noteRoute(match.route.path);
    await match.route.handle({ request, response, code: match.code, query });
    return;
  }
  if (match.kind === 'unknown') throw new Problem(404, 'Not Found', `There is nothing at ${pathname}.`);
  response.setHeader('allow', match.allow);
  throw new Problem(405, 'Method Not Allowed', `${pathname} answers ${match.allow}.`);
}

/**
 * Problems are the client's to see; anything else is logged, and the client learns only that it happened.
 *
 * @param {import('node:http').ServerResponse} response
 * @param {unknown} err
 * @param {(message: string) => void} log
 */
function sendFailure(response, err, log) {
  if (err instanceof Problem) {
    sendProblem(response, err);
    return;
  }
  log(err instanceof Error ? (err.stack ?? err.message) : String(err));
  if (response.headersSent) response.destroy();
  else sendProblem(response, new Problem(500, 'Internal Server Error', 'The request could not be completed.'));
}

/**
 * A client may send any word as its method: unknown ones share a label, so that nobody can fill the memory with them.
 *
 * @param {string | undefined} method
 */
function methodLabel(method) {
  return method !== undefined && ['GET', 'HEAD', 'POST', 'DELETE'].includes(method) ? method : 'other';
}
