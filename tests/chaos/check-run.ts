import { type RunEvent, TERMINAL_PHASE } from '../../src/shared/run-record.ts';
import type { RunId } from '../../src/shared/names.ts';
import type { RunStore } from '../../src/shared/run-store.ts';
import { type RandomDag, interpret, lastRound, templateOf } from '../support/random-dag.ts';

/** Everything that is wrong with an ended run: against the reference interpreter, and in itself. */
export async function checkRun(store: RunStore, runId: RunId, dag: RandomDag): Promise<string[]> {
  const expected = interpret(dag);
  const run = await store.getRun(runId);
  const problems: string[] = [];
  if (run.status !== expected.run) problems.push(`run is ${run.status}, not ${expected.run}: ${run.reason}`);
  for (const record of await store.getPhases(runId)) {
    const status = expected.phases[record.phase];
    if (record.status !== status)
      problems.push(`phase ${record.phase} is ${record.status}, not ${status}: ${record.reason}`);
  }
  return [...problems, ...checkEvents(await allEvents(store, runId), dag, expected.phases)];
}

async function allEvents(store: RunStore, runId: RunId): Promise<RunEvent[]> {
  const events: RunEvent[] = [];
  for (;;) {
    const page = await store.readEvents(runId, events.at(-1)?.seq ?? 0, { count: 1_000 });
    if (page.length === 0) return events;
    events.push(...page);
  }
}

/** The log has no gap, tells of each end once, of nothing after an end, and of no phase before what it needs. */
export function checkEvents(
  events: readonly RunEvent[],
  dag: RandomDag,
  expected: Readonly<Record<string, string>>,
): string[] {
  const problems: string[] = [];
  const ended = new Set<string>();
  const reworked = new Map<string, number>();
  let finished = 0;
  for (const [index, event] of events.entries()) {
    if (event.seq !== index + 1) problems.push(`event ${index + 1} has the number ${event.seq}`);
    if (finished > 0) problems.push(`${event.type} after the run's end`);
    if (event.type === 'run.finished') finished += 1;
    if (!('phase' in event)) continue;
    const { phase } = event;
    if (ended.has(phase)) problems.push(`${event.type} of ${phase} after its end`);
    if (event.type === 'rework.requested') reworked.set(phase, (reworked.get(phase) ?? 0) + 1);
    if (event.type !== 'phase.status') continue;
    if (TERMINAL_PHASE.includes(event.status)) ended.add(phase);
    else
      for (const need of dag.needs[templateOf(phase)] ?? [])
        if (!ended.has(need)) problems.push(`${phase} began before ${need} had ended`);
  }
  if (finished !== 1) problems.push(`${finished} ends of the run`);
  for (const [phase, status] of Object.entries(expected)) {
    if (!ended.has(phase)) problems.push(`no event tells of the end of ${phase}`);
    const rounds = status === 'passed' || status === 'blocked' ? lastRound(dag, phase) : 0;
    if ((reworked.get(phase) ?? 0) !== rounds)
      problems.push(`${phase} was reworked ${reworked.get(phase) ?? 0} times, not ${rounds}`);
  }
  return problems;
}
