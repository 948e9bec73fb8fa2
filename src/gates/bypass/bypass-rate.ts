import type { PhaseRecord } from '../../shared/run-record.ts';
import type { RunStore } from '../../shared/run-store.ts';
import type { PhaseVerdict } from '../../shared/verdict.ts';
import type { PolicyFile } from '../policy-schema.ts';

/** How much of what was evaluated lately was let through by a bypass. */
export interface BypassRate {
  bypassed: number;
  /** Gates and criteria with a result: what was in error was not evaluated. */
  evaluated: number;
  days: number;
  threshold: number;
  isAlert: boolean;
}

/** The share of bypassed gates and criteria among all that were evaluated. */
export function rateOf(verdicts: readonly PhaseVerdict[], settings: { days: number; threshold: number }): BypassRate {
  const outcomes = verdicts
    .flatMap((verdict) => [...verdict.gates, ...verdict.criteria])
    .map((result) => result.outcome)
    .filter((outcome) => outcome !== 'error');
  const bypassed = outcomes.filter((outcome) => outcome === 'bypassed').length;
  const evaluated = outcomes.length;
  return { ...settings, bypassed, evaluated, isAlert: evaluated > 0 && bypassed / evaluated > settings.threshold };
}

export const rateSettings = (file: PolicyFile): { days: number; threshold: number } => ({
  days: file.reporting.trend_analysis.period_days,
  threshold: file.bypass_rules.audit_trail.alert_threshold,
});

/** The rate over the latest verdict of every phase of the runs created in the period. */
export async function bypassRate(
  store: RunStore,
  settings: { days: number; threshold: number },
  now: string,
): Promise<BypassRate> {
  const since = new Date(Date.parse(now) - settings.days * 86_400_000).toISOString();
  const verdicts: PhaseVerdict[] = [];
  let before: string | undefined;
  for (;;) {
    const page = await store.listRuns({ limit: 100, ...(before === undefined ? {} : { before }) });
    const recent = page.runs.filter((run) => run.createdAt >= since);
    for (const run of recent) verdicts.push(...(await store.getPhases(run.runId)).flatMap(lastVerdict));
    if (page.next === null || recent.length < page.runs.length) return rateOf(verdicts, settings);
    before = page.next;
  }
}

const lastVerdict = (phase: PhaseRecord): PhaseVerdict[] => phase.rounds.slice(-1).map((round) => round.verdict);

const percent = (part: number): string => `${(part * 100).toFixed(1)}%`;

/** The rate in one line. */
export function rateLine(rate: BypassRate): string {
  const share = rate.evaluated === 0 ? '0%' : percent(rate.bypassed / rate.evaluated);
  const counts = `${rate.bypassed} of ${rate.evaluated} gates and criteria of the last ${rate.days} days were bypassed (${share})`;
  return rate.isAlert ? `ALERT: ${counts}, more than ${percent(rate.threshold)}` : counts;
}
