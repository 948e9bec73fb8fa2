/** Numbers that look random and are the same for the same seed (mulberry32). */
export function seeded(seed) {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (limit) => Math.floor(next() * limit);
  const between = (low, high) => low + below(high - low + 1);
  const pick = (items) => items[below(items.length)];
  const shuffled = (items) => {
    const rest = [...items];
    return items.map(() => rest.splice(below(rest.length), 1)[0]);
  };
  return { below, between, pick, shuffled };
}
