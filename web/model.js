/**
 * The phases of a run as a tree: the instances of a repeated phase stand under it, the phases of a sub-workflow under
 * the phase that it stands for. A node is `{ id, kind, planned, record, parent, children }`; a `part` (sub-workflow)
 * has neither plan nor record of its own.
 */
const SEPARATOR = '--';
const partOf = (prefix) => prefix.slice(0, -SEPARATOR.length);

export function treeOf(plan, phases, waits) {
  const records = new Map(phases.map((record) => [record.phase, record]));
  const waitOf = new Map(waits.map((wait) => [wait.phase, wait]));
  const nodes = new Map();
  const roots = [];
  const isRepeated = new Set(plan.filter(({ repeat }) => repeat !== undefined).map(({ name }) => name));
  const hang = (node, parentId) => {
    node.parent = parentId === undefined ? undefined : nodes.get(parentId);
    (node.parent?.children ?? roots).push(node);
  };
  const part = (id) => {
    if (nodes.has(id)) return id;
    const node = { id, kind: 'part', label: id, children: [] };
    nodes.set(id, node);
    const cut = id.lastIndexOf(SEPARATOR);
    hang(node, cut === -1 ? undefined : part(id.slice(0, cut)));
    return id;
  };
  for (const planned of plan) {
    const kind = isRepeated.has(planned.name) ? 'repeated' : 'phase';
    nodes.set(planned.name, { id: planned.name, kind, label: planned.name, planned, record: records.get(planned.name), wait: waitOf.get(planned.name), children: [] });
  }
  for (const planned of plan) {
    const { name, prefix = '', instance } = planned;
    hang(nodes.get(name), instance !== undefined && nodes.has(instance.of) ? instance.of : prefix === '' ? undefined : part(partOf(prefix)));
  }
  for (const node of nodes.values()) if (node.parent !== undefined) node.label = node.id.slice(node.parent.id.length + SEPARATOR.length);
  return { nodes, roots };
}

/** All phases below a node. */
export const phasesBelow = (node) => node.children.flatMap((child) => (child.kind === 'part' ? phasesBelow(child) : [child, ...phasesBelow(child)]));

/** The first of these that one of the phases is in stands for all of them: nothing is green while a part of it is not. */
const WORST_FIRST = ['failed', 'blocked', 'awaiting_approval', 'running', 'cancelled', 'not_started', 'waiting', 'passed_with_warnings', 'not_gated', 'passed', 'skipped'];
export function statusOf(node) {
  if (node.record !== undefined) return node.record.status;
  const statuses = new Set(phasesBelow(node).map(({ record }) => record.status));
  return WORST_FIRST.find((status) => statuses.has(status)) ?? 'waiting';
}

/** `3 passed, 1 blocked`, worst first. */
export function tally(nodes) {
  const counts = new Map();
  for (const { record } of nodes) counts.set(record.status, (counts.get(record.status) ?? 0) + 1);
  return WORST_FIRST.filter((status) => counts.has(status)).map((status) => [status, counts.get(status)]);
}

/** Nodes from the top down, each with how deep it stands; what is in a closed group is left out. */
export function listed(roots, isOpen, depth = 0) {
  return roots.flatMap((node) => [{ node, depth }, ...(node.children.length > 0 && isOpen(node) ? listed(node.children, isOpen, depth + 1) : [])]);
}

/** Times of taking-up: to which of them something belongs that happened at a time. Counted from 1. */
export const takingAt = (takings, at) => 1 + takings.filter((taking) => taking.at <= at).length;

/** How often the personas of a phase were sent back by its gates since the run was last taken up. */
export const reworkOf = ({ round, firstRound }) => round - firstRound;
