/**
 * Says whether a text is an address that may be shortened.
 * @param {unknown} value
 */
export function isAddress(value) {
  return typeof value === 'string' && /^https?:\/\/[^\s]+$/.test(value);
}

/** Keeps addresses by code, in memory. */
export class Links {
  /** @type {Map<string, string>} */
  #urls = new Map();
  #made = 1000;

  /**
   * Makes a code for an address.
   * @param {string} url
   */
  add(url) {
    this.#made += 1;
    const code = this.#made.toString(36);
    this.#urls.set(code, url);
    return code;
  }

  /**
   * The address behind a code.
   * @param {string} code
   */
  find(code) {
    return this.#urls.get(code);
  }

  /**
   * Forgets a code.
   * @param {string} code
   */
  remove(code) {
    return this.#urls.delete(code);
  }
}
