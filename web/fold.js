import { h } from '/dom.js';

/**
 * Something that opens and closes. What is inside is made when it is open, so that a page of many closed ones is small.
 * What nobody touched follows `isOpen`; what somebody opened or closed stays so, however often the page is drawn.
 */
export function fold(touched, { key, kind, isOpen = false }, summary, body) {
  const open = touched.get(key) ?? isOpen;
  const details = h('details', { 'class': kind, 'data-key': key, open },
    h('summary', { 'data-key': `${key}-summary`, 'onclick': () => {
      const opens = !details.open;
      touched.set(key, opens);
      if (opens && details.childElementCount === 1) details.append(...shown(body()));
    } }, ...summary),
    open ? body() : []);
  return details;
}
const shown = (children) => children.filter((child) => child !== false && child !== null && child !== undefined);

/** A button that opens and closes a group of phases. */
export const groupToggle = (view, node, text, place) => {
  const isOpen = view.isOpen(node);
  return h('button', { 'class': 'toggle', 'data-key': `group-${place}-${node.id}`, 'aria-expanded': String(isOpen), 'aria-label': `${isOpen ? 'Close' : 'Open'} ${node.id}: ${text}`, 'onclick': () => view.toggle(node) },
    h('span', { 'aria-hidden': 'true' }, isOpen ? '▾ ' : '▸ '), text);
};
