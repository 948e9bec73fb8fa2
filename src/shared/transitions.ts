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
import { type Question, openQuestions, withdrawn } from './question.ts';
import { PHASE_MOVES, RUN_MOVES, assertMove } from './run-states.ts';

interface PhaseMove {
  reason?: string;
  fence?: Fence;
  change?: (record: PhaseRecord) => PhaseRecord;
  events?: readonly NewRunEvent[];
  /** What changes among the questions of the run in the same step; null leaves everything as it is. */
  asking?: (known: readonly Question[]) => Asking | null;
}

interface Asking {
  questions: readonly Question[];
  events: readonly NewRunEvent[];
}

/**
 * Moves a phase to a status; a phase that has ended stays as it ended. Nobody waits for an answer in a phase that ends:
 * its open questions are withdrawn in the same step. Returns whether it moved.
 */
export async function movePhase(
  store: RunStore,
  runId: RunId,
  phase: string,
  status: PhaseStatus,
  options: PhaseMove = {},
): Promise<boolean> {
  const { reason = '', fence } = options;
  const ends = TERMINAL_PHASE.includes(status);
  const withdraw = (known: readonly Question[]): Asking =>
    withdrawn(openQuestions(known, phase), `its phase is ${words(status)}${reason === '' ? '' : `: ${reason}`}`);
  const asking = ends ? withdraw : options.asking;
  let waited = false;
  const isMoved = await store.updatePhase(
    runId,
    phase,
    (before, known) => {
      if (TERMINAL_PHASE.includes(before.status)) return null;
      assertMove(PHASE_MOVES, `phase "${phase}" of run ${runId}`, before.status, status);
      const asked = asking === undefined ? NOTHING_ASKED : asking(known);
      if (asked === null) return null;
      waited = before.status === WAITS;
      const changed = options.change?.(before) ?? before;
      const now = new Date().toISOString();
      const next: PhaseRecord = { ...changed, reason, ...phaseState(status, changed.startedAt, now) };
      const isNews = before.status !== status || before.round !== next.round;
      const moved: NewRunEvent[] = isNews ? [{ type: 'phase.status', phase, status, round: next.round, reason }] : [];
      return { next, events: [...(options.events ?? []), ...asked.events, ...moved], questions: asked.questions };
    },
    fence,
    { withQuestions: asking !== undefined },
  );
  // Phases are cancelled with their run, which ends too.
  if (isMoved && waited !== (status === WAITS) && status !== 'cancelled') await followPhases(store, runId, fence);
  return isMoved;
}

const NOTHING_ASKED: Asking = { questions: [], events: [] };
const WAITS = 'awaiting_approval';
const words = (status: PhaseStatus): string => status.replaceAll('_', ' ');

/** A run that is under way waits for a person while one of its phases does, and no longer. */
export async function followPhases(store: RunStore, runId: RunId, fence?: Fence): Promise<void> {
  for (let isMoved = true; isMoved;) {
    const waits = (await store.getPhases(runId)).some(({ status }) => status === WAITS);
    const [from, to] = waits ? ([['queued', 'running'], WAITS] as const) : ([[WAITS], 'running'] as const);
    // Where two phases move at once, whoever moved the run looks again.
    isMoved = await moveRun(store, runId, to, { from, ...(fence === undefined ? {} : { fence }) });
  }
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
