interface Line {
  values: readonly (number | null)[];
}

/** Two samples that lie further apart than this have at least one missing between them: they come every ten seconds. */
const GAP_S = 25;
const MINUTE_S = 60;

/** Breaks the lines where nobody looked: what was not measured is not drawn. Times are in seconds, rising. */
export function withGaps<S extends Line>(times: readonly number[], series: readonly S[]) {
  const places = times.flatMap((time, index) => {
    const last = times[index - 1];
    return last !== undefined && time - last > GAP_S ? [null, index] : [index];
  });
  return {
    times: places.map((index, place) => times[index ?? -1] ?? (times[places[place - 1] ?? 0] ?? 0) + GAP_S / 2),
    series: series.map((line) => ({
      ...line,
      values: places.map((index) => (index === null ? null : (line.values[index] ?? null))),
    })),
  };
}

/** Counts of minutes, by when these began: no job in a minute in which nobody looked is not known to be none. */
export function measuredMinutes(
  minutes: readonly number[],
  counts: readonly number[],
  looks: readonly number[],
): (number | null)[] {
  const looked = new Set(looks.map((time) => Math.floor(time / MINUTE_S)));
  return counts.map((jobs, index) => (jobs > 0 || looked.has((minutes[index] ?? 0) / MINUTE_S) ? jobs : null));
}
