import type { RunView } from '../lib/live-run.ts';
import { type PhaseNode, phasesOf } from '../lib/model.ts';

/** What somebody was at, or what was waited for. `work` is work of which nobody recorded what it was. */
export const KINDS = ['queue', 'wait', 'model', 'tools', 'work', 'gates', 'approval', 'question'] as const;
export type Kind = (typeof KINDS)[number];

export const KIND_WORDS: Record<Kind, string> = {
  queue: 'Could start, waited for a worker',
  wait: 'Waited for the model',
  model: 'Model',
  tools: 'Tools',
  work: 'Work, not told apart',
  gates: 'Gates',
  approval: 'Waited for an approval',
  question: 'Waited for an answer',
};
/** In these nothing was done: somebody or something was waited for. */
export const WAITING: ReadonlySet<Kind> = new Set<Kind>(['queue', 'wait', 'approval', 'question']);

export interface Span {
  kind: Kind;
  from: number;
  to: number;
}
export interface Lane {
  key: string;
  name: string;
  spans: Span[];
}
export interface Line {
  node: PhaseNode;
  from: number;
  to: number;
  lanes: Lane[];
  /** Whether all turns of the phase told where their time went. */
  isRecorded: boolean;
}
export interface Timeline {
  from: number;
  to: number;
  lines: Line[];
}

/** Who was at what when, by phase; each phase has a lane for itself, for every persona, and for its gates. */
export function timelineOf(run: RunView, now: number): Timeline {
  const { record, phases } = { record: run.detail.run, phases: phasesOf(run.tree) };
  const began = Date.parse(record.startedAt ?? record.createdAt);
  const logged = groupsOf(run);
  const endOf = new Map(
    phases.map(({ id, record: { finishedAt } }) => [id, finishedAt === null ? undefined : Date.parse(finishedAt)]),
  );
  const lines = phases.flatMap((node): Line[] => {
    const { startedAt, finishedAt } = node.record;
    if (startedAt === null) return [];
    const from = Date.parse(startedAt);
    const to = finishedAt === null ? now : Date.parse(finishedAt);
    const ready = Math.max(began, ...node.planned.needs.map((need) => endOf.get(need) ?? began));
    const turns = logged.turns.get(node.id) ?? [];
    const isRecorded = turns.length > 0 && turns.every(({ startedAt: turnAt }) => turnAt !== undefined);
    const own: Lane = {
      key: 'phase',
      name: node.id,
      spans: [
        ...(ready < from ? [{ kind: 'queue' as const, from: ready, to: from }] : []),
        ...(isRecorded ? [] : [{ kind: 'work' as const, from, to }]),
        ...approvals(logged.statuses.get(node.id) ?? [], to),
      ],
    };
    const approved = own.spans.filter(({ kind }) => kind === 'approval');
    const gates = { key: 'gates', name: 'gates', spans: without(gateSpans(logged, node.id, to), approved) };
    const lanes = [own, ...personaLanes(run, node, turns, now), ...(gates.spans.length > 0 ? [gates] : [])];
    return [{ node, from: Math.min(ready, from), to, lanes, isRecorded }];
  });
  lines.sort((a, b) => a.from - b.from || a.to - b.to);
  // Workers have clocks of their own: what they tell may lie outside of what the run says of itself.
  const spans = lines.flatMap(({ lanes }) => lanes.flatMap((lane) => lane.spans));
  const ended = record.finishedAt === null ? now : Date.parse(record.finishedAt);
  return {
    from: spans.reduce((least, span) => Math.min(least, span.from), began),
    to: spans.reduce((most, span) => Math.max(most, span.to), Math.max(ended, began + 1)),
    lines,
  };
}

type Turn = RunView['log']['turns'][number];
type Logged = ReturnType<typeof groupsOf>;

const groupsOf = ({ log }: RunView) => ({
  turns: Map.groupBy(log.turns, ({ phase }) => phase),
  statuses: Map.groupBy(log.statuses, ({ phase }) => phase),
  gatesStarted: Map.groupBy(log.gatesStarted, ({ phase }) => phase),
  verdicts: Map.groupBy(log.verdicts, ({ phase }) => phase),
});

/** From when a phase awaited an approval until it stood otherwise. */
function approvals(statuses: Logged['statuses'] extends Map<string, infer T> ? T : never, end: number): Span[] {
  return statuses.flatMap(({ status, at }, index): Span[] => {
    const next = statuses[index + 1];
    return status === 'awaiting_approval'
      ? [{ kind: 'approval', from: Date.parse(at), to: next === undefined ? end : Date.parse(next.at) }]
      : [];
  });
}

/** The first verdict after gates began is theirs: a round is judged again when a worker died meanwhile. */
function gateSpans({ gatesStarted, verdicts }: Logged, phase: string, end: number): Span[] {
  const judged = verdicts.get(phase) ?? [];
  return (gatesStarted.get(phase) ?? []).map(({ round, at }) => {
    const verdict = judged.find((each) => each.round === round && each.at >= at);
    return { kind: 'gates', from: Date.parse(at), to: verdict === undefined ? end : Date.parse(verdict.at) };
  });
}

/** Gates wait for approvals: while they do, they measure nothing. */
const without = (spans: readonly Span[], gaps: readonly Span[]): Span[] =>
  gaps.reduce<Span[]>(
    (left, gap) =>
      left.flatMap((span) =>
        [
          { ...span, to: Math.min(span.to, gap.from) },
          { ...span, from: Math.max(span.from, gap.to) },
        ].filter(({ from, to }) => to > from),
      ),
    [...spans],
  );

function personaLanes(run: RunView, node: PhaseNode, turns: readonly Turn[], now: number): Lane[] {
  const lanes = new Map<string, Lane>();
  const laneOf = (persona: string, kind: string): Lane => {
    const name = kind === 'review' ? `${persona} (review)` : persona;
    const lane = lanes.get(name) ?? { key: name, name, spans: [] };
    lanes.set(name, lane);
    return lane;
  };
  for (const turn of turns) laneOf(turn.persona, turn.kind).spans.push(...turnSpans(turn));
  for (const { phase, persona, askedAt, answer, withdrawn } of run.detail.questions)
    if (phase === node.id)
      laneOf(persona, 'work').spans.push({
        kind: 'question',
        from: Date.parse(askedAt),
        to: Date.parse(answer?.at ?? withdrawn?.at ?? new Date(now).toISOString()),
      });
  return [...lanes.values()];
}

/** A turn waits, then the model answers, then tools run: the lengths were measured, and this is their order. */
function turnSpans({ startedAt, waitedMs = 0, modelMs = 0, toolMs = 0 }: Turn): Span[] {
  if (startedAt === undefined) return [];
  const from = Date.parse(startedAt);
  const spans: Span[] = [
    { kind: 'wait', from, to: from + waitedMs },
    { kind: 'model', from: from + waitedMs, to: from + waitedMs + modelMs },
    { kind: 'tools', from: from + waitedMs + modelMs, to: from + waitedMs + modelMs + toolMs },
  ];
  return spans.filter((span) => span.to > span.from);
}

/** Spans of one kind that the eye cannot tell apart are drawn as one, so that a long run is drawn quickly. */
export function drawn(spans: readonly Span[], leastGap: number): Span[] {
  const merged: Span[] = [];
  const last = new Map<Kind, Span>();
  for (const span of spans.toSorted((a, b) => a.from - b.from)) {
    const before = last.get(span.kind);
    if (before !== undefined && span.from - before.to < leastGap) {
      before.to = Math.max(before.to, span.to);
      continue;
    }
    const copy = { ...span };
    last.set(span.kind, copy);
    merged.push(copy);
  }
  return merged;
}

/** How long each kind took in all; what happens side by side counts twice, as work does. */
export function totalsOf(lanes: readonly Lane[]): Record<Kind, number> {
  const totals: Record<Kind, number> = {
    queue: 0,
    wait: 0,
    model: 0,
    tools: 0,
    work: 0,
    gates: 0,
    approval: 0,
    question: 0,
  };
  for (const { spans } of lanes) for (const { kind, from, to } of spans) totals[kind] += to - from;
  return totals;
}

const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 28_800, 86_400];
/** Round times between which there is room for a label. */
export function ticksOf({ from, to }: Timeline, most: number): number[] {
  const step = (STEPS.find((each) => (to - from) / 1000 / each <= most) ?? 86_400) * 1000;
  return Array.from({ length: Math.floor((to - from) / step) + 1 }, (_, index) => index * step);
}
