/** A number that somebody typed, from 1 to `most`. */
export const within = (text: string, most: number): number =>
  Math.min(most, Math.max(1, Math.floor(Number(text)) || 1));

/** Of numbers in rising order; 0 when there are none. */
export const percentile = (sorted: readonly number[], share: number): number =>
  sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
