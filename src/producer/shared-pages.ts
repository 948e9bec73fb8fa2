import { Recent } from '../shared/recent.ts';

/** How long an end that was found empty is believed, when nobody told of anything new meanwhile. */
const QUIET_MS = 1_000;

interface Source<T> {
  /** What follows a place in the log, oldest first; a page of it. */
  read(after: string): Promise<readonly T[]>;
  /** How many pages are remembered, and up to what size. */
  pages: number;
  mostBytes: number;
  sizeOf(entry: T): number;
}

/**
 * Pages of an append-only log that any number of readers share: whoever stands at the same place is given the same
 * page, which is read once. What follows a place stays what follows it, so a page never becomes wrong, only short.
 */
export class SharedPages<T> {
  readonly #source: Source<T>;
  readonly #pages: Recent<readonly T[]>;
  readonly #reading = new Map<string, Promise<readonly T[]>>();
  #empty: { place: string; until: number } | undefined;
  #growths = 0;

  constructor(source: Source<T>) {
    this.#source = source;
    this.#pages = new Recent(source.pages);
  }

  /** There is more by now. */
  grown(): void {
    this.#growths += 1;
    this.#empty = undefined;
    // A read that was begun before may have come too early.
    this.#reading.clear();
  }

  async after(place: string): Promise<readonly T[]> {
    const known = this.#pages.get(place);
    if (known !== undefined) return known;
    if (this.#empty?.place === place && performance.now() < this.#empty.until) return [];
    const under = this.#reading.get(place);
    if (under !== undefined) return under;
    const reading = this.#read(place);
    this.#reading.set(place, reading);
    try {
      return await reading;
    } finally {
      if (this.#reading.get(place) === reading) this.#reading.delete(place);
    }
  }

  async #read(place: string): Promise<readonly T[]> {
    const growths = this.#growths;
    const page = await this.#source.read(place);
    if (page.length === 0 && growths === this.#growths) this.#empty = { place, until: performance.now() + QUIET_MS };
    if (page.length === 0) return page;
    const bytes = page.reduce((sum, entry) => sum + this.#source.sizeOf(entry), 0);
    if (bytes <= this.#source.mostBytes) this.#pages.set(place, page);
    return page;
  }
}
