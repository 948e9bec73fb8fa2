import type { RunDetail } from '../../src/producer/api-schemas.ts';
import type { PhaseRecord, PlannedPhase } from '../../src/shared/run-record.ts';

/**
 * The phases of a run as a tree: the instances of a repeated phase stand under it, the phases of a sub-workflow under
 * the part that they are. A part has neither plan nor record of its own.
 */
export interface PartNode {
  kind: 'part';
  id: string;
  label: string;
  parent: Node | undefined;
  children: Node[];
}
export interface PhaseNode {
  kind: 'phase' | 'repeated';
  id: string;
  label: string;
  planned: PlannedPhase;
  record: PhaseRecord;
  wait: Wait | undefined;
  parent: Node | undefined;
  children: Node[];
}
export type Node = PartNode | PhaseNode;
export type Wait = RunDetail['waits'][number];
export interface Tree {
  nodes: Map<string, Node>;
  roots: Node[];
}

const SEPARATOR = '--';

export function treeOf({ plan, phases, waits }: Pick<RunDetail, 'plan' | 'phases' | 'waits'>): Tree {
  const records = new Map(phases.map((record) => [record.phase, record]));
  const waitOf = new Map(waits.map((wait) => [wait.phase, wait]));
  const nodes = new Map<string, Node>();
  const roots: Node[] = [];
  const hang = (node: Node, parent: Node | undefined): void => {
    node.parent = parent;
    (parent?.children ?? roots).push(node);
    if (parent !== undefined) node.label = node.id.slice(parent.id.length + SEPARATOR.length);
  };
  const part = (id: string): Node => {
    const known = nodes.get(id);
    if (known !== undefined) return known;
    const node: Node = { id, kind: 'part', label: id, parent: undefined, children: [] };
    nodes.set(id, node);
    const cut = id.lastIndexOf(SEPARATOR);
    hang(node, cut === -1 ? undefined : part(id.slice(0, cut)));
    return node;
  };
  for (const planned of plan) {
    const record = records.get(planned.name);
    if (record === undefined) continue;
    const { name } = planned;
    const kind = planned.repeat === undefined ? 'phase' : 'repeated';
    nodes.set(name, {
      id: name,
      kind,
      label: name,
      planned,
      record,
      wait: waitOf.get(name),
      parent: undefined,
      children: [],
    });
  }
  for (const { name, prefix = '', instance } of plan) {
    const node = nodes.get(name);
    if (node === undefined) continue;
    const whole = instance === undefined ? undefined : nodes.get(instance.of);
    hang(node, whole ?? (prefix === '' ? undefined : part(prefix.slice(0, -SEPARATOR.length))));
  }
  return { nodes, roots };
}

export const isPhase = (node: Node): node is PhaseNode => node.kind !== 'part';

/** All phases below a node. */
export const phasesBelow = (node: Node): PhaseNode[] =>
  node.children.flatMap((child) => (isPhase(child) ? [child, ...phasesBelow(child)] : phasesBelow(child)));

export const phasesOf = (tree: Tree): PhaseNode[] => [...tree.nodes.values()].filter(isPhase);

/** The first of these that one of the phases is in stands for all of them: nothing is green while a part of it is not. */
const WORST_FIRST = [
  'failed',
  'blocked',
  'awaiting_approval',
  'running',
  'cancelled',
  'not_started',
  'waiting',
  'passed_with_warnings',
  'not_gated',
  'passed',
  'skipped',
] as const satisfies readonly PhaseRecord['status'][];

export function statusOf(node: Node): PhaseRecord['status'] {
  if (isPhase(node)) return node.record.status;
  const statuses = new Set(phasesBelow(node).map(({ record }) => record.status));
  return WORST_FIRST.find((status) => statuses.has(status)) ?? 'waiting';
}

/** What is shown of a phase: it may wait for a place in its group while its record says that it waits. */
export const shownStatus = (node: Node): string =>
  isPhase(node) && node.wait !== undefined ? 'waiting_for_place' : statusOf(node);

/** How many phases stand how, worst first. */
export function tally(records: readonly PhaseRecord[]): [PhaseRecord['status'], number][] {
  const counts = new Map<string, number>();
  for (const { status } of records) counts.set(status, (counts.get(status) ?? 0) + 1);
  return WORST_FIRST.flatMap((status) => {
    const found = counts.get(status);
    return found === undefined ? [] : [[status, found] satisfies [PhaseRecord['status'], number]];
  });
}

export interface Listed {
  node: Node;
  depth: number;
}
/** Nodes from the top down, each with how deep it stands; what is in a closed group is left out. */
export const listed = (nodes: readonly Node[], isOpen: (node: Node) => boolean, depth = 0): Listed[] =>
  nodes.flatMap((node) => [
    { node, depth },
    ...(node.children.length > 0 && isOpen(node) ? listed(node.children, isOpen, depth + 1) : []),
  ]);

/** Times of taking-up: to which of them something belongs that happened at a time. Counted from 1. */
export const takingAt = (takings: readonly { at: string }[], at: string): number =>
  1 + takings.filter((taking) => taking.at <= at).length;

/** How often the personas of a phase were sent back by its gates since the run was last taken up. */
export const reworkOf = ({ round, firstRound }: PhaseRecord): number => round - firstRound;
