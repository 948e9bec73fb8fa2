import { FleetError } from '../shared/errors.ts';
import type { PhaseStart } from '../shared/jobs.ts';
import type { RunId, RunTake } from '../shared/names.ts';
import { type CommitRef, type PlannedPhase, type RunPlan, type RunRecord, TERMINAL_RUN } from '../shared/run-record.ts';
import type { Budget } from '../shared/workflow-schema.ts';
import { boundedBudget } from './bounded-budget.ts';
import { doneWork, measuredWork } from './earlier-work.ts';
import { addTake, giveUp } from './enqueue.ts';
import type { EnqueueTarget } from './enqueue-target.ts';
import { unpauseRun } from './run-control.ts';
import { type Restart, type TakeUp, assertEditable, isDecidedOn, phasesAgain, restart } from './take-up.ts';

export interface ResumeRequest {
  /** What is run again; all that did not pass, when not given. */
  takeUp?: TakeUp;
  /** A person's edits to the work of one of the phases that are run again. */
  edited?: { phase: string; commit: CommitRef };
  /** What the run may spend from now on, in all. */
  budget?: Budget;
  /** Whether the budget may be above what the run may spend as it is; yes, when not given. */
  mayRaiseBudget?: boolean;
  reason?: string;
}

export interface Resumed {
  runId: RunId;
  generation: number;
  /** The phases that are run again; none when a paused run simply goes on. */
  phases: string[];
  /** False when there was nothing to do: the run is under way. */
  changed: boolean;
}

/**
 * Lets a run go on: a paused one where it stood; one that ended, with the phases that are to be run again.
 * Phases that passed keep their work and are not run again. Asking twice does it once.
 * Throws `CONFLICT`, with the reason, when it makes no sense.
 */
export async function resumeRun(target: EnqueueTarget, runId: RunId, request: ResumeRequest = {}): Promise<Resumed> {
  const { store } = target;
  const seq = await store.lastSeq(runId);
  const run = await store.getRun(runId);
  const isPlain = request.takeUp === undefined && request.edited === undefined;
  if (!TERMINAL_RUN.includes(run.status)) {
    if (!isPlain)
      throw new FleetError(
        'CONFLICT',
        `run ${runId} is ${run.status.replace('_', ' ')}; a phase can be run again when the run has ended`,
        {
          remedy: `Wait until it has ended, or end it with \`maestro cancel ${runId}\`.`,
        },
      );
    const newBudget = request.budget === undefined ? undefined : budgetOf(request, await store.getPlan(runId));
    return goOn(target, run, newBudget);
  }
  const plan = await store.getPlan(runId);
  const newBudget = budgetOf(request, plan);
  const known = { plan, records: await store.getPhases(runId), approvals: await store.getApprovals(runId) };
  const takeUp = request.takeUp ?? { kind: 'rest' };
  const names = phasesAgain(known, takeUp);
  if (request.edited !== undefined) assertEditable(known, request.edited.phase, names);
  const before = { runId, generation: run.generation };
  const restarts: Restart[] = [];
  for (const record of known.records.filter(({ phase }) => names.includes(phase))) {
    const isFresh = takeUp.kind === 'from';
    const edited = request.edited?.phase === record.phase ? request.edited.commit : undefined;
    const mayGoOn = !isFresh && edited === undefined && isDecidedOn(record, known);
    const decidedOn = mayGoOn ? await measuredWork(target, before, record) : undefined;
    restarts.push(restart(record, known, { isFresh, edited, decidedOn }));
  }
  const isMine = await store.reopen(
    runId,
    { generation: run.generation, seq },
    {
      change: (stored) => ({
        ...stored,
        status: 'queued',
        reason: '',
        finishedAt: null,
        ...newBudget(stored),
      }),
      phases: restarts.map(({ record }) => record),
      reason: request.reason ?? '',
    },
  );
  if (!isMine) {
    // Somebody else was faster, with the same request or with another: it is asked again of the run as it is now.
    return resumeRun(target, runId, request);
  }
  const phases = await startsOf(target, before, plan.phases, restarts);
  try {
    await addTake(target, plan, { generation: run.generation + 1, phases });
  } catch (err) {
    await giveUp(target, runId, err);
    throw err;
  }
  return { runId, generation: run.generation + 1, phases: names, changed: true };
}

type NewBudget = (run: Pick<RunRecord, 'budget'>) => Pick<RunRecord, 'budget'>;

/** What a run may spend from now on, beside what it may as it stands. */
function budgetOf({ budget, mayRaiseBudget = true }: ResumeRequest, plan: RunPlan): NewBudget {
  if (budget === undefined) return () => ({});
  return (run) => ({ budget: mayRaiseBudget ? budget : boundedBudget(run.budget ?? plan.budget, budget) });
}

/** Lets a paused run go on, with what it may spend from now on. */
async function goOn(
  target: EnqueueTarget,
  { runId, generation, status }: RunRecord,
  newBudget: NewBudget | undefined,
): Promise<Resumed> {
  if (newBudget !== undefined) {
    const isSet = await target.store.updateRun(runId, (run) =>
      run.status === 'paused' ? { next: { ...run, ...newBudget(run) }, events: [] } : null,
    );
    if (!isSet)
      throw new FleetError(
        'CONFLICT',
        `run ${runId} is ${status.replace('_', ' ')}; its budget can be changed when it is paused or has ended`,
        { remedy: `Pause it first: \`maestro pause ${runId}\`.` },
      );
  }
  return { runId, generation, phases: [], changed: await unpauseRun(target, runId) };
}

/** Where each phase begins, with the work of its round that some of its personas had done before another failed. */
async function startsOf(
  target: EnqueueTarget,
  take: RunTake,
  planned: readonly PlannedPhase[],
  restarts: readonly Restart[],
): Promise<Map<string, PhaseStart>> {
  const starts = new Map<string, PhaseStart>();
  for (const { record, start, goesOn } of restarts) {
    const personas = planned.find((phase) => phase.name === record.phase)?.personas ?? [];
    const done = goesOn ? await doneWork(target, take, { phase: record.phase, personas, round: start.round }) : [];
    starts.set(record.phase, { ...start, done });
  }
  return starts;
}
