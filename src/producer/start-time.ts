import { FleetError } from '../shared/errors.ts';
import { Duration, durationMs } from '../shared/workflow-schema.ts';

const YEAR_MS = 366 * 24 * 3600 * 1000;

/** When a run is to start, in UTC: after a while, or at a time that names its zone. Refuses the past and far futures. */
export function startTime(wish: { delay: string } | { at: string }, now = Date.now()): string {
  const at = 'delay' in wish ? afterDelay(wish.delay, now) : atTime(wish.at);
  const words = 'delay' in wish ? `a delay of ${wish.delay}` : wish.at;
  if (at < now) throw new FleetError('BAD_USAGE', `${words} is in the past`, { remedy: 'Give a time to come.' });
  if (at > now + YEAR_MS) throw new FleetError('BAD_USAGE', `${words} is more than a year away`);
  return new Date(at).toISOString();
}

function afterDelay(text: string, now: number): number {
  const duration = Duration.safeParse(text);
  if (!duration.success)
    throw new FleetError('BAD_USAGE', `"${text}" is not a delay`, { remedy: 'Write it as 90s, 20m or 1h30m.' });
  return now + durationMs(duration.data);
}

function atTime(text: string): number {
  const at = /T.*(Z|[+-]\d\d:?\d\d)$/i.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(at))
    throw new FleetError('BAD_USAGE', `"${text}" is not a time with a zone`, {
      remedy: 'Write it as 2027-01-31T18:00:00Z or 2027-01-31T18:00:00+01:00.',
    });
  return at;
}
