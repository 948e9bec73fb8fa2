import type { RunSignals } from './run-signals.ts';

/** Remembers that something happened to any run, until somebody waits for it. */
export class News {
  readonly #stop: () => void;
  readonly #signal: AbortSignal;
  #isNew = false;
  #wake: (() => void) | undefined;

  constructor(signals: RunSignals, signal: AbortSignal) {
    this.#signal = signal;
    const hear = (): void => {
      this.#isNew = true;
      this.#wake?.();
    };
    const forget = signals.listenToFleet(hear);
    signal.addEventListener('abort', hear);
    this.#stop = () => {
      forget();
      signal.removeEventListener('abort', hear);
    };
  }

  /** Resolves when something has happened since the last time, or is to end, or after that time. */
  async wait(atMostMs: number): Promise<void> {
    if (!this.#isNew && !this.#signal.aborted)
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, atMostMs);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    this.#wake = undefined;
    this.#isNew = false;
  }

  end(): void {
    this.#stop();
  }
}
