/** Neighbouring lines together: `[1, 2, 5]` are the ranges 1 to 2 and 5 to 5. */
export function lineRanges(lines: readonly number[]): [number, number][] {
  const result: [number, number][] = [];
  for (const line of lines) {
    const last = result.at(-1);
    if (last && last[1] === line - 1) last[1] = line;
    else result.push([line, line]);
  }
  return result;
}
