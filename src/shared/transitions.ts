import {
  ActivePhase,
  EndedPhase,
  EndedRun,
  type NewRunEvent,
  OpenRun,
  type PhaseRecord,
  type PhaseStatus,
  type RunStatus,
  type StoredRun,
  TERMINAL_PHASE,
  TERMINAL_RUN,
} from './run-record.ts';
import type { Fence, RunStore } from './run-store.ts';
import type { RunId } from './names.ts';
import { PHASE_MOVES, RUN_MOVES, assertMove } from './run-states.ts';

/** Moves a phase to a status; a phase that has ended stays as it ended. Returns whether it moved. */
export function movePhase(
  store: RunStore,
  runId: RunId,
  phase: string,
  status: PhaseStatus,
  options: {
    reason?: string;
    fence?: Fence;
    change?: (record: PhaseRecord) => PhaseRecord;
    events?: readonly NewRunEvent[];
  } = {},
): Promise<boolean> {
  return store.updatePhase(
    runId,
    phase,
    (before) => {
      if (TERMINAL_PHASE.includes(before.status)) return null;
      assertMove(PHASE_MOVES, `phase "${phase}" of run ${runId}`, before.status, status);
      const changed = options.change?.(before) ?? before;
      const now = new Date().toISOString();
      const reason = options.reason ?? '';
      const next: PhaseRecord = { ...changed, reason, ...phaseState(status, changed.startedAt, now) };
      const isNews = before.status !== status || before.round !== next.round;
      const moved: NewRunEvent[] = isNews ? [{ type: 'phase.status', phase, status, round: next.round, reason }] : [];
      return { next, events: [...(options.events ?? []), ...moved] };
    },
    options.fence,
  );
}

type PhaseState = PhaseRecord extends infer Each
  ? Each extends PhaseRecord
    ? Pick<Each, 'status' | 'startedAt' | 'finishedAt'>
    : never
  : never;

/** A status with the times that belong to it. */
function phaseState(status: PhaseStatus, startedAt: string | null, now: string): PhaseState {
  const ended = EndedPhase.safeParse(status);
  if (ended.success) return { status: ended.data, startedAt, finishedAt: now };
  const active = ActivePhase.safeParse(status);
  if (active.success) return { status: active.data, startedAt: startedAt ?? now, finishedAt: null };
  return { status: 'waiting', startedAt: null, finishedAt: null };
}

/** Moves a run to a status. Ending a run appends its one terminal event; an ended run stays as it ended. */
export function moveRun(
  store: RunStore,
  runId: RunId,
  status: RunStatus,
  options: {
    reason?: string;
    fence?: Fence;
    simulated?: boolean;
    from?: readonly RunStatus[];
    /** Told the status that the run was found in. */
    found?: (status: RunStatus) => void;
  } = {},
): Promise<boolean> {
  return store.updateRun(
    runId,
    (before: StoredRun) => {
      options.found?.(before.status);
      if (TERMINAL_RUN.includes(before.status) || before.status === status) return null;
      if (options.from !== undefined && !options.from.includes(before.status)) return null;
      assertMove(RUN_MOVES, `run ${runId}`, before.status, status);
      const now = new Date().toISOString();
      const reason = options.reason ?? '';
      const simulated = before.simulated || options.simulated === true;
      const startedAt = before.startedAt ?? now;
      const ended = EndedRun.safeParse(status);
      const next: StoredRun = ended.success
        ? { ...before, reason, simulated, startedAt, status: ended.data, finishedAt: now }
        : { ...before, reason, simulated, startedAt, status: OpenRun.parse(status), finishedAt: null };
      const event: NewRunEvent = ended.success
        ? { type: 'run.finished', status, reason, simulated }
        : { type: 'run.status', status, reason };
      return { next, events: [event] };
    },
    options.fence,
  );
}
