import { NO_POLICY } from '../gates/load-policy.ts';
import { type Problem, InvalidInputError } from '../shared/errors.ts';
import { Name } from '../shared/names.ts';
import { type PersonaFiles, findPersona, personaNames } from '../shared/persona-files.ts';
import type { Persona } from '../shared/persona-schema.ts';
import type { Phase } from '../shared/workflow-schema.ts';
import { nearestHint } from '../shared/yaml-file.ts';
import { walkDag } from './dag.ts';
import { expandWorkflow, nestedWorkflows, workflowDag } from './expand.ts';
import { expressionProblems, runGroupProblems } from './expression-check.ts';
import { deliverableProblems } from './persona-check.ts';
import type { LoadedWorkflow } from './workflow-file.ts';

const MOST_CYCLES_SHOWN = 10;

interface Checked extends Pick<LoadedWorkflow, 'workflow' | 'text' | 'positionOf' | 'subs'> {
  personas: Readonly<Record<string, Persona>>;
  policyNames: readonly string[];
  /** The metrics that conditions may read; without them any name will do. */
  metricNames?: readonly string[];
  /** The artifacts that deliverables are named after, and where the personas are written; without them any name will do. */
  artifactNames?: readonly string[];
  personaFiles?: PersonaFiles;
}

/** The personas of a phase, as written. */
export const writtenPersonas = (phase: Phase): readonly string[] =>
  phase.personas ?? (phase.persona === undefined ? [] : [phase.persona]);

/** Throws one error with everything that is wrong between a workflow, its personas and its policies. */
export function assertWorkflow(checked: Checked & { file: string }): void {
  const problems = checkWorkflow(checked);
  if (problems.length > 0) throw new InvalidInputError(checked.file, problems);
}

/** Everything that is wrong between a workflow, its personas and its policies, in the order of the file. */
export function checkWorkflow(checked: Checked): Problem[] {
  return [
    ...problemsOf(checked, Object.keys(checked.workflow.inputs)),
    ...longNames(checked),
    ...strangeDeliverables(checked),
  ];
}

/** What the personas of the workflow hand on that no policy knows, at its place in their files. */
function strangeDeliverables({ workflow, subs, personas, personaFiles, artifactNames }: Checked): Problem[] {
  if (personaFiles === undefined || artifactNames === undefined) return [];
  const used = new Set(teamOf({ workflow, subs }, personas).map(({ name }) => name));
  return Object.entries(personaFiles).flatMap(([name, file]) =>
    used.has(name) ? deliverableProblems(file, artifactNames) : [],
  );
}

/** `given`: what is there before the first phase begins. */
function problemsOf(checked: Checked, given: readonly string[]): Problem[] {
  const { workflow, positionOf } = checked;
  if (Object.keys(workflow.phases).length === 0)
    return [{ ...positionOf(['phases']), message: 'phases: the workflow is empty; it needs at least one phase' }];
  const problems = Object.entries(workflow.phases).flatMap(([name, phase]) => [
    ...needProblems(name, phase, checked),
    ...personaProblems(name, phase, checked),
    ...policyProblems(name, phase, checked),
    ...expressionProblems(name, phase, checked),
  ]);
  problems.push(...runGroupProblems(checked));
  const { order, cycles } = walkDag(workflowDag(workflow));
  const longCycles = cycles.filter((cycle) => cycle.length > 2);
  for (const cycle of longCycles.slice(0, MOST_CYCLES_SHOWN)) {
    const last = cycle.at(-2) ?? '';
    const index = workflow.phases[last]?.needs?.indexOf(cycle[0] ?? '') ?? 0;
    problems.push({
      ...positionOf(['phases', last, 'needs', index]),
      message: `phases.${last}.needs: the phases wait for each other: ${cycle.join(' -> ')}`,
    });
  }
  // What an ancestor makes is only well defined once there are no cycles.
  const inner = cycles.length === 0 ? inputProblems(order, checked, given) : { own: [], subs: [] };
  return [...[...problems, ...inner.own].toSorted((a, b) => a.line - b.line || a.column - b.column), ...inner.subs];
}

/** Names in a run are made of the names of phases, and take as many characters. */
function longNames({ workflow, positionOf, subs }: Checked): Problem[] {
  return expandWorkflow(workflow, nestedWorkflows(subs)).phases.flatMap(({ name }) =>
    Name.safeParse(name).success
      ? []
      : [
          {
            ...positionOf(['phases', name.split('--')[0] ?? name], 'key'),
            message: `phases: "${name}" is too long for a name in a run: at most 63 characters`,
          },
        ],
  );
}

function needProblems(name: string, phase: Phase, { workflow, positionOf }: Checked): Problem[] {
  return (phase.needs ?? []).flatMap((need, index, all) => {
    const problem = (message: string): Problem[] => [
      { ...positionOf(['phases', name, 'needs', index]), message: `phases.${name}.needs: ${message}` },
    ];
    if (need === name) return problem('a phase cannot need itself');
    if (all.indexOf(need) !== index) return problem(`"${need}" is named twice`);
    if (Object.hasOwn(workflow.phases, need)) return [];
    return problem(`there is no phase "${need}"${nearestHint(need, Object.keys(workflow.phases))}`);
  });
}

function personaProblems(name: string, phase: Phase, { positionOf, personas }: Checked): Problem[] {
  const seen = new Set<string>();
  return writtenPersonas(phase).flatMap((written, index) => {
    const path =
      phase.persona === undefined ? ['phases', name, 'personas', index] : (['phases', name, 'persona'] as const);
    const persona = findPersona(personas, written);
    if (persona === undefined)
      return [
        {
          ...positionOf(path),
          message: `phases.${name}: there is no persona "${written}"${nearestHint(written, personaNames(personas))}`,
        },
      ];
    const isRepeated = seen.has(persona.name);
    seen.add(persona.name);
    if (isRepeated)
      return [{ ...positionOf(path), message: `phases.${name}: the persona "${persona.name}" is named twice` }];
    return [];
  });
}

function policyProblems(name: string, phase: Phase, { positionOf, policyNames }: Checked): Problem[] {
  const { policy } = phase;
  if (policy === undefined || policy === NO_POLICY || policyNames.includes(policy)) return [];
  const hint = nearestHint(policy, [...policyNames, NO_POLICY]);
  return [
    {
      ...positionOf(['phases', name, 'policy']),
      message: `phases.${name}.policy: there is no policy "${policy}"${hint}`,
    },
  ];
}

/** Each thing a persona cannot work without is a run input, or made before it or beside it. */
function inputProblems(
  order: readonly string[],
  checked: Checked,
  given: readonly string[],
): { own: Problem[]; subs: Problem[] } {
  const { workflow, positionOf, personas, subs } = checked;
  const made = new Map<string, Set<string>>();
  const found: { own: Problem[]; subs: Problem[] } = { own: [], subs: [] };
  for (const name of order) {
    const phase = workflow.phases[name];
    if (phase === undefined) continue;
    const team = writtenPersonas(phase).flatMap((written) => findPersona(personas, written) ?? []);
    const before = new Set<string>(given);
    for (const need of phase.needs ?? []) for (const thing of made.get(need) ?? []) before.add(thing);
    for (const persona of team) {
      const beside = team.filter((other) => other !== persona).flatMap((other) => Object.keys(other.deliverables));
      for (const need of persona.needs.filter((thing) => !before.has(thing) && !beside.includes(thing))) {
        const makers = Object.values(personas).filter((other) => Object.hasOwn(other.deliverables, need));
        const source = makers.length === 0 ? '' : `; ${makers.map((maker) => maker.name).join(' or ')} makes it`;
        found.own.push({
          ...positionOf(['phases', name], 'key'),
          message: `phases.${name}: the persona "${persona.name}" needs "${need}", which is no input of the workflow and which no phase before this one produces${source}`,
        });
      }
    }
    const sub = Object.hasOwn(subs, name) ? subs[name] : undefined;
    if (sub !== undefined)
      found.subs.push(...problemsOf({ ...checked, ...sub }, [...before, ...Object.keys(sub.workflow.inputs)]));
    for (const persona of sub === undefined ? team : teamOf(sub, personas))
      for (const thing of Object.keys(persona.deliverables)) before.add(thing);
    made.set(name, before);
  }
  return found;
}

/** Every persona of a workflow and of those below it. */
const teamOf = (
  { workflow, subs }: Pick<LoadedWorkflow, 'workflow' | 'subs'>,
  personas: Checked['personas'],
): Persona[] => [
  ...Object.values(workflow.phases)
    .flatMap(writtenPersonas)
    .flatMap((written) => findPersona(personas, written) ?? []),
  ...Object.values(subs).flatMap((sub) => teamOf(sub, personas)),
];
