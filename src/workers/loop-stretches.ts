import { closeSync, openSync, readSync } from 'node:fs';
import { type RecordableHistogram, createHistogram } from 'node:perf_hooks';

/** How often the event loop is looked at. */
export const RESOLUTION_MS = 10;
/** What no conversation may hold up the others for. */
export const HELD_MS = 50;

/** Processor time of the main thread between two looks, milliseconds. */
export interface LoopBusy {
  p99Ms: number;
  maxMs: number;
  /** All of it that went into stretches of more than `HELD_MS`, since the process began. */
  heldMs: number;
}

const ms = (nanoseconds: number): number => Math.round(nanoseconds / 1e5) / 10;

/**
 * How long this process's own work holds up its event loop. The delay of the loop also grows when others use the
 * machine's cores; this counts only the time in which the main thread itself computed, as Linux keeps it.
 */
export class LoopStretches {
  readonly #stat: number;
  readonly #text = Buffer.alloc(64);
  readonly #histogram: RecordableHistogram = createHistogram();
  readonly #timer: NodeJS.Timeout;
  #last: number;
  #heldMs = 0;

  /** Undefined on a system that does not tell the processor time of a thread. Throws nothing. */
  static open(): LoopStretches | undefined {
    try {
      return new LoopStretches(openSync(`/proc/self/task/${process.pid}/schedstat`, 'r'));
    } catch {
      return undefined;
    }
  }

  private constructor(stat: number) {
    this.#stat = stat;
    this.#last = this.#nanoseconds();
    this.#timer = setInterval(() => this.#look(), RESOLUTION_MS).unref();
  }

  get busy(): LoopBusy {
    const { max, count } = this.#histogram;
    return {
      p99Ms: count === 0 ? 0 : ms(this.#histogram.percentile(99)),
      maxMs: count === 0 ? 0 : ms(max),
      heldMs: Math.round(this.#heldMs * 10) / 10,
    };
  }

  close(): void {
    clearInterval(this.#timer);
    closeSync(this.#stat);
  }

  #look(): void {
    const now = this.#nanoseconds();
    const stretch = now - this.#last;
    this.#last = now;
    this.#histogram.record(Math.max(1, stretch));
    if (stretch > HELD_MS * 1e6) this.#heldMs += stretch / 1e6;
  }

  /** The first figure is what the thread has run so far. */
  #nanoseconds(): number {
    const length = readSync(this.#stat, this.#text, 0, this.#text.length, 0);
    return Number.parseInt(this.#text.toString('latin1', 0, length), 10);
  }
}
