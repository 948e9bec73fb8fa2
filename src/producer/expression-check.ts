import type { Problem, SourcePosition } from '../shared/errors.ts';
import { type ExpressionProblem, type Wanted, compileExpression } from '../shared/expressions.ts';
import type { ReferenceScope } from '../shared/expression-references.ts';
import { compileTemplate } from '../shared/templates.ts';
import type { InputSpec, Phase, Workflow } from '../shared/workflow-schema.ts';
import { nearestHint, placeInside } from '../shared/yaml-file.ts';
import { isRepeated, namesInRun } from './expand.ts';
import type { LoadedWorkflow } from './workflow-file.ts';

type Path = readonly PropertyKey[];

/** What is needed to check the expressions of one workflow file. */
export interface ExpressionsOf extends Pick<LoadedWorkflow, 'workflow' | 'text' | 'positionOf' | 'subs'> {
  metricNames?: readonly string[];
}

/** Everything that is wrong with the expressions of a phase, and with what it gives a sub-workflow. */
export function expressionProblems(name: string, phase: Phase, of: ExpressionsOf): Problem[] {
  const at: Path = ['phases', name];
  const early = earlyScope(of.workflow, isRepeated(phase));
  const problems: Problem[] = [];
  // Made when it is needed: what comes before each of thousands of phases would take long to gather.
  let later: ReferenceScope | undefined;
  const expression = (path: Path, text: string, wanted: Wanted): void => {
    later ??= laterScope(name, phase, of);
    const compiled = compileExpression(text, later, wanted);
    if (!compiled.ok) problems.push(...placed(of, [...at, ...path], compiled.problems));
  };
  const template = (path: Path, text: string, scope: ReferenceScope): void => {
    const compiled = compileTemplate(text, scope);
    if (!compiled.ok) problems.push(...placed(of, [...at, ...path], compiled.problems));
  };
  if (phase.if !== undefined) expression(['if'], phase.if, 'condition');
  if (typeof phase.foreach === 'string') expression(['foreach'], phase.foreach, 'list');
  for (const [list, source] of Object.entries(phase.matrix ?? {}))
    if (typeof source === 'string') expression(['matrix', list], source, 'list');
  if (phase.concurrency !== undefined) {
    template(['concurrency', 'group'], phase.concurrency.group, early);
    if (phase.concurrency.group === of.workflow.concurrency?.group)
      problems.push({
        ...of.positionOf([...at, 'concurrency', 'group']),
        message: `phases.${name}.concurrency.group: the whole run is in this group already; its phase would wait for itself`,
      });
  }
  if (phase.description !== undefined) template(['description'], phase.description, early);
  for (const [input, value] of Object.entries(phase.with ?? {}))
    if (typeof value === 'string') template(['with', input], value, early);
  return [...problems, ...withProblems(name, phase, of)];
}

/** What is wrong with the group of whole runs. */
export function runGroupProblems(of: ExpressionsOf): Problem[] {
  const group = of.workflow.concurrency?.group;
  if (group === undefined) return [];
  const compiled = compileTemplate(group, earlyScope(of.workflow, false));
  return compiled.ok ? [] : placed(of, ['concurrency', 'group'], compiled.problems);
}

/** A sub-workflow is given inputs that it has, of their type, and every one that it requires. */
function withProblems(name: string, phase: Phase, { positionOf, subs }: ExpressionsOf): Problem[] {
  const sub = Object.hasOwn(subs, name) ? subs[name] : undefined;
  if (sub === undefined) return [];
  const { inputs } = sub.workflow;
  const given = phase.with ?? {};
  const problem = (place: SourcePosition, message: string): Problem => ({
    ...place,
    message: `phases.${name}.with: ${message}`,
  });
  return [
    ...Object.entries(given).flatMap(([key, value]) => {
      const spec = Object.hasOwn(inputs, key) ? inputs[key] : undefined;
      const hint = nearestHint(key, Object.keys(inputs));
      if (spec === undefined)
        return [problem(positionOf(['phases', name, 'with', key], 'key'), `${sub.file} has no input "${key}"${hint}`)];
      return isOfType(spec, value)
        ? []
        : [problem(positionOf(['phases', name, 'with', key]), `the input "${key}" must be a ${spec.type}`)];
    }),
    ...Object.entries(inputs).flatMap(([key, spec]) =>
      Object.hasOwn(given, key) || spec.default !== undefined || spec.optional === true
        ? []
        : [problem(positionOf(['phases', name, 'workflow']), `${sub.file} needs the input "${key}"`)],
    ),
  ];
}

/** The value of a text with an expression in it is known when a run starts, and checked then. */
const isOfType = (spec: InputSpec, value: unknown): boolean =>
  typeof value === spec.type || (typeof value === 'string' && value.includes('${{'));

const placed = (
  { text: source, positionOf }: ExpressionsOf,
  path: Path,
  problems: readonly ExpressionProblem[],
): Problem[] =>
  problems.map(({ offset, message }) => ({
    ...placeInside(source, positionOf(path), offset),
    message: `${path.map(String).join('.')}: ${message}`,
  }));

const inputTypes = (workflow: Workflow): ReferenceScope['inputs'] =>
  Object.fromEntries(Object.entries(workflow.inputs).map(([name, { type }]) => [name, type]));

/** What is decided when a run starts, or when an instance is made, reads inputs and the item, and no phase. */
const earlyScope = (workflow: Workflow, item: boolean): ReferenceScope => ({
  inputs: inputTypes(workflow),
  phases: undefined,
  item,
});

/** What is decided when all that a phase needs has ended reads those phases too. */
function laterScope(name: string, phase: Phase, of: ExpressionsOf): ReferenceScope {
  const { workflow, subs, metricNames } = of;
  const before = new Set<string>();
  const open = [...(phase.needs ?? [])];
  for (let need = open.pop(); need !== undefined; need = open.pop()) {
    if (before.has(need) || !Object.hasOwn(workflow.phases, need)) continue;
    before.add(need);
    open.push(...(workflow.phases[need]?.needs ?? []));
  }
  const inRun = (phases: readonly string[]): string[] => phases.flatMap((written) => namesInRun(written, subs));
  const all = Object.keys(workflow.phases).filter((other) => other !== name);
  return {
    inputs: inputTypes(workflow),
    phases: inRun([...before]),
    otherPhases: inRun(all.filter((other) => !before.has(other))),
    repeated: [...before].filter((other) => isRepeated(workflow.phases[other])),
    ...(metricNames === undefined ? {} : { metrics: metricNames }),
    item: false,
  };
}
