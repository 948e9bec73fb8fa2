import type { PlannedPhase } from '../shared/run-record.ts';

/** How many instances a phase will have: 1 when it is not repeated, null while a list of it is an expression. */
export function knownInstances({ repeat }: Pick<PlannedPhase, 'repeat'>): number | null {
  if (repeat === undefined) return 1;
  const lists = Object.values(repeat.lists);
  return lists.every((list) => typeof list !== 'string') ? lists.reduce((many, { length }) => many * length, 1) : null;
}
