/**
 * Splits the request target without the URL parser, which throws on targets such as `//` that a client may send.
 *
 * @param {string | undefined} target
 * @returns {{ pathname: string, query: URLSearchParams }}
 */
export function splitTarget(target = '/') {
  const mark = target.indexOf('?');
  if (mark === -1) return { pathname: target, query: new URLSearchParams() };
  return { pathname: target.slice(0, mark), query: new URLSearchParams(target.slice(mark + 1)) };
}
