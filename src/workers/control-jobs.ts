import { type Approval } from '../shared/handoff.ts';
import type { ApprovalJob, EdgeJob, RunJob, RunJobResult } from '../shared/jobs.ts';
import type { z } from 'zod';
import { type RunId, jobIds } from '../shared/names.ts';
import { Parked } from './parking.ts';
import { FleetError } from '../shared/errors.ts';
import { type PhaseRecord, TERMINAL_PHASE, TERMINAL_RUN } from '../shared/run-record.ts';
import { runOutcome } from '../shared/run-outcome.ts';
import type { Fence, RunStore } from '../shared/run-store.ts';
import { leftOut } from '../shared/start-from.ts';
import { waitersOf } from '../shared/waiters.ts';
import { moveRun, movePhase } from '../shared/transitions.ts';

/** What a control job may do with the queue it lives in. */
export interface ControlHandle {
  readonly fence: Fence;
  /** Wakes a parked job of the same queue; does nothing when it is awake or gone. */
  wake(jobId: string): Promise<void>;
}

/**
 * A phase whose gate job has ended without a verdict has failed: a missing verdict record is a block.
 * Called only where the queue itself says that the gate job has ended.
 */
export async function settleEndedPhase(
  store: RunStore,
  runId: RunId,
  phase: string,
  fence: Fence,
): Promise<PhaseRecord> {
  const record = await store.getPhase(runId, phase);
  if (TERMINAL_PHASE.includes(record.status)) return record;
  await movePhase(store, runId, phase, 'failed', { reason: 'its gate job ended without a verdict', fence });
  return store.getPhase(runId, phase);
}

/** `fan`: its source has ended, so the parked edges wake. `edge`: lets its consumer go on once the source has ended. */
export async function passEdge(store: RunStore, job: EdgeJob, handle: ControlHandle): Promise<null> {
  if (job.kind === 'fan') {
    await settleEndedPhase(store, job.runId, job.from, handle.fence);
    // Which edges there are stands in the plan: a job's data stays small, however many wait for it.
    const { phases } = await store.getPlan(job.runId);
    for (const to of phases.filter(({ needs, instance }) => instance === undefined && needs.includes(job.from)))
      for (const waiter of waitersOf(to)) await handle.wake(jobIds.edge(job, job.from, to.name, waiter));
    return null;
  }
  const isDue = async (): Promise<boolean> =>
    TERMINAL_PHASE.includes((await store.getPhase(job.runId, job.from)).status);
  if (await isDue()) return null;
  throw new Parked(`waits for ${job.from}`, isDue);
}

/** Ends when a decision on its phase, role and round is recorded; until then it is parked and holds no worker. */
export async function awaitApproval(store: RunStore, job: ApprovalJob, fence: Fence): Promise<Approval> {
  const plan = await store.getPlan(job.runId);
  const find = async (): Promise<Approval | undefined> =>
    (await store.getApprovals(job.runId)).find(
      (approval) => approval.phase === job.phase && approval.role === job.role && approval.round === job.round,
    );
  const decided = await find();
  if (decided !== undefined) return decided;
  const phase = await store.getPhase(job.runId, job.phase);
  if (TERMINAL_PHASE.includes(phase.status))
    throw new FleetError('PHASE_NOT_PASSED', `${phase.status}: ${phase.reason}`);
  if (plan.scripted?.approvals !== true) {
    const hasEnded = async (): Promise<boolean> =>
      TERMINAL_PHASE.includes((await store.getPhase(job.runId, job.phase)).status);
    throw new Parked(`waits for a ${job.role}`, async () => (await find()) !== undefined || (await hasEnded()));
  }
  const approval: Approval = {
    phase: job.phase,
    role: job.role,
    round: job.round,
    by: 'scripted stakeholder',
    decision: 'approved',
    note: 'simulated: a script approved, no person looked at it',
    at: new Date().toISOString(),
    simulated: true,
  };
  await store.recordApproval(job.runId, approval, fence);
  return approval;
}

/** The root of a flow: every phase has ended, so the run ends, with exactly one terminal event. */
export async function finishRun(store: RunStore, job: RunJob, fence: Fence): Promise<z.infer<typeof RunJobResult>> {
  const phases: PhaseRecord[] = [];
  for (const phase of await store.getPhases(job.runId)) {
    const hasEnded = TERMINAL_PHASE.includes(phase.status);
    phases.push(hasEnded ? phase : await settleEndedPhase(store, job.runId, phase.phase, fence));
  }
  const { status, reason } = runOutcome(phases, leftOut(await store.getPlan(job.runId)));
  await moveRun(store, job.runId, status, { reason, simulated: phases.some((phase) => phase.simulated), fence });
  const run = await store.getRun(job.runId);
  if (!TERMINAL_RUN.includes(run.status))
    throw new FleetError('INTERNAL', `run ${job.runId} did not end`, { retry: true });
  if (run.status !== 'passed' && run.status !== 'passed_with_warnings') {
    throw new FleetError('PHASE_NOT_PASSED', `${run.status}: ${run.reason}`);
  }
  return { status: run.status, reason: run.reason };
}
