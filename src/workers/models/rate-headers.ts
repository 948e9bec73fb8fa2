import { LIMIT_KINDS } from '../../shared/model-limits.ts';

/** A provider that asks for more is asked again after a day, so that one wrong header cannot stop a fleet for ever. */
const LONGEST_MS = 24 * 3600_000;

/** The time at the other end: its clock may differ from ours. */
function clockOf(headers: Headers): number {
  const told = Date.parse(headers.get('date') ?? '');
  return Number.isFinite(told) ? told : Date.now();
}

const bounded = (ms: number): number | undefined =>
  Number.isFinite(ms) ? Math.min(Math.max(ms, 0), LONGEST_MS) : undefined;

/** How long the provider asks to wait: `retry-after-ms`, or `retry-after` in seconds or as a date. */
export function retryAfterMs(headers: Headers | undefined): number | undefined {
  if (headers === undefined) return undefined;
  const millis = bounded(Number.parseFloat(headers.get('retry-after-ms') ?? ''));
  if (millis !== undefined) return millis;
  const text = headers.get('retry-after') ?? '';
  if (text === '') return undefined;
  const seconds = Number(text);
  return bounded(Number.isFinite(seconds) ? seconds * 1000 : Date.parse(text) - clockOf(headers));
}

const HEADER = { requests: 'requests', input: 'input-tokens', output: 'output-tokens', tokens: 'tokens' } as const;

/** Limit, remaining and milliseconds until the reset of each kind, in order; '' for what is not told. */
export function readRateLimits(headers: Headers): string[] {
  const count = (name: string): string => {
    const value = Number.parseInt(headers.get(name) ?? '', 10);
    return Number.isFinite(value) && value >= 0 ? String(value) : '';
  };
  return LIMIT_KINDS.flatMap((kind) => {
    const name = `anthropic-ratelimit-${HEADER[kind]}`;
    const reset = Date.parse(headers.get(`${name}-reset`) ?? '') - clockOf(headers);
    return [
      count(`${name}-limit`),
      count(`${name}-remaining`),
      Number.isFinite(reset) ? String(Math.max(reset, 0)) : '',
    ];
  });
}
