import { FleetError } from './errors.ts';
import type { PlannedPhase, RunPlan } from './run-record.ts';

/** Of one phase. */
export const MOST_INSTANCES = 500;
/** Of all phases of a run: each is a record and several jobs, and plans are read as a whole. */
export const MOST_INSTANCES_OF_RUN = 5_000;

type Lists = NonNullable<PlannedPhase['repeat']>['lists'];

/** How many instances a phase will have: 1 when it is not repeated, null while a list of it is an expression. */
export function knownInstances(lists: Lists | undefined): number | null {
  if (lists === undefined) return 1;
  const sources = Object.values(lists);
  return sources.every((list) => typeof list !== 'string')
    ? sources.reduce((many, { length }) => many * length, 1)
    : null;
}

/** Throws `BAD_INPUT` when a run would have too many instances; `phase` is the one whose instances are too many. */
export function assertInstancesOfRun(count: number, phase: string): void {
  if (count <= MOST_INSTANCES_OF_RUN) return;
  throw new FleetError(
    'BAD_INPUT',
    `with those of "${phase}" the run has ${count} instances: at most ${MOST_INSTANCES_OF_RUN} over all its phases`,
    { remedy: 'Shorten the lists of `foreach` and `matrix`, or split the workflow into several runs.' },
  );
}

/** The plan with the instances of a phase in it, or null when they are there already. Throws like the above. */
export function withInstances(plan: RunPlan, phase: string, instances: readonly PlannedPhase[]): RunPlan | null {
  const missing = instances.filter(({ name }) => !plan.phases.some((planned) => planned.name === name));
  if (missing.length === 0) return null;
  const before = plan.phases.filter(({ instance }) => instance !== undefined).length;
  assertInstancesOfRun(before + missing.length, phase);
  // Before their phase, which hands on what they hand on: phases come after what they need.
  const at = plan.phases.findIndex(({ name }) => name === phase);
  return { ...plan, phases: plan.phases.toSpliced(at, 0, ...missing) };
}
