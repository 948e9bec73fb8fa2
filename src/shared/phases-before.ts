import type { PlannedPhase } from './run-record.ts';

type Linked = Pick<PlannedPhase, 'name' | 'needs' | 'instance'>;

/** Every phase that a phase rests on, directly or not, in the order of the plan. */
export function phasesBefore<P extends Linked>(phases: readonly P[], phase: Linked): P[] {
  const wanted = new Set<string>(phase.needs);
  for (const earlier of phases.toReversed())
    if (wanted.has(earlier.name) || wanted.has(earlier.instance?.of ?? ''))
      for (const name of [earlier.name, ...earlier.needs]) wanted.add(name);
  return phases.filter((planned) => wanted.has(planned.name));
}
