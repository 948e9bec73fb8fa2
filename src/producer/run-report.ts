import type { z } from 'zod';
import type { PhaseRecord, RunPlan, RunRecord } from '../shared/run-record.ts';
import type { GateOutcome, PhaseVerdict } from '../shared/verdict.ts';
import type { RunReport } from './api-schemas.ts';

type Report = z.infer<typeof RunReport>;

/** What a run came to, from its records alone. */
export function buildReport(plan: RunPlan, run: RunRecord, records: readonly PhaseRecord[]): Report {
  const verdicts = records.flatMap((record) => record.rounds.at(-1)?.verdict ?? []);
  return {
    run,
    gates: tally(verdicts.flatMap((verdict) => verdict.gates)),
    criteria: tally(verdicts.flatMap((verdict) => verdict.criteria)),
    blockers: records.flatMap(blockersOf),
    phases: records.map((record) => {
      const planned = plan.phases.find(({ name }) => name === record.phase);
      return {
        phase: record.phase,
        status: record.status,
        reason: record.reason,
        personas: planned?.personas ?? [],
        policy: planned?.policy ?? null,
        policyFallback: planned?.policyFallback ?? false,
        rounds: record.rounds.length,
        seconds: secondsOf(record),
        commit: record.commit,
        simulated: record.simulated,
        verdict: record.rounds.at(-1)?.verdict ?? null,
      };
    }),
  };
}

function tally(results: readonly { outcome: GateOutcome }[]): Report['gates'] {
  const count = (outcome: GateOutcome): number => results.filter((result) => result.outcome === outcome).length;
  return { passed: count('passed'), failed: count('failed'), error: count('error'), bypassed: count('bypassed') };
}

function blockersOf(record: PhaseRecord): Report['blockers'] {
  const verdict = record.rounds.at(-1)?.verdict;
  const fromVerdict = verdict === undefined ? [] : verdictBlockers(record.phase, verdict);
  const ended = record.status === 'failed' || record.status === 'cancelled' || record.status === 'not_started';
  const own = ended
    ? [{ phase: record.phase, severity: 'BLOCKING' as const, message: `${record.status}: ${record.reason}` }]
    : [];
  return [...fromVerdict, ...own];
}

const isBad = ({ outcome }: { outcome: GateOutcome }): boolean => outcome === 'failed' || outcome === 'error';

function verdictBlockers(phase: string, verdict: PhaseVerdict): Report['blockers'] {
  return [
    ...[...verdict.gates, ...verdict.criteria, ...(verdict.contracts ?? [])]
      .filter(isBad)
      .map(({ outcome, severity, message }) => ({
        phase,
        // What could not be evaluated blocks, whatever its severity.
        severity: outcome === 'error' ? ('BLOCKING' as const) : severity,
        message,
      })),
    ...verdict.artifacts
      .filter(({ required, outcome }) => required && outcome === 'missing')
      .map(({ message }) => ({ phase, severity: 'BLOCKING' as const, message })),
  ];
}

function secondsOf({ startedAt, finishedAt }: PhaseRecord): number | null {
  if (startedAt === null || finishedAt === null) return null;
  return (Date.parse(finishedAt) - Date.parse(startedAt)) / 1000;
}
