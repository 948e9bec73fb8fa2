import type { CollectContext } from '../../collector.ts';
import { type Reading, defineCollector, measured, notEvaluable } from './define-collector.ts';

const DAY_MS = 86_400_000;

const outsideRun = (metric: string): Reading =>
  notEvaluable(
    metric,
    'run-record/none',
    'this is no phase of a run, so nothing was recorded about its course; measure it within a run',
  );

function durationDays(context: CollectContext, metric: string, now: number): Reading {
  const { phaseStartedAt } = context.run;
  if (phaseStartedAt === undefined) return outsideRun(metric);
  const started = Date.parse(phaseStartedAt);
  if (!Number.isFinite(started) || started > now) {
    return notEvaluable(
      metric,
      'run-record/clock',
      `the phase's recorded start, ${phaseStartedAt}, is no time before now`,
    );
  }
  return measured((now - started) / DAY_MS, 1, `the phase started at ${phaseStartedAt}`, { kind: 'record' });
}

function iterations(context: CollectContext, metric: string): Reading {
  const { phaseStartedAt, round } = context.run;
  if (phaseStartedAt === undefined) return outsideRun(metric);
  return measured(round + 1, 1, `${round} rounds of rework came before this one`, { kind: 'record' });
}

/** Reads what the fleet recorded of the phase's own course. */
export const createRunRecordCollector = (now: () => number) =>
  defineCollector({
    id: 'run-record',
    version: '1',
    timeoutMs: 5000,
    prepare: () => Promise.resolve(undefined),
    measures: {
      phase_duration_days: (_, context, metric) => durationDays(context, metric, now()),
      design_iterations: (_, context, metric) => iterations(context, metric),
      review_iterations: (_, context, metric) => iterations(context, metric),
    },
  });
