/** Does the work for every item, at most `limit` at a time, with the results in the order of the items. */
export async function inParallel<T, R>(
  items: readonly T[],
  limit: number,
  work: (item: T, slot: number) => Promise<R>,
): Promise<R[]> {
  const results: R[] = [];
  let next = 0;
  const worker = async (_: unknown, slot: number): Promise<void> => {
    for (let index = next++; index < items.length; index = next++) {
      const item = items[index];
      if (item !== undefined) results[index] = await work(item, slot);
    }
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }).map(worker));
  return results;
}
