/**
 * What a handler is given.
 *
 * @typedef {object} Exchange
 * @property {import('node:http').IncomingMessage} request
 * @property {import('node:http').ServerResponse} response
 * @property {string} code The `{code}` of the path; empty where the path has none.
 * @property {URLSearchParams} query
 */

/** @typedef {(exchange: Exchange) => void | Promise<void>} Handler */
/** @typedef {{ method: string, path: string, handle: Handler }} Route */
/** @typedef {{ kind: 'found', route: Route, code: string } | { kind: 'wrong-method', allow: string } | { kind: 'unknown' }} Match */

const PARAMETER = '{code}';

/**
 * Finds the route for a request. A HEAD request is answered by the GET route.
 *
 * @param {readonly Route[]} routes More specific paths first.
 * @param {string | undefined} method
 * @param {string} pathname
 * @returns {Match}
 */
export function matchRoute(routes, method, pathname) {
  const wanted = method === 'HEAD' ? 'GET' : method;
  /** @type {string[]} */
  const allowed = [];
  for (const route of routes) {
    const code = matchPath(route.path, pathname);
    if (code === undefined) continue;
    if (route.method === wanted) return { kind: 'found', route, code };
    allowed.push(route.method);
  }
  if (allowed.length === 0) return { kind: 'unknown' };
  return { kind: 'wrong-method', allow: [...new Set(allowed)].join(', ') };
}

/**
 * @param {string} pattern
 * @param {string} pathname
 * @returns {string | undefined} the code in the path, or an empty text for a path that matches without one
 */
function matchPath(pattern, pathname) {
  const wanted = pattern.split('/');
  const given = pathname.split('/');
  const fits =
    wanted.length === given.length && wanted.every((part, index) => part === PARAMETER || part === given[index]);
  if (!fits) return undefined;
  const place = wanted.indexOf(PARAMETER);
  if (place < 0) return '';
  return given[place] === '' ? undefined : given[place];
}
