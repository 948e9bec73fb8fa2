/**
 * What may become a short link (FR-2, FR-3). The service decides by these rules; the page uses the same file to tell
 * people early, so the two can never disagree.
 */

/** The longest target address that is stored, in characters. */
export const MAX_TARGET_LENGTH = 2048;

/** Names that are paths of the service itself and can never be an alias. */
export const RESERVED_ALIASES = Object.freeze(['api', 'healthz', 'metrics', 'shared']);

const ALIAS_PATTERN = /^[A-Za-z0-9_-]{3,32}$/;
const ALLOWED_PROTOCOLS = new Set(['http:', 'https:']);

/** @typedef {{ ok: true, value: string } | { ok: false, reason: string }} RuleResult The value to use, or why there is none. */

/**
 * Checks a target address and returns it in its normal form.
 *
 * @param {unknown} text
 * @returns {RuleResult}
 */
export function checkTarget(text) {
  if (typeof text !== 'string' || text.trim() === '') return { ok: false, reason: 'Enter the address to shorten.' };
  if (text.length > MAX_TARGET_LENGTH) {
    return { ok: false, reason: `The address is longer than ${MAX_TARGET_LENGTH} characters.` };
  }
  const address = text.trim();
  if (!URL.canParse(address)) return { ok: false, reason: 'The address is not a complete URL.' };
  const url = new URL(address);
  if (!ALLOWED_PROTOCOLS.has(url.protocol)) {
    return { ok: false, reason: 'Only http and https addresses can be shortened.' };
  }
  if (url.username !== '' || url.password !== '') {
    return { ok: false, reason: 'The address must not contain a user name or password.' };
  }
  return { ok: true, value: url.href };
}

/**
 * Checks an alias chosen by a person.
 *
 * @param {unknown} text
 * @returns {RuleResult}
 */
export function checkAlias(text) {
  if (typeof text !== 'string' || !ALIAS_PATTERN.test(text)) {
    return { ok: false, reason: 'An alias has 3 to 32 letters, digits, hyphens or underscores.' };
  }
  if (RESERVED_ALIASES.includes(text.toLowerCase())) {
    return { ok: false, reason: `The alias "${text}" is reserved by the service.` };
  }
  return { ok: true, value: text };
}
