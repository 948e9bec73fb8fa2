import type { RunView } from '../lib/live-run.ts';
import { type Node, type Tree, isPhase, listed } from '../lib/model.ts';
import type { Box, Link } from './layout.ts';

/** So many instances are shown inside their phase; the rest is in the table. */
export const MOST_INSTANCES = 12;
const DENSE_FROM = 24;
const INSTANCE_HEIGHT = 28;

export interface Picture {
  cards: Node[];
  isDense: boolean;
  boxes: Box[];
  links: Link[];
  /** The same for the same structure: only then is it laid out anew. */
  key: string;
}

/** What is drawn: each phase as a card; a closed sub-workflow as one card; instances inside the phase they are of. */
export function pictureOf(run: RunView): Picture {
  const { tree } = run;
  const all = listed(tree.roots, (node) => node.kind === 'part' && run.isOpen(node)).map(({ node }) => node);
  const cards = all.filter((node) => isPhase(node) || !run.isOpen(node));
  const isDense = cards.length > DENSE_FROM;
  const boxes = cards.map((node) => ({
    id: node.id,
    width: isDense ? 176 : 216,
    height: heightOf(run, node, isDense),
  }));
  const links = linksOf(tree, new Set(cards));
  const key = `${boxes.map(({ id, height }) => `${id}:${height}`).join(' ')} ${links.map(({ from, to }) => `${from}>${to}`).join(' ')}`;
  return { cards, isDense, boxes, links, key };
}

function heightOf(run: RunView, node: Node, isDense: boolean): number {
  const own = isDense ? 54 : 104;
  if (node.kind !== 'repeated') return own;
  const shown = run.isOpen(node) ? Math.min(node.children.length, MOST_INSTANCES) : 0;
  const more = shown > 0 && node.children.length > MOST_INSTANCES ? 24 : 0;
  return own + 30 + shown * INSTANCE_HEIGHT + more;
}

/** Links between cards: what is inside a card stands for itself by it. */
function linksOf(tree: Tree, cards: ReadonlySet<Node>): Link[] {
  const cardOf = (node: Node | undefined): Node | undefined =>
    node === undefined || cards.has(node) ? node : cardOf(node.parent);
  const links = new Map<string, Link>();
  for (const node of tree.nodes.values()) {
    if (!isPhase(node) || node.planned.instance !== undefined) continue;
    const to = cardOf(node);
    for (const need of node.planned.needs) {
      const from = cardOf(tree.nodes.get(need));
      if (from !== undefined && to !== undefined && from !== to)
        links.set(`${from.id} ${to.id}`, { from: from.id, to: to.id });
    }
  }
  return [...links.values()];
}
