import { FleetError } from '../shared/errors.ts';

/** `7d`, `12h`, `30m`: at most a year, so that nothing holds for good unasked. */
export function periodMs(text: string): number {
  const [, count, unit] = /^(\d{1,6})([dhm])$/.exec(text) ?? [];
  const ms = Number(count ?? 0) * (unit === 'd' ? 86_400_000 : unit === 'h' ? 3_600_000 : 60_000);
  if (ms > 0 && ms <= 366 * 86_400_000) return ms;
  throw new FleetError('BAD_USAGE', `--expires ${text} is no time from now`, {
    remedy: 'Write it as 7d, 12h or 30m; at most a year.',
  });
}
