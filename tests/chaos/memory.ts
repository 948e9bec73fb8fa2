import type { Sample } from './chaos.ts';

/** Growth below this is taken for the ups and downs of a garbage collector. */
const SLACK_BYTES = 48e6;
const SLACK_SHARE = 1.25;
/** Fewer samples say nothing. */
const LEAST_SAMPLES = 12;

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;

/** Says where memory grew and grew: the last third of the time against the second, the first being warm-up. */
export function memoryProblems(samples: readonly Sample[], worker: string): string[] {
  const third = Math.floor(samples.length / 3);
  if (samples.length < LEAST_SAMPLES) return [`${samples.length} samples of memory are too few to say anything`];
  const grew = (what: string, sizes: readonly number[]): string[] => {
    const before = median(sizes.slice(third, 2 * third));
    const after = median(sizes.slice(2 * third));
    const isBounded = after <= before * SLACK_SHARE || after <= before + SLACK_BYTES;
    return isBounded ? [] : [`${what} grew from ${Math.round(before / 1e6)} to ${Math.round(after / 1e6)} MB`];
  };
  return [
    ...grew(
      `memory of ${worker}`,
      samples.map((sample) => sample.workerBytes[worker] ?? 0),
    ),
    ...grew(
      'memory of Redis',
      samples.map((sample) => sample.redisBytes),
    ),
  ];
}
