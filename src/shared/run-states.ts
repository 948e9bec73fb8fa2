import { FleetError } from './errors.ts';
import { EndedPhase, EndedRun, type PhaseStatus, type RunStatus } from './run-record.ts';

const PHASE_ENDS = EndedPhase.exclude(['not_started']).options;
const RUN_ENDS = EndedRun.options;

/**
 * Where a phase may go from each status. Only taking up the whole run again leads out of an end.
 * `running` -> `running` is another round.
 */
export const PHASE_MOVES: Readonly<Record<PhaseStatus, readonly PhaseStatus[]>> = {
  waiting: ['running', 'skipped', 'not_started', 'blocked', 'failed', 'cancelled'],
  running: ['running', 'awaiting_approval', ...PHASE_ENDS],
  awaiting_approval: ['running', 'awaiting_approval', ...PHASE_ENDS],
  passed: [],
  passed_with_warnings: [],
  not_gated: [],
  blocked: [],
  failed: [],
  cancelled: [],
  skipped: [],
  not_started: [],
};

/** Where a run may go from each status. */
export const RUN_MOVES: Readonly<Record<RunStatus, readonly RunStatus[]>> = {
  queued: ['running', 'awaiting_approval', 'paused', ...RUN_ENDS],
  running: ['awaiting_approval', 'paused', ...RUN_ENDS],
  awaiting_approval: ['running', 'paused', ...RUN_ENDS],
  paused: ['queued', 'running', 'awaiting_approval', ...RUN_ENDS],
  passed: [],
  passed_with_warnings: [],
  blocked: [],
  failed: [],
  cancelled: [],
};

/** Throws `INTERNAL` for a move that no state machine knows: a defect of the program, never a thing to be passed over. */
export function assertMove<S extends string>(
  moves: Readonly<Record<S, readonly S[]>>,
  what: string,
  from: S,
  to: S,
): void {
  if (!moves[from].includes(to)) throw new FleetError('INTERNAL', `${what} cannot go from ${from} to ${to}`);
}
