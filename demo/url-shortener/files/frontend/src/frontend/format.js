/**
 * `1 visit`, `2 visits`.
 *
 * @param {number} count
 * @param {string} noun
 */
export const formatCount = (count, noun) => `${count.toLocaleString('en')} ${noun}${count === 1 ? '' : 's'}`;

/**
 * A moment in a form that is the same everywhere: `2026-03-01 10:00 UTC`.
 *
 * @param {string | null} moment ISO 8601
 */
export function formatMoment(moment) {
  return moment === null ? 'never' : `${moment.slice(0, 10)} ${moment.slice(11, 16)} UTC`;
}

/**
 * Cuts the middle out of a long text; the ends of an address are what people know it by.
 *
 * @param {string} text
 * @param {number} [length]
 */
export function shorten(text, length = 60) {
  if (text.length <= length) return text;
  const half = Math.floor((length - 1) / 2);
  return `${text.slice(0, half)}…${text.slice(-half)}`;
}
