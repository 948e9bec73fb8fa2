import { mkdir, open, readFile, truncate } from 'node:fs/promises';
import path from 'node:path';

/**
 * What happened to the links, one JSON object a line. The file is only ever appended to (FR-8).
 *
 * @typedef {{ type: 'created', code: string, url: string, at: string }
 *   | { type: 'clicked', code: string, at: string }
 *   | { type: 'removed', code: string, at: string }} Entry
 */

const NEWLINE = '\n';

/** An append-only file of entries. Appends are written in the order in which they were asked for. */
export class Journal {
  /** @type {import('node:fs/promises').FileHandle} */
  #handle;
  /** @type {Promise<void>} */
  #lastWrite = Promise.resolve();

  /** @param {import('node:fs/promises').FileHandle} handle */
  constructor(handle) {
    this.#handle = handle;
  }

  /**
   * Opens the journal of a folder and reads what it holds. A last line without its end is what a crash in the middle
   * of a write leaves behind: nobody was told that it was saved, so it is cut off.
   *
   * @param {string} folder
   * @returns {Promise<{ journal: Journal, entries: Entry[] }>}
   */
  static async open(folder) {
    await mkdir(folder, { recursive: true });
    const file = path.join(folder, 'links.jsonl');
    const handle = await open(file, 'a');
    const text = await readFile(file, 'utf8');
    const complete = text.slice(0, text.lastIndexOf(NEWLINE) + 1);
    if (complete.length < text.length) await truncate(file, Buffer.byteLength(complete));
    try {
      return { journal: new Journal(handle), entries: parseLines(complete, file) };
    } catch (err) {
      await handle.close();
      throw err;
    }
  }

  /**
   * Appends an entry; a durable one is on the disk when the promise is fulfilled.
   *
   * @param {Entry} entry
   * @param {{ durable: boolean }} options
   * @returns {Promise<void>}
   */
  append(entry, { durable }) {
    const write = async () => {
      await this.#handle.appendFile(JSON.stringify(entry) + NEWLINE);
      if (durable) await this.#handle.datasync();
    };
    const written = this.#lastWrite.then(write);
    this.#lastWrite = written.catch(ignoreForTheNextWrite);
    return written;
  }

  /** Waits for what was appended, brings all of it to the disk and closes the file. */
  async close() {
    await this.#lastWrite;
    await this.#handle.datasync();
    await this.#handle.close();
  }
}

/** The caller of the failed append was told; the writes behind it in the queue must still be tried. */
function ignoreForTheNextWrite() {
  return undefined;
}

/**
 * @param {string} text
 * @param {string} file
 * @returns {Entry[]}
 */
function parseLines(text, file) {
  const lines = text.split(NEWLINE).slice(0, -1);
  return lines.map((line, index) => {
    try {
      return JSON.parse(line);
    } catch (err) {
      throw new Error(`${file}:${index + 1} is damaged: restore the journal from a backup.`, { cause: err });
    }
  });
}
