import type { RunEvent } from '../../src/shared/run-record.ts';

type EventOf<T extends RunEvent['type']> = Extract<RunEvent, { type: T }>;
const MOST_KEPT = 400;

/**
 * Keeps of a run's log what is shown: its end as a list, and from all of it what tells how the run was taken up and
 * ended, when each phase stood how, what every turn took, and whose decision is asked.
 */
export class RunLog {
  recent: RunEvent[] = [];
  readonly takings: EventOf<'run.resumed'>[] = [];
  readonly ends: EventOf<'run.finished'>[] = [];
  readonly turns: EventOf<'persona.turn'>[] = [];
  readonly statuses: EventOf<'phase.status'>[] = [];
  readonly verdicts: { phase: string; round: number; at: string }[] = [];
  readonly gatesStarted: EventOf<'gates.started'>[] = [];
  readonly asked = new Map<string, string>();
  count = 0;

  add(event: RunEvent): void {
    this.count += 1;
    this.recent.push(event);
    if (this.recent.length > 2 * MOST_KEPT) this.recent = this.recent.slice(-MOST_KEPT);
    if (event.type === 'run.resumed') this.takings.push(event);
    else if (event.type === 'run.finished') this.ends.push(event);
    else if (event.type === 'persona.turn') this.turns.push(event);
    else if (event.type === 'phase.status') this.statuses.push(event);
    else if (event.type === 'gate.verdict')
      this.verdicts.push({ phase: event.phase, round: event.round, at: event.at });
    else if (event.type === 'gates.started') this.gatesStarted.push(event);
    else if (event.type === 'approval.requested') this.asked.set(event.phase, event.role);
  }
}
