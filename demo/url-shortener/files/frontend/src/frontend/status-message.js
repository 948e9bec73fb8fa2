/** @typedef {'info' | 'error'} StatusKind */

/**
 * The one line that says what just happened. It is a live region, so screen readers speak it.
 *
 * @param {import('./elements.js').PageElement} element
 */
export function createStatusMessage(element) {
  /**
   * @param {StatusKind} kind
   * @param {string} text
   */
  const show = (kind, text) => {
    element.setAttribute('data-kind', kind);
    element.textContent = text;
  };
  return {
    /** @param {string} text */
    info: (text) => show('info', text),
    /** @param {string} text */
    error: (text) => show('error', text),
  };
}

/** @typedef {ReturnType<typeof createStatusMessage>} StatusMessage */
