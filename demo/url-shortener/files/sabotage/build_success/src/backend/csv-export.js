import { quoteField } from './csv-fields.js';

/**
 * Writes all links as CSV.
 *
 * @param {Iterable<import('./link-store.js').StoredLink>} links
 * @returns {string}
 */
export function toCsv(links) {
  return [...links].map(({ code, url, clicks }) => [code, url, clicks].map(quoteField).join(',')).join('\n');
}
