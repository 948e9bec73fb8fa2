/**
 * The part of the DOM that the page needs. A browser's elements have it, and so has the small stand-in of the tests,
 * which is why every component is given its elements and never reaches for a global one.
 *
 * @typedef {object} PageElement
 * @property {string | null} textContent
 * @property {string} [value]
 * @property {boolean} [disabled]
 * @property {(name: string, value: string) => void} setAttribute
 * @property {(...children: any[]) => void} replaceChildren
 * @property {(...children: any[]) => void} append
 * @property {(type: string, listener: (event: any) => void) => void} addEventListener
 * @property {() => void} [focus]
 */

/**
 * @typedef {object} PageDocument
 * @property {(selector: string) => PageElement | null} querySelector
 * @property {(tag: string) => PageElement} createElement
 */

/**
 * Finds an element that the page cannot work without.
 *
 * @param {PageDocument} document
 * @param {string} selector
 * @returns {PageElement}
 */
export function requireElement(document, selector) {
  const element = document.querySelector(selector);
  if (element === null) throw new Error(`The page has no element ${selector}.`);
  return element;
}

/**
 * Finds a component by its name.
 *
 * @param {PageDocument} document
 * @param {string} name
 */
export const requireComponent = (document, name) => requireElement(document, `[data-component="${name}"]`);

/**
 * Makes an element. Texts become text nodes, so nothing that a person entered is ever read as markup (NFR-5).
 *
 * @param {PageDocument} document
 * @param {string} tag
 * @param {Record<string, string>} attributes
 * @param {...(PageElement | string)} children
 * @returns {PageElement}
 */
export function make(document, tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/**
 * Makes a button that calls `onPress`. Its label says which thing it acts on.
 *
 * @param {PageDocument} document
 * @param {{ text: string, label: string, onPress: () => unknown }} options
 * @returns {PageElement}
 */
export function makeButton(document, { text, label, onPress }) {
  const button = make(document, 'button', { type: 'button', class: 'quiet', 'aria-label': label }, text);
  button.addEventListener('click', () => onPress());
  return button;
}
