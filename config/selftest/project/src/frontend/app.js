/**
 * The words shown when a link was made.
 * @param {string} code
 */
export function made(code) {
  return `Your link is /r/${code}`;
}
