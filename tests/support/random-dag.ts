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

export type Fate = 'passed' | 'blocked' | 'failed' | 'flaky';

export interface RandomDag {
  needs: Record<string, string[]>;
  fates: Record<string, Fate>;
}

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
      return [name, drawn < trouble + 0.08 ? 'flaky' : 'passed'];
    }),
  );
  return { needs, fates };
}

/** What must come out, computed in the plainest way: a phase starts when all it needs passed. */
export function interpret({ needs, fates }: RandomDag): { phases: Record<string, string>; run: string } {
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
