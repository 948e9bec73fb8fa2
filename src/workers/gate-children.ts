import { PersonaResult } from '../shared/jobs.ts';
import { type RunTake, jobIds } from '../shared/names.ts';

/** What became of the children of a gate job: return values and failures, by job id. */
export interface ChildOutcomes {
  values: ReadonlyMap<string, unknown>;
  failures: ReadonlyMap<string, string>;
}

/** BullMQ names children by their full key, `prefix:queue:id`. */
export const jobIdOfKey = (key: string): string => key.slice(key.lastIndexOf(':') + 1);

export type ChildState<T> = { state: 'done'; result: T } | { state: 'failed'; reason: string } | { state: 'absent' };

/** The outcome of one persona job among the children. */
export function personaOutcome(children: ChildOutcomes, jobId: string): ChildState<PersonaResult> {
  const value = children.values.get(jobId);
  if (value !== undefined) return { state: 'done', result: PersonaResult.parse(value) };
  const reason = children.failures.get(jobId);
  return reason === undefined ? { state: 'absent' } : { state: 'failed', reason };
}

/**
 * The work of every persona of a phase in one round: all results, or the first reason why there are not.
 * `done`: what of it was done before the run was taken up again.
 */
export function workOutcome(
  children: ChildOutcomes,
  of: RunTake & { phase: string; personas: readonly string[]; round: number; done?: readonly PersonaResult[] },
): { state: 'done'; results: PersonaResult[] } | { state: 'failed'; reason: string } | { state: 'absent' } {
  const doneBy = (persona: string): PersonaResult | undefined =>
    of.done?.find((result) => result.persona === persona && result.round === of.round);
  const outcomes = of.personas.map((persona) => {
    const result = doneBy(persona);
    const outcome: ChildState<PersonaResult> =
      result === undefined
        ? personaOutcome(children, jobIds.work(of, of.phase, persona, of.round))
        : { state: 'done', result };
    return { persona, outcome };
  });
  const failed = outcomes.flatMap(({ persona, outcome }) =>
    outcome.state === 'failed' ? [`${persona}: ${outcome.reason}`] : [],
  );
  if (failed.length > 0) return { state: 'failed', reason: failed.join('; ') };
  const results = outcomes.flatMap(({ outcome }) => (outcome.state === 'done' ? [outcome.result] : []));
  return results.length === outcomes.length ? { state: 'done', results } : { state: 'absent' };
}
