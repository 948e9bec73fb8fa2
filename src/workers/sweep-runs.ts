import { QUEUES, type RunId, RunId as RunIdSchema, jobIds } from '../shared/names.ts';
import { type PhaseRecord, type RunPlan, TERMINAL_RUN } from '../shared/run-record.ts';
import type { Fence } from '../shared/run-store.ts';
import { followPhases, movePhase, moveRun } from '../shared/transitions.ts';
import type { QueuePool } from './queue-pool.ts';
import { type FoundJob, type JobRef, type LostJob, lookAtFlow, release, releaseLost } from './sweep-jobs.ts';
import type { WorkerContext } from './worker-context.ts';

export interface SweepLimits {
  /** A run whose log grew lately is left alone. */
  quietMs: number;
  /** What a phase may take beside its timeout without any progress. */
  stuckAfterMs: number;
}

/** States in which a job waits for a worker or for its time; whoever consumes its queue takes it. */
const WAITING = ['waiting', 'prioritized', 'delayed', 'paused'];
/** Ids of jobs read `RUN.PHASE.rest`; of those that only link phases, the rest says so. */
const phaseOf = ({ id }: JobRef): string => id.split('.')[1] ?? '';
const isLink = ({ queue }: JobRef): boolean => queue === QUEUES.edges;

/**
 * Looks after one run that has not ended: what can no longer end by itself is named and ended. A phase that waits for a
 * person, a paused run and a job that waits for a worker are left alone. Returns how many jobs it looked at.
 */
export async function sweepRun(
  ctx: WorkerContext,
  queues: QueuePool,
  id: string,
  limits: SweepLimits,
): Promise<number> {
  const runId = RunIdSchema.parse(id);
  const { store } = ctx;
  const standing = await store.getStanding(runId);
  if (standing === undefined || TERMINAL_RUN.includes(standing.status)) return 0;
  // What is found is found in this take of the run; one that begins meanwhile is left alone.
  const fence = store.fenceOf({ runId, generation: standing.generation });
  const quietFor = Date.now() - (await store.lastEventAt(runId));
  if (quietFor < limits.quietMs) return 0;
  // Whoever moved the last phase that waited may have died before the run followed.
  if (standing.status === 'awaiting_approval') await followPhases(store, runId, fence);
  const plan = await store.getPlan(runId);
  const root = await queues.get(QUEUES.runs).getJob(jobIds.run({ runId, generation: standing.generation }));
  const state = await root?.getState();
  if (root === undefined || state === 'failed' || state === 'completed' || state === 'unknown') {
    const why = root === undefined ? 'is no longer in the queue' : `is ${state}: ${root.failedReason ?? 'no reason'}`;
    await endRun(ctx, runId, fence, `the run's own job ${why}`);
    return 1;
  }
  // A long backlog waits, and is not searched through all the time.
  if (standing.status === 'queued' && quietFor < limits.quietMs * 10) return 1;
  const look = await lookAtFlow(queues, root);
  for (const lost of look.lost) await endLost(ctx, queues, { runId, fence, lost });
  if (look.lost.length === 0 && standing.status !== 'paused')
    await endStuck(ctx, { plan, fence, jobs: [...look.leaves, ...look.idle] }, limits);
  return look.size;
}

/** Whatever of the run has not ended ends with it. */
async function endRun(ctx: WorkerContext, runId: RunId, fence: Fence, reason: string): Promise<void> {
  // The run first: when it has ended by itself meanwhile, its phases are left as they are.
  if (!(await moveRun(ctx.store, runId, 'failed', { reason, fence }))) return;
  ctx.logger.warn({ runId, reason }, 'run ended by the sweep');
  for (const phase of await ctx.store.getPhases(runId)) {
    const status = phase.status === 'waiting' ? 'not_started' : 'failed';
    await movePhase(ctx.store, runId, phase.phase, status, { reason, fence });
  }
}

async function endLost(
  ctx: WorkerContext,
  queues: QueuePool,
  { runId, fence, lost }: { runId: RunId; fence: Fence; lost: LostJob },
): Promise<void> {
  const phase = phaseOf(isLink(lost) ? lost.parent : lost);
  const reason = `its job ${lost.id} is no longer in the queue ${lost.queue}`;
  await movePhase(ctx.store, runId, phase, 'failed', { reason, fence });
  ctx.logger.warn({ runId, phase, queue: lost.queue, jobId: lost.id }, 'a lost job was found by the sweep');
  await releaseLost(queues, lost);
}

async function endStuck(
  ctx: WorkerContext,
  { plan, fence, jobs }: { plan: RunPlan; fence: Fence; jobs: readonly FoundJob[] },
  limits: SweepLimits,
): Promise<void> {
  const { store, logger } = ctx;
  const running = (await store.getPhases(plan.runId)).filter((phase) => phase.status === 'running');
  for (const record of running) {
    const planned = plan.phases.find((phase) => phase.name === record.phase);
    const own = jobs.filter((job) => !isLink(job) && phaseOf(job) === record.phase);
    if (planned === undefined || own.length === 0 || own.some((job) => WAITING.includes(job.state))) continue;
    const allowedMs = planned.timeoutMs + limits.stuckAfterMs;
    // The time of an attempt counts from its own start, however long it waited for a worker.
    const startedAt = Math.max(...own.map((job) => (job.state === 'active' ? job.startedAt : 0)));
    const begun = Math.max(startedAt, Date.parse(record.startedAt ?? plan.createdAt));
    if (Date.now() - begun < allowedMs) continue;
    const quietMs = Date.now() - Math.max(begun, await lastProgress(ctx, plan.runId, record));
    if (quietMs < allowedMs) continue;
    const seen = own.map((job) => `${job.id} is ${job.state.replace('-', ' ')}`).join(', ');
    const reason = `no progress for ${Math.round(quietMs / 1000)} s (${seen})`;
    if (!(await movePhase(store, plan.runId, record.phase, 'failed', { reason, fence }))) continue;
    logger.warn({ runId: plan.runId, phase: record.phase, reason }, 'a stuck phase was ended by the sweep');
    for (const { job } of own) await release(job);
  }
}

/** When the log last told of the phase, in milliseconds. */
async function lastProgress(ctx: WorkerContext, runId: RunId, { phase }: PhaseRecord): Promise<number> {
  return ctx.store.lastEventAt(runId, (event) => 'phase' in event && event.phase === phase);
}
