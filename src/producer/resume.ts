import { FleetError } from '../shared/errors.ts';
import { PersonaResult, type PhaseStart } from '../shared/jobs.ts';
import { type RunId, type RunTake, jobIds, personaQueue } from '../shared/names.ts';
import { type CommitRef, type PlannedPhase, TERMINAL_RUN } from '../shared/run-record.ts';
import type { Budget } from '../shared/workflow-schema.ts';
import { addTake, giveUp } from './enqueue.ts';
import type { EnqueueTarget } from './enqueue-target.ts';
import { unpauseRun } from './run-control.ts';
import { type Restart, type TakeUp, phasesAgain, restart } from './take-up.ts';
import { withQueue } from './with-queue.ts';

export interface ResumeRequest {
  /** What is run again; all that did not pass, when not given. */
  takeUp?: TakeUp;
  /** A person's edits to the work of one of the phases that are run again. */
  edited?: { phase: string; commit: CommitRef };
  /** What the run may spend from now on, in all. */
  budget?: Budget;
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
    const goesOn = await unpauseRun(target, runId);
    return { runId, generation: run.generation, phases: [], changed: goesOn };
  }
  const plan = await store.getPlan(runId);
  const known = { plan, records: await store.getPhases(runId), approvals: await store.getApprovals(runId) };
  const takeUp = request.takeUp ?? { kind: 'rest' };
  const names = phasesAgain(known, takeUp);
  if (request.edited !== undefined && !names.includes(request.edited.phase))
    throw new FleetError(
      'CONFLICT',
      `phase "${request.edited.phase}" is not run again, so edits to it change nothing`,
      {
        remedy: `To start again from it: \`maestro retry ${runId} --from ${request.edited.phase}\` with the edits.`,
      },
    );
  const restarts = known.records
    .filter((record) => names.includes(record.phase))
    .map((record) =>
      restart(record, known, {
        isFresh: takeUp.kind === 'from',
        edited: request.edited?.phase === record.phase ? request.edited.commit : undefined,
      }),
    );
  const isMine = await store.reopen(runId, run.generation, {
    change: (before) => ({
      ...before,
      status: 'queued',
      reason: '',
      finishedAt: null,
      ...(request.budget === undefined ? {} : { budget: request.budget }),
    }),
    phases: restarts.map(({ record }) => record),
    reason: request.reason ?? '',
  });
  if (!isMine) throw new FleetError('CONFLICT', `run ${runId} was taken up by somebody else in this moment`);
  const before = { runId, generation: run.generation };
  const phases = await startsOf(target, before, plan.phases, restarts);
  try {
    await addTake(target, plan, { generation: run.generation + 1, phases });
  } catch (err) {
    await giveUp(target, runId, err);
    throw err;
  }
  return { runId, generation: run.generation + 1, phases: names, changed: true };
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
    const done = goesOn ? await doneWork(target, take, record.phase, personas, start.round) : [];
    starts.set(record.phase, { ...start, done });
  }
  return starts;
}

async function doneWork(
  target: EnqueueTarget,
  take: RunTake,
  phase: string,
  personas: readonly string[],
  round: number,
): Promise<PersonaResult[]> {
  const results: PersonaResult[] = [];
  for (const persona of personas) {
    const job = await withQueue(target, personaQueue(persona), (queue) =>
      queue.getJob(jobIds.work(take, phase, persona, round)),
    );
    const result = PersonaResult.safeParse(job?.returnvalue);
    if (result.success) results.push(result.data);
  }
  return results;
}
