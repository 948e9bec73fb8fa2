import { newCode } from './codes.js';
import { Journal } from './journal.js';

/**
 * A short link and how often it was followed.
 *
 * @typedef {object} Link
 * @property {string} code
 * @property {string} url
 * @property {string} createdAt
 * @property {number} clicks
 * @property {string | null} lastAccessedAt
 */

/** @typedef {Link & { daily: Map<string, number> }} StoredLink */

/** Thrown when an alias already leads to another address. */
export class AliasTakenError extends Error {
  /** @param {string} alias */
  constructor(alias) {
    super(`The alias "${alias}" already leads to another address.`);
    this.name = 'AliasTakenError';
  }
}

/** All links: an index in memory, rebuilt from the journal at start. */
export class LinkStore {
  /** @type {Map<string, StoredLink>} In order of creation. */
  #links = new Map();
  /** @type {Set<string>} Codes whose creation is being written. */
  #reserved = new Set();
  /** @type {Journal} */
  #journal;
  /** @type {() => Date} */
  #now;

  /**
   * @param {Journal} journal
   * @param {() => Date} now
   */
  constructor(journal, now) {
    this.#journal = journal;
    this.#now = now;
  }

  /**
   * Opens the store of a data folder, replaying its journal.
   *
   * @param {string} folder
   * @param {() => Date} [now]
   * @returns {Promise<LinkStore>}
   */
  static async open(folder, now = () => new Date()) {
    const { journal, entries } = await Journal.open(folder);
    const store = new LinkStore(journal, now);
    for (const entry of entries) store.#apply(entry);
    return store;
  }

  /** How many links there are. */
  get size() {
    return this.#links.size;
  }

  /**
   * Creates a link. Asking again for the same alias and address changes nothing and returns the link there is.
   *
   * @param {{ url: string, alias?: string | undefined }} wish
   * @returns {Promise<{ link: Link, isNew: boolean }>}
   */
  async create({ url, alias }) {
    if (alias !== undefined && this.#isTaken(alias)) {
      const existing = this.#links.get(alias);
      if (existing?.url !== url) throw new AliasTakenError(alias);
      return { link: existing, isNew: false };
    }
    const code = alias ?? this.#freeCode();
    this.#reserved.add(code);
    try {
      /** @type {import('./journal.js').Entry} */
      const entry = { type: 'created', code, url, at: this.#now().toISOString() };
      await this.#journal.append(entry, { durable: true });
      return { link: this.#applyCreated(entry), isNew: true };
    } finally {
      this.#reserved.delete(code);
    }
  }

  /**
   * @param {string} code
   * @returns {StoredLink | undefined}
   */
  get(code) {
    return this.#links.get(code);
  }

  /**
   * A page of links, newest first.
   *
   * @param {{ limit: number, offset: number }} page
   * @returns {StoredLink[]}
   */
  list({ limit, offset }) {
    return [...this.#links.values()].reverse().slice(offset, offset + limit);
  }

  /**
   * Removes a link for good.
   *
   * @param {string} code
   * @returns {Promise<Link | undefined>} the removed link
   */
  async remove(code) {
    const link = this.#links.get(code);
    if (link === undefined) return undefined;
    const entry = /** @type {const} */ ({ type: 'removed', code, at: this.#now().toISOString() });
    await this.#journal.append(entry, { durable: true });
    this.#apply(entry);
    return link;
  }

  /**
   * Counts a visit. It is not waited for on the disk: a crash of the machine may lose the last visits, but a redirect
   * never waits for one.
   *
   * @param {string} code
   */
  async recordClick(code) {
    const entry = /** @type {const} */ ({ type: 'clicked', code, at: this.#now().toISOString() });
    this.#apply(entry);
    await this.#journal.append(entry, { durable: false });
  }

  /** Closes the journal; the store is not usable afterwards. */
  close() {
    return this.#journal.close();
  }

  /** @param {string} code */
  #isTaken(code) {
    return this.#links.has(code) || this.#reserved.has(code);
  }

  #freeCode() {
    let code = newCode();
    while (this.#isTaken(code)) code = newCode();
    return code;
  }

  /** @param {import('./journal.js').Entry} entry */
  #apply(entry) {
    if (entry.type === 'created') this.#applyCreated(entry);
    else if (entry.type === 'removed') this.#links.delete(entry.code);
    else this.#applyClick(entry);
  }

  /**
   * @param {{ code: string, url: string, at: string }} entry
   * @returns {StoredLink}
   */
  #applyCreated({ code, url, at }) {
    const link = { code, url, createdAt: at, clicks: 0, lastAccessedAt: null, daily: new Map() };
    this.#links.set(code, link);
    return link;
  }

  /** @param {{ code: string, at: string }} entry */
  #applyClick({ code, at }) {
    const link = this.#links.get(code);
    if (link === undefined) return;
    const day = at.slice(0, 'YYYY-MM-DD'.length);
    link.clicks += 1;
    link.lastAccessedAt = at;
    link.daily.set(day, (link.daily.get(day) ?? 0) + 1);
  }
}
