import { randomSource } from '../../tests/support/random-dag.ts';

export type Shape = Readonly<Record<string, readonly string[]>>;

const names = (count: number): string[] => Array.from({ length: count }, (_, index) => `p${index}`);

export const chain = (length: number): Shape =>
  Object.fromEntries(names(length).map((name, index) => [name, index === 0 ? [] : [`p${index - 1}`]]));

/** One phase, `width` that need it, and one that needs them all. */
export function fan(width: number): Shape {
  const middle = names(width);
  return { first: [], ...Object.fromEntries(middle.map((name) => [name, ['first']])), last: middle };
}

/** Every phase needs one to three of the twelve before it. */
export function randomShape(size: number, seed: number): Shape {
  const random = randomSource(seed);
  return Object.fromEntries(
    names(size).map((name, index) => {
      const earlier = names(index).slice(-12);
      const count = Math.min(earlier.length, 1 + Math.floor(random() * 3));
      const needs = new Set(
        Array.from({ length: count }, () => earlier[Math.floor(random() * earlier.length)] ?? 'p0'),
      );
      return [name, [...needs]];
    }),
  );
}
