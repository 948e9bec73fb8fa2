import { FleetError } from '../shared/errors.ts';
import { MOST_INSTANCES, assertInstancesOfRun, knownInstances } from '../shared/instance-limits.ts';
import type { Phase, Workflow } from '../shared/workflow-schema.ts';
import { type Dag, walkDag } from './dag.ts';

/** Parts the name of a phase from the name of a phase of its sub-workflow. */
const SEPARATOR = '--';
/** Of a run, instances aside: sub-workflows in sub-workflows multiply, and every phase is a record and several jobs. */
const MOST_PHASES = 5_000;

/** A phase of a workflow or of a sub-workflow, under the name it has in a run. */
export interface ExpandedPhase {
  name: string;
  /** As in its file. */
  written: string;
  needs: string[];
  phase: Phase;
  /** The workflow it is written in. */
  owner: Workflow;
  /** What stands before the names of its own workflow: empty, or `billing--`. */
  prefix: string;
  /** Its `if`, after those of the phases whose sub-workflow it belongs to; each reads names of its own workflow. */
  conditions: { text: string; prefix: string }[];
}

/** A sub-workflow in its place. */
export interface Part {
  /** The name of the phase that it stands for, as in a run. */
  name: string;
  /** What stands before the names of its phases. */
  prefix: string;
  /** The prefix of the workflow that uses it. */
  outer: string;
  with: NonNullable<Phase['with']>;
  workflow: Workflow;
}

export interface Expanded {
  /** Every phase after all it needs; otherwise in the order of the files. */
  phases: ExpandedPhase[];
  /** Outer ones before inner ones. */
  parts: Part[];
}

/**
 * Puts the phases of sub-workflows in the place of the phases that name them: those that need nothing take the needs
 * of that phase, and what needs that phase needs those that nothing else in the sub-workflow needs.
 * `subs` holds the sub-workflows by the name of their phase, as in a run.
 */
export function expandWorkflow(workflow: Workflow, subs: Readonly<Record<string, Workflow>>): Expanded {
  const parts: Part[] = [];
  const byName = new Map<string, ExpandedPhase>();
  /** What needs a phase waits for: itself, or the last phases of its sub-workflow. */
  const ends = new Map<string, string[]>();
  /** Those of lists that are known already. */
  let instances = 0;
  const put = (
    owner: Workflow,
    prefix: string,
    outer: { needs: readonly string[]; conditions: ExpandedPhase['conditions'] },
  ): void => {
    for (const written of walkDag(workflowDag(owner)).order) {
      const phase = owner.phases[written];
      if (phase === undefined) continue;
      const name = `${prefix}${written}`;
      const own = (phase.needs ?? []).flatMap((need) => ends.get(`${prefix}${need}`) ?? []);
      const needs = own.length === 0 ? [...outer.needs] : [...new Set(own)];
      const conditions = [...outer.conditions, ...(phase.if === undefined ? [] : [{ text: phase.if, prefix }])];
      const sub = phase.workflow === undefined || !Object.hasOwn(subs, name) ? undefined : subs[name];
      if (sub === undefined) {
        if (byName.size >= MOST_PHASES)
          throw new FleetError(
            'BAD_INPUT',
            `workflow "${workflow.name}" has more than ${MOST_PHASES} phases with those of its sub-workflows (at "${name}")`,
            { remedy: 'Split it into several runs, or use fewer sub-workflows inside each other.' },
          );
        instances += knownOf(name, phase);
        assertInstancesOfRun(instances, name);
        byName.set(name, { name, written, needs, phase, owner, prefix, conditions });
        ends.set(name, [name]);
        continue;
      }
      const inside = `${name}${SEPARATOR}`;
      parts.push({ name, prefix: inside, outer: prefix, with: phase.with ?? {}, workflow: sub });
      put(sub, inside, { needs, conditions });
      const needed = new Set(Object.values(sub.phases).flatMap((inner) => inner.needs ?? []));
      const last = Object.keys(sub.phases).filter((inner) => !needed.has(inner));
      ends.set(
        name,
        last.flatMap((inner) => ends.get(`${inside}${inner}`) ?? []),
      );
    }
  };
  put(workflow, '', { needs: [], conditions: [] });
  return { phases: [...byName.values()], parts };
}

/** How many instances a phase will have for certain. */
function knownOf(name: string, { foreach, matrix }: Phase): number {
  const lists = matrix ?? (foreach === undefined ? undefined : { item: foreach });
  const known = lists === undefined ? 0 : (knownInstances(lists) ?? 0);
  if (known <= MOST_INSTANCES) return known;
  throw new FleetError('BAD_INPUT', `phase "${name}" has ${known} instances: at most ${MOST_INSTANCES}`, {
    remedy: 'Shorten its lists, or split it into several phases.',
  });
}

/** Phase -> needs, leaving out needs that do not exist. */
export const workflowDag = (workflow: Workflow): Dag =>
  new Map(
    Object.entries(workflow.phases).map(([name, phase]) => [
      name,
      (phase.needs ?? []).filter((need) => Object.hasOwn(workflow.phases, need)),
    ]),
  );

/** Whether a phase becomes one instance for each entry of a list. */
export const isRepeated = (phase: Phase | undefined): boolean =>
  phase?.foreach !== undefined || phase?.matrix !== undefined;

interface Nested {
  workflow: Workflow;
  subs: Readonly<Record<string, Nested>>;
}

/** The names that a written phase has in a run: its own, or those of the phases of its sub-workflow. */
export function namesInRun(written: string, subs: Readonly<Record<string, Nested>>): string[] {
  const sub = Object.hasOwn(subs, written) ? subs[written] : undefined;
  if (sub === undefined) return [written];
  return Object.keys(sub.workflow.phases).flatMap((inner) =>
    namesInRun(inner, sub.subs).map((name) => `${written}${SEPARATOR}${name}`),
  );
}

/** The sub-workflows of a workflow, at any depth, by the name of their phase as in a run. */
export function nestedWorkflows(subs: Readonly<Record<string, Nested>>, prefix = ''): Record<string, Workflow> {
  return Object.fromEntries(
    Object.entries(subs).flatMap(([phase, sub]): [string, Workflow][] => [
      [`${prefix}${phase}`, sub.workflow],
      ...Object.entries(nestedWorkflows(sub.subs, `${prefix}${phase}${SEPARATOR}`)),
    ]),
  );
}
