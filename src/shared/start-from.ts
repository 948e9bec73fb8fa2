import type { PhaseRecord, RunPlan } from './run-record.ts';

/** The phases that a run leaves out because it starts from a later one; none in a plain run. */
export function leftOut({ phases, startFrom }: Pick<RunPlan, 'phases' | 'startFrom'>): ReadonlySet<string> {
  if (startFrom === undefined) return new Set();
  const run = new Set([startFrom.phase]);
  // Phases come after what they need.
  for (const phase of phases) if (phase.needs.some((need) => run.has(need))) run.add(phase.name);
  return new Set(phases.map((phase) => phase.name).filter((name) => !run.has(name)));
}

/** The record of a phase that is left out: it hands on what the run was given in its place. */
export function leftOutRecord(
  record: PhaseRecord,
  { startFrom, createdAt }: Pick<RunPlan, 'startFrom' | 'createdAt'>,
): PhaseRecord {
  return {
    ...record,
    status: 'skipped',
    finishedAt: createdAt,
    reason: `not run: the run starts from "${startFrom?.phase}"`,
    commit: startFrom?.given?.commit ?? null,
    bundle: startFrom?.given?.bundle ?? null,
  };
}
