import type { z } from 'zod';
import { FleetError } from '../shared/errors.ts';
import { type FleetEntry, endOfFleetLog, readFleetLog, startOfFleetLog } from '../shared/fleet-log.ts';
import { Recent } from '../shared/recent.ts';
import type { Redis } from '../shared/redis.ts';
import type { RunStore } from '../shared/run-store.ts';
import type { FleetEvent } from './api-schemas.ts';
import { SharedPages } from './shared-pages.ts';
import { isReplayedRun, isSimulatedRun, replayedMark } from '../shared/run-record.ts';

type Event = z.infer<typeof FleetEvent>;
type OfRun = Pick<Event, 'workflow' | 'simulated' | 'replayed'>;

const PAGE = 200;
const PAGES = 50;
const RUNS = 5_000;
const EVENTS = 500;

/** What happened to all runs, in one order: references in the fleet's log, filled in from the logs of the runs. */
export class FleetFeed {
  readonly #redis: Redis;
  readonly #prefix: string;
  readonly #store: RunStore;
  readonly #pages: SharedPages<FleetEntry>;
  readonly #runs = new Recent<OfRun>(RUNS);
  readonly #events = new Recent<Promise<Event | undefined>>(EVENTS);

  constructor(of: { redis: Redis; prefix: string; store: RunStore }) {
    this.#redis = of.redis;
    this.#prefix = of.prefix;
    this.#store = of.store;
    this.#pages = new SharedPages({
      read: (after) => readFleetLog(of.redis, of.prefix, after, { count: PAGE }),
      pages: PAGES,
      mostBytes: PAGE,
      sizeOf: () => 1,
    });
  }

  grown(): void {
    this.#pages.grown();
  }

  end(): Promise<string> {
    return endOfFleetLog(this.#redis, this.#prefix);
  }

  start(): Promise<string | undefined> {
    return startOfFleetLog(this.#redis, this.#prefix);
  }

  /** The next entries, without what they refer to. */
  after(place: string): Promise<readonly FleetEntry[]> {
    return this.#pages.after(place);
  }

  /** The workflow of a run, and whether it is simulated or replayed; undefined when the run is nowhere any more. */
  async runOf(runId: string): Promise<OfRun | undefined> {
    const known = this.#runs.get(runId);
    if (known !== undefined) return known;
    try {
      const plan = await this.#store.getPlan(runId);
      const origin = { simulated: isSimulatedRun(plan), ...replayedMark(isReplayedRun(plan)) };
      const run = { workflow: plan.workflow, ...origin };
      this.#runs.set(runId, run);
      return run;
    } catch (err) {
      if (err instanceof FleetError && err.code === 'NOT_FOUND') return undefined;
      throw err;
    }
  }

  /** The event that an entry refers to; undefined when it is nowhere any more. */
  async eventOf(entry: FleetEntry): Promise<Event | undefined> {
    const known = this.#events.get(entry.id);
    if (known !== undefined) return known;
    const filling = this.#fill(entry);
    this.#events.set(entry.id, filling);
    filling.catch(() => this.#events.delete(entry.id));
    return filling;
  }

  async #fill({ id, runId, seq }: FleetEntry): Promise<Event | undefined> {
    const [run, [event]] = await Promise.all([this.runOf(runId), this.#store.readEvents(runId, seq - 1, { count: 1 })]);
    return run === undefined || event?.seq !== seq ? undefined : { cursor: id, ...run, event };
  }
}
