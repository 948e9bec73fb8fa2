import { RunId } from './names.ts';
import type { Redis } from './redis.ts';

/** How many entries the fleet's log keeps, about: older ones are still in the logs of their runs. */
const KEPT = 50_000;

/** One entry of the fleet's log: that this event was appended to the log of that run. */
export interface FleetEntry {
  /** Its place in the fleet's log. */
  id: string;
  runId: RunId;
  seq: number;
  type: string;
}

/** Before every entry. */
export const BEGINNING = '0-0';

export const fleetLogKey = (prefix: string): string => `${prefix}:maestro:events`;

/** Defines `announce`, for the scripts that append to the log of a run: the fleet's log tells of it in the same step. */
export const ANNOUNCE_SCRIPT = `
local function announce(key, run, seq, kind)
  redis.call('XADD', key, 'MAXLEN', '~', ${KEPT}, '*', 'run', run, 'seq', seq, 'type', kind)
end
`;

/** Entries after a place, oldest first. With `blockMs` it waits that long for the first one (needs its own connection). */
export async function readFleetLog(
  redis: Redis,
  prefix: string,
  after: string,
  options: { count: number; blockMs?: number },
): Promise<FleetEntry[]> {
  const key = fleetLogKey(prefix);
  const reply =
    options.blockMs === undefined
      ? await redis.xread('COUNT', options.count, 'STREAMS', key, after)
      : await redis.xread('COUNT', options.count, 'BLOCK', options.blockMs, 'STREAMS', key, after);
  return (reply?.[0]?.[1] ?? []).map(([id, [, run = '', , seq = '', , type = '']]) => ({
    id,
    runId: RunId.parse(run),
    seq: Number(seq),
    type,
  }));
}

/** The place of the last entry. */
export async function endOfFleetLog(redis: Redis, prefix: string): Promise<string> {
  const [last] = await redis.xrevrange(fleetLogKey(prefix), '+', '-', 'COUNT', 1);
  return last?.[0] ?? BEGINNING;
}

/** The place of the oldest entry that is kept. */
export async function startOfFleetLog(redis: Redis, prefix: string): Promise<string | undefined> {
  const [first] = await redis.xrange(fleetLogKey(prefix), '-', '+', 'COUNT', 1);
  return first?.[0];
}

/** Whether one place of the fleet's log lies before another. */
export function isBefore(one: string, other: string): boolean {
  const [oneMs = 0, oneNumber = 0] = one.split('-').map(Number);
  const [otherMs = 0, otherNumber = 0] = other.split('-').map(Number);
  return oneMs < otherMs || (oneMs === otherMs && oneNumber < otherNumber);
}
