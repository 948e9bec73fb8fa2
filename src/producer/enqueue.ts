import { FlowProducer, Queue } from 'bullmq';
import { FleetError } from '../shared/errors.ts';
import type { Approval } from '../shared/handoff.ts';
import { QUEUES, type RunId, jobIds } from '../shared/names.ts';
import type { Redis } from '../shared/redis.ts';
import { type RunPlan, TERMINAL_PHASE } from '../shared/run-record.ts';
import type { RunStore } from '../shared/run-store.ts';
import { buildFlow } from './flow.ts';

export interface EnqueueTarget {
  redis: Redis;
  prefix: string;
  store: RunStore;
}

/**
 * Stores a run and adds its whole flow in one atomic call. Job ids are made from the run id,
 * so doing it again for the same plan adds nothing.
 */
export async function enqueueRun(target: EnqueueTarget, plan: RunPlan): Promise<RunId> {
  const isNew = await target.store.createRun(plan);
  // BullMQ forgets the ids of removed jobs, so a run that has begun is guarded by its own record.
  if (!isNew && (await target.store.getRun(plan.runId)).status !== 'queued') return plan.runId;
  const flows = new FlowProducer({ connection: target.redis, prefix: target.prefix });
  try {
    await flows.add(buildFlow(plan));
  } finally {
    await flows.close();
  }
  return plan.runId;
}

/**
 * Records a person's decision on a phase and wakes the job that waits for it.
 * Refused when the phase is not in the plan, asks for another role, or is not waiting for a decision now: a decision
 * is about the work of one round, so nobody decides on work that does not exist yet.
 */
export async function approvePhase(
  target: EnqueueTarget,
  runId: RunId,
  decision: Pick<Approval, 'phase' | 'role' | 'by' | 'decision' | 'note' | 'simulated'> & {
    /** The round that was looked at; refused when the phase is at another one by now. */
    round?: number | undefined;
  },
): Promise<Approval> {
  const record = await target.store.getPhase(runId, decision.phase);
  if (TERMINAL_PHASE.includes(record.status)) {
    throw new FleetError(
      'CONFLICT',
      `phase "${decision.phase}" has ended (${record.status}); there is nothing to approve`,
    );
  }
  const plan = await target.store.getPlan(runId);
  const roles = plan.phases.find((phase) => phase.name === decision.phase)?.approvalRoles ?? [];
  if (!roles.includes(decision.role)) {
    throw new FleetError('CONFLICT', `phase "${decision.phase}" does not ask the role "${decision.role}"`, {
      remedy: roles.length === 0 ? 'It needs nobody to approve it.' : `It asks: ${roles.join(', ')}.`,
    });
  }
  if (record.status !== 'awaiting_approval')
    throw new FleetError('CONFLICT', `phase "${decision.phase}" is ${record.status} and waits for nobody yet`, {
      remedy: 'Decide when it is awaiting_approval.',
    });
  if (decision.round !== undefined && decision.round !== record.round)
    throw new FleetError(
      'CONFLICT',
      `phase "${decision.phase}" waits for a decision on round ${record.round}, not on round ${decision.round}`,
      { remedy: `Look at round ${record.round}, then decide on it.` },
    );
  const approval: Approval = { ...decision, round: record.round, at: new Date().toISOString() };
  await target.store.recordApproval(runId, approval);
  const queue = new Queue(QUEUES.approvals, { connection: target.redis, prefix: target.prefix });
  try {
    const job = await queue.getJob(jobIds.approval(runId, decision.phase, decision.role, record.round));
    if (job !== undefined && (await job.isDelayed())) await job.promote();
  } finally {
    await queue.close();
  }
  return approval;
}
