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
 * `blocked` and `failed`: it does not pass, however often it is tried.
 */
export type Fate = 'passed' | 'blocked' | 'failed' | 'flaky' | 'reworked';

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
      return [name, drawn < trouble + 0.16 ? 'reworked' : 'passed'];
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
    const isOpen = upstream.every((need) => phases[need] === 'passed');
    const fate = fates[name];
    phases[name] = isOpen ? (fate === 'blocked' || fate === 'failed' ? fate : 'passed') : 'not_started';
  }
  const all = Object.values(phases);
  const run = all.includes('failed') ? 'failed' : all.includes('blocked') ? 'blocked' : 'passed';
  return { phases, run };
}

/** The round in which a phase is done with: a reworked one takes two. */
export const lastRound = ({ fates }: Pick<RandomDag, 'fates'>, phase: string): number =>
  fates[phase] === 'reworked' || fates[phase] === 'blocked' ? 1 : 0;

/** The plan of a random DAG: each phase may try twice and be reworked once. */
export const randomPlan = (dag: RandomDag, inputs: RunPlan['inputs']): RunPlan =>
  noopPlan(
    dag.needs,
    { attempts: 2, rework: 1 },
    { inputs, phase: (name) => ({ personas: dag.personas[name] ?? ['noop'] }) },
  );
