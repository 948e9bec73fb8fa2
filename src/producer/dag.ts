/** Phase -> the phases it needs, in the order of the file. Every need is a node. */
export type Dag = ReadonlyMap<string, readonly string[]>;

interface Walk {
  /** Every node after all it needs; otherwise in the order of the file. */
  order: string[];
  /** Each as `a, b, a`: every step needs the next. */
  cycles: string[][];
}

/** Walks the whole graph once, without recursion, so that thousands of phases in a row are no problem. */
export function walkDag(dag: Dag): Walk {
  const order: string[] = [];
  const cycles: string[][] = [];
  const done = new Set<string>();
  for (const root of dag.keys()) {
    const path: { node: string; next: number }[] = done.has(root) ? [] : [{ node: root, next: 0 }];
    const onPath = new Set(path.map(({ node }) => node));
    for (let top = path.at(-1); top !== undefined; top = path.at(-1)) {
      const need = dag.get(top.node)?.[top.next];
      top.next += 1;
      if (need === undefined) {
        path.pop();
        onPath.delete(top.node);
        done.add(top.node);
        order.push(top.node);
      } else if (onPath.has(need)) {
        const nodes = path.map(({ node }) => node);
        cycles.push([...nodes.slice(nodes.indexOf(need)), need]);
      } else if (!done.has(need) && dag.has(need)) {
        path.push({ node: need, next: 0 });
        onPath.add(need);
      }
    }
  }
  return { order, cycles };
}

/** How many phases come before each one on its longest way. Takes a graph without cycles. */
export function dagLevels(dag: Dag): Map<string, number> {
  const levels = new Map<string, number>();
  for (const node of walkDag(dag).order)
    levels.set(
      node,
      (dag.get(node) ?? []).reduce((level, need) => Math.max(level, (levels.get(need) ?? 0) + 1), 0),
    );
  return levels;
}
