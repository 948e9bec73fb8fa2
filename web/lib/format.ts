import type { Usage } from '../../src/shared/run-record.ts';

export const count = (number: number, noun: string, plural = `${noun}s`): string =>
  `${number.toLocaleString()} ${number === 1 ? noun : plural}`;

const WORDS: Partial<Record<string, string>> = {
  passed_with_warnings: 'passed, with warnings',
  not_gated: 'not gated',
  not_started: 'not started',
  awaiting_approval: 'awaiting approval',
  not_evaluable: 'not evaluable',
  not_applicable: 'not applicable',
  not_needed: 'not needed',
  not_measured: 'not measured',
  not_supplied: 'not supplied',
  waiting_for_place: 'waits for a place',
};
/** A status as people say it. */
export const words = (status: string): string => WORDS[status] ?? status.replaceAll('_', ' ');

export function seconds(total: number): string {
  if (total < 60) return `${total.toFixed(1)} s`;
  const minutes = Math.floor(total / 60);
  if (minutes < 60) return `${minutes} min ${Math.floor(total % 60)} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

export const millis = (ms: number): string => (ms < 1000 && ms > 0 ? `${Math.round(ms)} ms` : seconds(ms / 1000));

export function duration(startedAt: string | null, finishedAt: string | null): string {
  if (startedAt === null) return '–';
  const end = finishedAt === null ? Date.now() : Date.parse(finishedAt);
  return seconds(Math.max(0, end - Date.parse(startedAt)) / 1000);
}

/** How long it is until a time: `in 2 h 5 min`. */
export const until = (at: string): string => `in ${duration(new Date().toISOString(), at)}`;

export const tokensOf = (usage: Usage): number =>
  usage.inputTokens + usage.outputTokens + usage.cacheReadTokens + usage.cacheWriteTokens;
export const tokens = (usage: Usage): string => tokensOf(usage).toLocaleString();
export const dollars = (usd: number): string => `$${usd.toFixed(usd > 0 && usd < 0.01 ? 4 : 2)}`;
/** A price that nobody knows is never guessed. */
export const cost = (usage: Usage): string => (usage.costUsd === null ? 'unknown' : dollars(usage.costUsd));
/** What was paid: a stand-in and a recording cost nothing, and that is not the same as a small price. */
export function paid(of: { simulated: boolean; replayed?: boolean | undefined; usage: Usage }): string {
  if (of.replayed === true) return of.simulated ? 'none (replayed, simulated)' : 'none (replayed)';
  return of.simulated ? 'none (simulated)' : cost(of.usage);
}
export const number = (value: number): string => String(Math.round(value * 1e4) / 1e4);
export const clock = (at: string): string => new Date(at).toLocaleTimeString();
