import { count, duration, h, pill, words } from '/dom.js';
import { groupToggle } from '/fold.js';
import { listed, phasesBelow, reworkOf, statusOf, tally } from '/model.js';

/** More than this nobody can read, so the table alone shows them. */
const MOST_CARDS = 120;
const DENSE_FROM = 24;
/** So many instances are shown inside their phase; the rest is in the table. */
const MOST_INSTANCES = 40;

/** The phases as a graph, from left to right. */
export function graph(tree, view) {
  const cards = listed(tree.roots, (node) => node.kind === 'part' && view.isOpen(node)).map(({ node }) => node).filter((node) => node.kind !== 'part' || !view.isOpen(node));
  const parts = [...tree.nodes.values()].filter(({ kind }) => kind === 'part');
  const toolbar = parts.length > 0 && h('div', { class: 'buttons wrap', role: 'group', 'aria-label': 'Sub-workflows' },
    parts.filter(({ parent }) => parent === undefined || view.isOpen(parent)).map((node) => groupToggle(view, node, `${node.id}, ${count(phasesBelow(node).length, 'phase')}`, 'bar')));
  if (cards.length > MOST_CARDS) return [toolbar, h('p', { class: 'banner' }, `${count(cards.length, 'phase')}: too many to be read as a graph. The table shows them all.`)];
  const edges = edgesOf(tree, new Set(cards));
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  svg.setAttribute('aria-hidden', 'true');
  const isDense = cards.length > DENSE_FROM;
  const box = h('div', { class: isDense ? 'graph dense' : 'graph' }, svg, levelsOf(cards, edges).map((level) => h('div', { class: 'level' }, level.map((node) => cardOf(node, view, isDense)))));
  return [toolbar, h('div', { 'class': 'scroll', 'data-scroll': 'graph', 'tabindex': '0', 'role': 'region', 'aria-label': 'Phases as a graph' }, box), () => drawEdges(box, svg, edges)];
}

function cardOf(node, view, isDense) {
  const status = statusOf(node);
  const below = phasesBelow(node);
  const open = (id) => () => view.jumpTo(id);
  const inside = node.kind === 'part'
    ? [h('span', { class: 'muted' }, `sub-workflow, ${count(below.length, 'phase')}`), h('span', { class: 'muted' }, tallyText(below))]
    : [
        !isDense && node.kind !== 'repeated' && h('span', { class: 'muted' }, node.planned.personas.join(', ')),
        node.record.startedAt !== null && h('span', { class: 'muted' }, h('span', { 'data-clock': node.id }, duration(node.record.startedAt, node.record.finishedAt)), trouble(node.record)),
        whyOf(node),
      ];
  const name = node.kind === 'phase' || node.kind === 'part' ? node.id : `${node.id} ×`;
  const onclick = node.kind === 'part' ? () => view.toggle(node) : open(node.id);
  const card = h('button', { 'class': 'face', 'data-key': `card-${node.id}`, 'aria-expanded': node.kind === 'part' ? 'false' : undefined, onclick }, h('strong', {}, name), pill(node.wait === undefined ? status : 'waiting_for_place'), ...inside);
  return h('div', { 'class': `card ${status} ${node.kind}`, 'data-phase': node.id }, card, node.kind === 'repeated' && instances(node, view));
}

function instances(node, view) {
  if (node.children.length === 0) return h('span', { class: 'muted instances' }, 'instances are not known yet');
  const toggle = groupToggle(view, node, `${count(node.children.length, 'instance')}: ${tallyText(node.children)}`, 'graph');
  if (!view.isOpen(node)) return h('div', { class: 'instances' }, toggle);
  const rest = node.children.length - MOST_INSTANCES;
  return h('div', { class: 'instances' }, toggle, h('ul', {}, node.children.slice(0, MOST_INSTANCES).map((child) =>
    h('li', {}, h('button', { 'class': 'face', 'data-key': `card-${child.id}`, 'onclick': () => view.jumpTo(child.id) }, h('strong', {}, child.label), pill(child.wait === undefined ? child.record.status : 'waiting_for_place'))))),
  rest > 0 && h('span', { class: 'muted' }, `and ${rest} more, in the table`));
}

export const tallyText = (nodes) => tally(nodes).map(([status, number]) => `${number} ${words(status)}`).join(', ');

/** Rework and faults are told apart: the one is asked by gates, the other is a thing that broke. */
const trouble = (record) => `${reworkOf(record) > 0 ? ` · rework ${reworkOf(record)}` : ''}${record.faults > 0 ? ` · ${count(record.faults, 'fault')}` : ''}`;

/** Why a phase stands where it stands, in few words. */
function whyOf({ record, planned, wait }) {
  if (record.status === 'skipped') return h('span', { class: 'why' }, record.reason);
  if (wait !== undefined) return h('span', { class: 'why' }, `in group ${shortGroup(wait.group)}`);
  if (record.status === 'waiting' && (planned.conditions ?? []).length > 0) return h('span', { class: 'muted' }, `if ${planned.conditions.map(({ text }) => text).join(' and ')}`);
  return false;
}
const shortGroup = (group) => (/^[0-9A-Z]{26}[.]g\d+[/]/.test(group) ? `the instances of ${group.replace(/^.*?[/]/, '')}` : group);

/** Edges between cards: what is inside a card stands for itself by it. */
function edgesOf(tree, cards) {
  const cardOfNode = (node) => (node === undefined || cards.has(node) ? node : cardOfNode(node.parent));
  const edges = new Map();
  for (const node of tree.nodes.values()) {
    if (node.planned === undefined || node.planned.instance !== undefined) continue;
    for (const need of node.planned.needs) {
      const [from, to] = [cardOfNode(tree.nodes.get(need)), cardOfNode(node)];
      if (from !== to && from !== undefined && to !== undefined) edges.set(`${from.id} ${to.id}`, [from, to]);
    }
  }
  return [...edges.values()];
}

/** Levels from left to right: a card stands one level after the last of those before it, and near them within its level. */
function levelsOf(cards, edges) {
  const before = new Map(cards.map((card) => [card, []]));
  for (const [from, to] of edges) before.get(to).push(from);
  const level = new Map();
  const depth = (card) => {
    if (!level.has(card)) {
      // A group that both comes before and after a card would ask for itself.
      level.set(card, 0);
      level.set(card, Math.max(-1, ...before.get(card).map(depth)) + 1);
    }
    return level.get(card);
  };
  const levels = [];
  for (const card of cards) (levels[depth(card)] ??= []).push(card);
  const place = new Map();
  return levels.map((row) => {
    const middle = (card) => {
      const places = before.get(card).flatMap((from) => place.get(from) ?? []);
      return places.length === 0 ? 0 : places.reduce((sum, each) => sum + each, 0) / places.length;
    };
    const sorted = row.map((card) => [middle(card), card]).toSorted(([a], [b]) => a - b).map(([, card]) => card);
    sorted.forEach((card, index) => place.set(card, (index + 0.5) / sorted.length));
    return sorted;
  });
}

function drawEdges(box, svg, edges) {
  const cards = new Map([...box.querySelectorAll('.card')].map((card) => [card.dataset.phase, card]));
  svg.setAttribute('width', box.scrollWidth);
  svg.setAttribute('height', box.scrollHeight);
  // All places are read before anything is drawn, so that the page is laid out once.
  const lines = edges.map(([from, to]) => [cards.get(from.id), cards.get(to.id)]).map(([from, to]) => {
    const [x1, y1] = [from.offsetLeft + from.offsetWidth, from.offsetTop + from.offsetHeight / 2];
    const [x2, y2] = [to.offsetLeft, to.offsetTop + to.offsetHeight / 2];
    const bend = Math.max(20, (x2 - x1) / 2);
    return `M${x1} ${y1} C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`;
  });
  svg.replaceChildren(...lines.map((line) => {
    const path = document.createElementNS('http://www.w3.org/2000/svg', 'path');
    path.setAttribute('d', line);
    return path;
  }));
}
