import { CHECKED_BEFORE } from '../shared/expression-references.ts';
import { type Wanted, compileExpression } from '../shared/expressions.ts';
import type { PlannedPhase, RunPlan } from '../shared/run-record.ts';

interface Written {
  text: string;
  prefix: string;
  wanted: Wanted;
}

const expressionsOf = ({ conditions = [], repeat, prefix = '' }: PlannedPhase): Written[] => [
  ...conditions.map((condition) => ({ ...condition, wanted: 'condition' as const })),
  ...Object.values(repeat?.lists ?? {}).flatMap((text) =>
    typeof text === 'string' ? [{ text, prefix, wanted: 'list' as const }] : [],
  ),
];

/** The outputs of a phase that conditions and lists of later phases read, so that its personas know to hand them over. */
export function askedOutputs(plan: Pick<RunPlan, 'phases'>, phase: Pick<PlannedPhase, 'name'>): string[] {
  const names = plan.phases.flatMap(expressionsOf).flatMap(({ text, prefix, wanted }) => {
    const compiled = compileExpression(text, CHECKED_BEFORE, wanted);
    const references = compiled.ok ? compiled.expression.references : [];
    return references.flatMap((reference) =>
      reference.kind === 'output' && `${prefix}${reference.phase}` === phase.name ? [reference.output] : [],
    );
  });
  return [...new Set(names)].toSorted();
}
