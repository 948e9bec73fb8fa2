import type { RunId } from '../shared/names.ts';
import type { PhaseRecord, RunEvent, RunRecord } from '../shared/run-record.ts';
import type { RunStanding } from '../shared/run-entries.ts';
import type { RunStore } from '../shared/run-store.ts';
import { eventFrame } from './event-frame.ts';
import { SharedPages } from './shared-pages.ts';

const PAGE = 100;
const PAGES = 4;
const MOST_PAGE_BYTES = 256 * 1024;
/** How old the answer to a look at a quiet run may be. */
const LOOK_MS = 1_000;

/** One run as its listeners read it together: a thousand of them ask Redis as often as one does. */
export class SharedRun {
  readonly #runId: RunId;
  readonly #store: RunStore;
  readonly #pages: SharedPages<RunEvent>;
  readonly #phases = new Shared<PhaseRecord[]>();
  readonly #run = new Shared<RunRecord>();
  #look: { standing: Promise<RunStanding | undefined>; until: number } | undefined;

  constructor(store: RunStore, runId: RunId) {
    this.#store = store;
    this.#runId = runId;
    this.#pages = new SharedPages({
      read: (after) => store.readEvents(runId, Number(after), { count: PAGE }),
      pages: PAGES,
      mostBytes: MOST_PAGE_BYTES,
      sizeOf: (event) => eventFrame(event).length,
    });
  }

  grown(): void {
    this.#pages.grown();
  }

  readEvents(afterSeq: number): Promise<readonly RunEvent[]> {
    return this.#pages.after(String(afterSeq));
  }

  getPhases(): Promise<PhaseRecord[]> {
    return this.#phases.ask(() => this.#store.getPhases(this.#runId));
  }

  getRun(): Promise<RunRecord> {
    return this.#run.ask(() => this.#store.getRun(this.#runId));
  }

  /** As it is now. */
  getStanding(): Promise<RunStanding | undefined> {
    return this.#store.getStanding(this.#runId);
  }

  /** As it was a moment ago. */
  look(): Promise<RunStanding | undefined> {
    if (this.#look === undefined || performance.now() > this.#look.until) {
      const standing = this.getStanding();
      standing.catch(() => (this.#look = undefined));
      this.#look = { standing, until: performance.now() + LOOK_MS };
    }
    return this.#look.standing;
  }
}

/** Whoever asks while an answer is on its way is given that one. */
class Shared<T> {
  #asked: Promise<T> | undefined;

  async ask(ask: () => Promise<T>): Promise<T> {
    this.#asked ??= ask().finally(() => (this.#asked = undefined));
    return this.#asked;
  }
}
