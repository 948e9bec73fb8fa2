import type { PhaseRecord, RunStatus } from './run-record.ts';

const named = (list: readonly PhaseRecord[]): string =>
  list.map((phase) => `${phase.phase}: ${phase.reason}`).join('; ');

/**
 * A run's status from the statuses of its phases; every phase that did not pass is named. `notRun`: those that were
 * left out because the run started from a later one.
 */
export function runOutcome(
  phases: readonly PhaseRecord[],
  notRun: ReadonlySet<string> = new Set(),
): { status: RunStatus; reason: string } {
  const having = (...statuses: PhaseRecord['status'][]): PhaseRecord[] =>
    phases.filter((phase) => statuses.includes(phase.status));
  const cancelled = having('cancelled');
  if (cancelled.length > 0) return { status: 'cancelled', reason: named(cancelled) };
  const failed = having('failed');
  const blocked = having('blocked');
  if (failed.length > 0) return { status: 'failed', reason: named([...failed, ...blocked]) };
  if (blocked.length > 0) return { status: 'blocked', reason: named(blocked) };
  const stranded = having('not_started', 'waiting', 'running', 'awaiting_approval');
  if (stranded.length > 0) return { status: 'failed', reason: named(stranded) };
  const skipped = having('skipped').filter((phase) => !notRun.has(phase.phase));
  const notes = [
    ['warnings in', having('passed_with_warnings')],
    ['not gated:', having('not_gated')],
    ['started later, so that nobody judged:', having('skipped').filter((phase) => notRun.has(phase.phase))],
    // A run in which nothing ran has proven nothing.
    ['nothing ran; skipped:', skipped.length === phases.length ? skipped : []],
  ] as const;
  const doubts = notes.filter(([, which]) => which.length > 0);
  const told = [
    ...doubts,
    ...(skipped.length > 0 && skipped.length < phases.length ? [['skipped:', skipped] as const] : []),
  ];
  return {
    status: doubts.length === 0 ? 'passed' : 'passed_with_warnings',
    reason: told.map(([words, which]) => `${words} ${which.map((phase) => phase.phase).join(', ')}`).join('; '),
  };
}
