/** An answer that says what went wrong, in the form of RFC 9457 (FR-10). */
export class Problem extends Error {
  /**
   * @param {number} status
   * @param {string} title
   * @param {string} detail
   */
  constructor(status, title, detail) {
    super(detail);
    this.name = 'Problem';
    this.status = status;
    this.title = title;
  }

  /** The body of the answer. */
  toJSON() {
    return { type: 'about:blank', title: this.title, status: this.status, detail: this.message };
  }
}

/**
 * @param {string} code
 * @returns {Problem}
 */
export const linkNotFound = (code) => new Problem(404, 'Not Found', `There is no short link "${code}".`);
