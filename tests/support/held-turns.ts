import type { Interference } from '../../src/workers/scripted/server.ts';

/** Answers of the scripted provider that wait for a test instead of for time. */
export class HeldTurns {
  readonly #held = new Map<string, { until: Promise<void>; letGo: () => void }>();

  /** Keeps back the first answer of each conversation of a phase from now on. */
  hold(phase: string): void {
    let letGo = (): void => undefined;
    const until = new Promise<void>((resolve) => {
      letGo = resolve;
    });
    this.#held.set(phase, { until, letGo });
  }

  /** Gives the answers that were kept back, and keeps back no more. */
  letGo(phase: string): void {
    this.#held.get(phase)?.letGo();
    this.#held.delete(phase);
  }

  letAllGo(): void {
    for (const phase of this.#held.keys()) this.letGo(phase);
  }

  /** For `startScriptedProvider`. */
  readonly interfere = async ({ turn }: { turn: string }): Promise<Interference | undefined> => {
    const [, phase = '', index] = /\/([^/]+)\/.* (\d+)$/.exec(turn) ?? [];
    if (index === '0') await this.#held.get(phase)?.until;
    return undefined;
  };
}
