import type { PlannedPhase, RunPlan } from '../../src/shared/run-record.ts';
import type { Concurrency } from '../../src/shared/workflow-schema.ts';
import { noopPlan } from './noop-handlers.ts';

/** A small deterministic random source, so that a failing case can be run again by its seed. */
export function randomSource(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/**
 * `flaky`: its persona fails once. `reworked`: its gate blocks the first round and passes the second.
 * `blocked` and `failed`: it does not pass, however often it is tried. `skipped`: its condition does not hold.
 * `follows`: its condition is that the first phase it needs has passed, and was not skipped. `unclear`: its condition
 * has no result.
 */
export type Fate = 'passed' | 'blocked' | 'failed' | 'flaky' | 'reworked' | 'skipped' | 'follows' | 'unclear';

export interface RandomDag {
  needs: Record<string, string[]>;
  /** Of phases, and of the instances of those that are repeated. */
  fates: Record<string, Fate>;
  personas: Record<string, string[]>;
  repeats: Record<string, RandomRepeat>;
  /** The groups of phases, which every run shares. */
  groups: Record<string, Concurrency>;
  /** The group of the whole run. */
  group?: Concurrency;
}

export interface RandomRepeat {
  /** Texts, some of which only make a good name when they are written otherwise. */
  items: string[];
  /** The phase that hands the list over; null when it stands in the workflow. */
  from: string | null;
  parallel: number | null;
}

export const NOOP_PERSONAS = ['noop', 'noop2', 'noop3'] as const;

/** Groups that all runs share: a narrow one, in which most wait, and a wide one. */
export const SHARED_GROUPS: readonly Concurrency[] = [
  { group: 'narrow', limit: 1 },
  { group: 'wide', limit: 4 },
];
export const RUNS_GROUP: Concurrency = { group: 'runs', limit: 6 };
const MOST_ITEMS = 6;

/** The phase that an instance was made of; any other phase is its own. */
export const templateOf = (phase: string): string => phase.split('--')[0] ?? phase;

/** The phases that really run for a phase: its instances, when it is repeated. */
export const instancesOf = (dag: Pick<RandomDag, 'repeats'>, phase: string): string[] =>
  dag.repeats[phase]?.items.map((item) => `${phase}--${item.toLowerCase().replace(' ', '-')}`) ?? [phase];

/** A DAG of up to `most` phases: chains, fans, diamonds and parts that hang together in nothing; some phases do not pass. */
export function randomDag(seed: number, most: number): RandomDag {
  const random = randomSource(seed);
  const size = 1 + Math.floor(random() * most);
  const density = random() * 0.3;
  const names = Array.from({ length: size }, (_, index) => `p${index}`);
  const needs = Object.fromEntries(
    names.map((name, index) => {
      const earlier = names.slice(Math.max(0, index - 12), index);
      return [name, earlier.filter(() => random() < density)];
    }),
  );
  const trouble = random() < 0.5 ? 0 : 0.12;
  const fates = Object.fromEntries(
    names.map((name): [string, Fate] => [name, randomFate(random, trouble, (needs[name] ?? []).length > 0)]),
  );
  const personas = Object.fromEntries(
    names.map((name) => [name, NOOP_PERSONAS.slice(0, random() < 0.8 ? 1 : 2 + Math.floor(random() * 2))]),
  );
  const dag: RandomDag = { needs, fates, personas, repeats: {}, groups: {} };
  repeatSome(random, dag);
  for (const name of names) {
    const group = random() < 0.08 ? SHARED_GROUPS[Math.floor(random() * SHARED_GROUPS.length)] : undefined;
    if (group !== undefined) dag.groups[name] = group;
  }
  return random() < 0.25 ? { ...dag, group: RUNS_GROUP } : dag;
}

function randomFate(random: () => number, trouble: number, hasNeeds: boolean): Fate {
  const drawn = random();
  if (drawn < trouble / 2) return 'blocked';
  if (drawn < trouble) return 'failed';
  if (drawn < trouble + 0.08) return 'flaky';
  if (drawn < trouble + 0.16) return 'reworked';
  if (drawn < trouble + 0.22) return 'skipped';
  if (drawn < trouble + 0.32) return hasNeeds ? 'follows' : 'passed';
  return trouble > 0 && drawn > 0.99 ? 'unclear' : 'passed';
}

const BY_CONDITION: readonly (Fate | undefined)[] = ['skipped', 'follows', 'unclear'];

/** What its personas and gates do is drawn for each instance; what its condition says, for the repeated phase. */
function repeatSome(random: () => number, dag: RandomDag): void {
  const trouble = Object.values(dag.fates).some((fate) => fate === 'blocked' || fate === 'failed') ? 0.1 : 0;
  for (const phase of Object.keys(dag.needs)) {
    if (random() >= 0.08) continue;
    const [first] = dag.needs[phase] ?? [];
    // Only a phase that personas work on hands a list over.
    const from = first !== undefined && dag.repeats[first] === undefined && random() < 0.7 ? first : null;
    // No workflow is taken whose own list is empty.
    const count = from !== null && random() < 0.3 ? 0 : 1 + Math.floor(random() * MOST_ITEMS);
    const items = Array.from({ length: count }, (_, index) => `Item ${index}`);
    dag.repeats[phase] = { items, from, parallel: random() < 0.5 ? 1 + Math.floor(random() * 3) : null };
    if (!BY_CONDITION.includes(dag.fates[phase])) dag.fates[phase] = 'passed';
    for (const instance of instancesOf(dag, phase)) {
      const fate = randomFate(random, trouble, false);
      dag.fates[instance] = BY_CONDITION.includes(fate) ? 'passed' : fate;
    }
  }
}

/** What must come out, computed in the plainest way: a phase starts when all it needs passed or was skipped. */
export function interpret(dag: Pick<RandomDag, 'needs' | 'fates' | 'repeats'>): {
  phases: Record<string, string>;
  run: string;
} {
  const phases: Record<string, string> = {};
  for (const [name, upstream] of Object.entries(dag.needs)) {
    const isOpen = upstream.every((need) => phases[need] === 'passed' || phases[need] === 'skipped');
    const status = isOpen ? outcome(dag.fates[name], phases[upstream[0] ?? '']) : 'not_started';
    phases[name] = status === 'passed' && dag.repeats[name] !== undefined ? repeated(dag, name, phases) : status;
  }
  const all = Object.values(phases);
  if (all.includes('failed')) return { phases, run: 'failed' };
  if (all.includes('blocked')) return { phases, run: 'blocked' };
  // A run in which nothing ran has proven nothing.
  return { phases, run: all.includes('passed') ? 'passed' : 'passed_with_warnings' };
}

function outcome(fate: Fate | undefined, firstNeed: string | undefined): string {
  if (fate === 'blocked' || fate === 'unclear') return 'blocked';
  if (fate === 'failed') return 'failed';
  return fate === 'skipped' || (fate === 'follows' && firstNeed !== 'passed') ? 'skipped' : 'passed';
}

/** A repeated phase that has begun: adds what becomes of its instances, and says what becomes of them together. */
function repeated(
  { fates, repeats }: Pick<RandomDag, 'fates' | 'repeats'>,
  name: string,
  phases: Record<string, string>,
): string {
  const from = repeats[name]?.from ?? null;
  // Who was skipped hands nothing over, so that there is no list.
  if (from !== null && phases[from] !== 'passed') return 'blocked';
  const ends: string[] = [];
  for (const instance of instancesOf({ repeats }, name)) {
    const end = outcome(fates[instance], undefined);
    phases[instance] = end;
    ends.push(end);
  }
  if (ends.length === 0) return 'skipped';
  return ends.includes('failed') ? 'failed' : ends.includes('blocked') ? 'blocked' : 'passed';
}

/** The condition that makes a phase meet its fate. */
function conditionOf(fate: Fate | undefined, firstNeed: string | undefined): string | undefined {
  if (fate === 'skipped') return 'inputs.kind == "other"';
  if (fate === 'unclear') return 'inputs.nowhere == "other"';
  return fate === 'follows' ? `phases.${firstNeed}.status == "passed"` : undefined;
}

/** The round in which a phase is done with: a reworked one takes two. */
export const lastRound = ({ fates }: Pick<RandomDag, 'fates'>, phase: string): number =>
  fates[phase] === 'reworked' || fates[phase] === 'blocked' ? 1 : 0;

/** The lists that a phase hands over to those that are repeated over them. */
export function outputsOf({ repeats }: RandomDag, phase: string): Record<string, string[]> | undefined {
  const lists = Object.entries(repeats).filter(([, { from }]) => from === phase);
  return lists.length === 0 ? undefined : Object.fromEntries(lists.map(([name, { items }]) => [name, items]));
}

/** The plan of a random DAG: each phase may try twice and be reworked once. */
export function randomPlan(dag: RandomDag, inputs: RunPlan['inputs']): RunPlan {
  const phase = (name: string): Partial<PlannedPhase> => {
    const text = conditionOf(dag.fates[name], dag.needs[name]?.[0]);
    const { [name]: repeat } = dag.repeats;
    const { [name]: concurrency } = dag.groups;
    return {
      personas: dag.personas[name] ?? ['noop'],
      ...(text === undefined ? {} : { conditions: [{ text, prefix: '' }] }),
      ...(concurrency === undefined ? {} : { concurrency }),
      ...(repeat === undefined ? {} : { repeat: repeatOf(name, repeat) }),
    };
  };
  const plan = noopPlan(
    dag.needs,
    { attempts: 2, rework: 1 },
    {
      inputs: { ...inputs, kind: 'random' },
      phase,
    },
  );
  return dag.group === undefined ? plan : { ...plan, concurrency: dag.group };
}

function repeatOf(name: string, { items, from, parallel }: RandomRepeat): PlannedPhase['repeat'] {
  return { lists: { item: from === null ? items : `phases.${from}.outputs.${name}` }, isMatrix: false, parallel };
}
