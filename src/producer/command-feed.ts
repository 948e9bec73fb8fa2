import { type LiveCommand, readLiveCommands } from '../shared/live-commands.ts';
import type { RunId } from '../shared/names.ts';
import { Recent } from '../shared/recent.ts';
import type { Redis } from '../shared/redis.ts';
import { TERMINAL_RUN } from '../shared/run-record.ts';
import type { RunStore } from '../shared/run-store.ts';

/** How often it is looked what commands have printed. */
export const EVERY_MS = 500;
const RUNS = 1_000;

interface Look {
  commands: readonly LiveCommand[];
  hasEnded: boolean;
}

/** What personas are running, looked at once for all who listen to a run, and not at all while nobody does. */
export class CommandFeed {
  readonly #of: { redis: Redis; prefix: string; store: RunStore };
  readonly #looks = new Recent<{ look: Promise<Look>; until: number }>(RUNS);

  constructor(of: { redis: Redis; prefix: string; store: RunStore }) {
    this.#of = of;
  }

  /** As it was a moment ago. */
  look(runId: RunId): Promise<Look> {
    const known = this.#looks.get(runId);
    if (known !== undefined && performance.now() < known.until) return known.look;
    const look = this.#read(runId);
    this.#looks.set(runId, { look, until: performance.now() + EVERY_MS });
    look.catch(() => this.#looks.delete(runId));
    return look;
  }

  async #read(runId: RunId): Promise<Look> {
    const { redis, prefix, store } = this.#of;
    const [commands, standing] = await Promise.all([readLiveCommands(redis, prefix, runId), store.getStanding(runId)]);
    return { commands, hasEnded: standing === undefined || TERMINAL_RUN.includes(standing.status) };
  }
}
