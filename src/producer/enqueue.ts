import { setTimeout as sleep } from 'node:timers/promises';
import { FlowProducer } from 'bullmq';
import { FleetError, errorMessage } from '../shared/errors.ts';
import type { Approval } from '../shared/handoff.ts';
import { QUEUES, type RunId, jobIds } from '../shared/names.ts';
import { type RunPlan, TERMINAL_PHASE } from '../shared/run-record.ts';
import { openQuestions } from '../shared/question.ts';
import { moveRun } from '../shared/transitions.ts';
import { wakeJob } from '../shared/wake-job.ts';
import type { EnqueueTarget } from './enqueue-target.ts';
import { type FlowTake, buildFlow, firstTake } from './flow.ts';
import { type Once, claimKey } from './idempotency.ts';
import { withQueue } from './with-queue.ts';

/** How long a second try waits: a connection that broke is back by then, if it comes back at all. */
const SECOND_TRY_MS = 500;

interface EnqueueOptions {
  /** The caller can ask again: a run whose jobs could not be added waits for that instead of having failed. */
  repeatable?: boolean;
  /** With a key, asking again gives the run that the first time made. */
  once?: Once;
}

/**
 * Stores a run and adds its whole flow in one atomic call. Job ids are made from the run id,
 * so doing it again for the same plan adds nothing. Returns the run's id: with a key, that of the first request.
 * A run whose flow cannot be added has failed, unless `repeatable` or a key says that the caller can ask for it again.
 */
export async function enqueueRun(
  target: EnqueueTarget,
  plan: RunPlan,
  { repeatable = false, once }: EnqueueOptions = {},
): Promise<RunId> {
  if (once !== undefined) {
    const claimed = await claimKey(target, plan, once);
    // Whoever died after claiming the key leaves a claim without a run, or a run without jobs: this request adds what is
    // missing, by the plan that was stored first.
    const known = await target.store.findPlan(claimed);
    return enqueueRun(target, known ?? { ...plan, runId: claimed }, { repeatable: true });
  }
  const isNew = await target.store.createRun(plan);
  // BullMQ forgets the ids of removed jobs, so a run that has begun is guarded by its own record.
  if (!isNew && (await target.store.getRun(plan.runId)).status !== 'queued') return plan.runId;
  try {
    await addTake(target, plan, firstTake(plan));
  } catch (err) {
    if (!repeatable) await giveUp(target, plan.runId, err);
    throw err;
  }
  return plan.runId;
}

/** Adds the jobs of one take of a run in one atomic call; when the connection broke, once more over a fresh one. */
export async function addTake(target: EnqueueTarget, plan: RunPlan, take: FlowTake): Promise<void> {
  await addFlow(target, plan, take).catch(() => addFlowAfresh(target, plan, take));
}

async function addFlow({ redis, prefix }: Omit<EnqueueTarget, 'store'>, plan: RunPlan, take: FlowTake): Promise<void> {
  const flows = new FlowProducer({ connection: redis, prefix, skipVersionCheck: true });
  try {
    await flows.add(buildFlow(plan, take));
  } finally {
    await flows.close();
  }
}

/** Over a connection of its own: the first one may be broken, or take for loaded a script whose first call failed. */
async function addFlowAfresh({ redis, prefix }: EnqueueTarget, plan: RunPlan, take: FlowTake): Promise<void> {
  await sleep(SECOND_TRY_MS);
  const fresh = redis.duplicate({ lazyConnect: true });
  let lost: unknown;
  fresh.on('error', (err) => (lost = err));
  try {
    await fresh.connect();
    await addFlow({ redis: fresh, prefix }, plan, take);
  } catch (err) {
    throw lost ?? err;
  } finally {
    fresh.disconnect();
  }
}

/** A run whose jobs cannot be added has failed; the record says so. */
export async function giveUp({ store }: EnqueueTarget, runId: RunId, cause: unknown): Promise<void> {
  const reason = `its jobs could not be added to the queues: ${errorMessage(cause)}`;
  try {
    await moveRun(store, runId, 'failed', { reason, from: ['queued'] });
  } catch (err) {
    // Redis is gone altogether, so the record cannot say it either; whoever asked is told both.
    throw new FleetError('REDIS_UNAVAILABLE', `${errorMessage(cause)}; run ${runId} still reads queued`, {
      cause: err,
      retry: true,
      remedy: `Start Redis, then end the run with \`maestro cancel ${runId}\` and start it again.`,
    });
  }
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
  const [asked] = openQuestions(await target.store.getQuestions(runId), decision.phase);
  if (asked !== undefined)
    throw new FleetError(
      'CONFLICT',
      `phase "${decision.phase}" waits for an answer to ${asked.id}, not for a decision`,
      {
        remedy: `Answer it: \`maestro answer ${runId} ${decision.phase} --id ${asked.id} --by NAME --text TEXT\`.`,
      },
    );
  if (decision.round !== undefined && decision.round !== record.round)
    throw new FleetError(
      'CONFLICT',
      `phase "${decision.phase}" waits for a decision on round ${record.round}, not on round ${decision.round}`,
      { remedy: `Look at round ${record.round}, then decide on it.` },
    );
  const approval: Approval = { ...decision, round: record.round, at: new Date().toISOString() };
  await target.store.recordApproval(runId, approval);
  const { generation } = await target.store.getRun(runId);
  const jobId = jobIds.approval({ runId, generation }, decision.phase, decision.role, record.round);
  await withQueue(target, QUEUES.approvals, (queue) => wakeJob(queue, jobId));
  return approval;
}
