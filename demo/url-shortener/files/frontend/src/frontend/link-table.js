import { make, makeButton, requireComponent } from './elements.js';
import { formatCount, shorten } from './format.js';

/** @typedef {import('./api-client.js').LinkView} LinkView */
/** @typedef {{ onCopy: (link: LinkView) => unknown, onStats: (link: LinkView) => unknown, onDelete: (link: LinkView) => unknown }} LinkActions */

/**
 * The links whose code or address holds a text, in any case.
 *
 * @param {readonly LinkView[]} links
 * @param {string} text
 * @returns {readonly LinkView[]}
 */
export function filterLinks(links, text) {
  const wanted = text.trim().toLowerCase();
  if (wanted === '') return links;
  return links.filter(({ code, url }) => `${code} ${url}`.toLowerCase().includes(wanted));
}

/**
 * What the line above the table says.
 *
 * @param {{ shown: number, total: number }} counts
 */
export function describeCount({ shown, total }) {
  if (total === 0) return 'No links yet.';
  return shown === total ? `${formatCount(total, 'link')}.` : `${shown} of ${formatCount(total, 'link')}.`;
}

/**
 * The table of links (US-3).
 *
 * @param {import('./elements.js').PageDocument} document
 * @param {LinkActions} actions
 */
export function createLinkTable(document, actions) {
  const rows = requireComponent(document, 'link-rows');
  const count = requireComponent(document, 'link-count');

  return {
    /**
     * @param {readonly LinkView[]} links
     * @param {{ total: number, filter: string }} view
     */
    show(links, { total, filter }) {
      const shown = filterLinks(links, filter);
      count.textContent = describeCount({ shown: shown.length, total });
      if (shown.length === 0) rows.replaceChildren(emptyRow(document, filter));
      else rows.replaceChildren(...shown.map((link) => linkRow(document, link, actions)));
    },
  };
}

/**
 * @param {import('./elements.js').PageDocument} document
 * @param {string} filter
 */
function emptyRow(document, filter) {
  const text = filter.trim() === '' ? 'Links that you create appear here.' : 'No link matches the filter.';
  return make(document, 'tr', {}, make(document, 'td', { colspan: '4' }, text));
}

/**
 * @param {import('./elements.js').PageDocument} document
 * @param {LinkView} link
 * @param {LinkActions} actions
 */
function linkRow(document, link, { onCopy, onStats, onDelete }) {
  const { code, url, shortUrl, clicks } = link;
  return make(
    document,
    'tr',
    {},
    make(document, 'th', { scope: 'row' }, make(document, 'a', { href: shortUrl, rel: 'noreferrer' }, code)),
    make(document, 'td', { title: url }, shorten(url)),
    make(document, 'td', {}, String(clicks)),
    make(
      document,
      'td',
      { class: 'actions' },
      makeButton(document, { text: 'Copy', label: `Copy ${code}`, onPress: () => onCopy(link) }),
      makeButton(document, { text: 'Statistics', label: `Statistics of ${code}`, onPress: () => onStats(link) }),
      makeButton(document, { text: 'Delete', label: `Delete ${code}`, onPress: () => onDelete(link) }),
    ),
  );
}
