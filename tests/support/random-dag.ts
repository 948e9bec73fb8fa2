import type { RunPlan } from '../../src/shared/run-record.ts';
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
  fates: Record<string, Fate>;
  personas: Record<string, string[]>;
}

export const NOOP_PERSONAS = ['noop', 'noop2', 'noop3'] as const;

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
    names.map((name): [string, Fate] => {
      const drawn = random();
      if (drawn < trouble / 2) return [name, 'blocked'];
      if (drawn < trouble) return [name, 'failed'];
      if (drawn < trouble + 0.08) return [name, 'flaky'];
      if (drawn < trouble + 0.16) return [name, 'reworked'];
      if (drawn < trouble + 0.22) return [name, 'skipped'];
      if (drawn < trouble + 0.32) return [name, (needs[name] ?? []).length > 0 ? 'follows' : 'passed'];
      return [name, trouble > 0 && drawn > 0.99 ? 'unclear' : 'passed'];
    }),
  );
  const personas = Object.fromEntries(
    names.map((name) => [name, NOOP_PERSONAS.slice(0, random() < 0.8 ? 1 : 2 + Math.floor(random() * 2))]),
  );
  return { needs, fates, personas };
}

/** What must come out, computed in the plainest way: a phase starts when all it needs passed. */
export function interpret({ needs, fates }: Pick<RandomDag, 'needs' | 'fates'>): {
  phases: Record<string, string>;
  run: string;
} {
  const phases: Record<string, string> = {};
  for (const [name, upstream] of Object.entries(needs)) {
    const isOpen = upstream.every((need) => phases[need] === 'passed' || phases[need] === 'skipped');
    phases[name] = isOpen ? outcome(fates[name], phases[upstream[0] ?? '']) : 'not_started';
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

/** The condition that makes a phase meet its fate. */
function conditionOf(fate: Fate | undefined, firstNeed: string | undefined): string | undefined {
  if (fate === 'skipped') return 'inputs.kind == "other"';
  if (fate === 'unclear') return 'inputs.nowhere == "other"';
  return fate === 'follows' ? `phases.${firstNeed}.status == "passed"` : undefined;
}

/** The round in which a phase is done with: a reworked one takes two. */
export const lastRound = ({ fates }: Pick<RandomDag, 'fates'>, phase: string): number =>
  fates[phase] === 'reworked' || fates[phase] === 'blocked' ? 1 : 0;

/** The plan of a random DAG: each phase may try twice and be reworked once. */
export const randomPlan = (dag: RandomDag, inputs: RunPlan['inputs']): RunPlan =>
  noopPlan(
    dag.needs,
    { attempts: 2, rework: 1 },
    {
      inputs: { ...inputs, kind: 'random' },
      phase: (name) => {
        const text = conditionOf(dag.fates[name], dag.needs[name]?.[0]);
        const personas = dag.personas[name] ?? ['noop'];
        return text === undefined ? { personas } : { personas, conditions: [{ text, prefix: '' }] };
      },
    },
  );
