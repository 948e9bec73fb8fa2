import { archiveRun } from '../shared/archive-run.ts';
import { errorMessage } from '../shared/errors.ts';
import { QUEUES, RunId, type RunTake, jobIds, personaQueue } from '../shared/names.ts';
import type { RunPlan } from '../shared/run-record.ts';
import { waitersOf } from '../shared/waiters.ts';
import type { QueuePool } from './queue-pool.ts';
import type { JobRef } from './sweep-jobs.ts';
import type { WorkerContext } from './worker-context.ts';

const DAY_MS = 24 * 3600 * 1000;
const RUNS_A_SWEEP = 100;
/** Workers that still tidy up after a run, and people who watch it end, find it where it was. */
const SETTLED_MS = 60_000;

/** Moves ended runs out of Redis, by age and by number, and removes what the queues still hold of them. */
export async function retireRuns(
  ctx: WorkerContext,
  queues: QueuePool,
  signal: AbortSignal,
  settledMs: number = SETTLED_MS,
): Promise<void> {
  const { store, config, logger } = ctx;
  const { archive } = store;
  if (archive === undefined) return;
  const settled = Date.now() - settledMs;
  const before = Math.min(settled, Date.now() - config.keepRuns.days * DAY_MS);
  const due = await store.index.due({ before, keep: config.keepRuns.count, settled, limit: RUNS_A_SWEEP });
  for (const runId of due) {
    if (signal.aborted) return;
    try {
      if (await archiveRun(store, runId)) logger.info({ runId }, 'run archived');
    } catch (err) {
      logger.warn({ runId, err: errorMessage(err) }, 'a run could not be archived');
    }
  }
  await archive.index.seal();
  for (const runId of await archive.jobsLeft()) {
    if (signal.aborted) return;
    if (await removeJobs(ctx, queues, RunId.parse(runId))) await archive.jobsRemoved(runId);
  }
}

/** Removes every job of a run that has left Redis. Returns false when a worker still holds one. */
async function removeJobs(ctx: WorkerContext, queues: QueuePool, runId: RunId): Promise<boolean> {
  const { generation } = await ctx.store.getRun(runId);
  const plan = await ctx.store.getPlan(runId);
  let isDone = true;
  const remove = async ({ queue, id }: JobRef): Promise<void> => {
    const job = await queues.get(queue).getJob(id);
    try {
      await job?.remove({ removeChildren: true });
    } catch (err) {
      ctx.logger.info({ queue, jobId: id, err: errorMessage(err) }, 'a job of an archived run is still held');
      isDone = false;
    }
  };
  for (let number = 0; number <= generation; number += 1) {
    const take = { runId, generation: number };
    // The root takes its children along, and they theirs: what is left after it had lost its way up.
    await remove({ queue: QUEUES.runs, id: jobIds.run(take) });
    for (const job of await stillThere(ctx, jobsOf(plan, take))) await remove(job);
  }
  return isDone;
}

/** The jobs below the root that a take-up of a run was added with; those that were added later are their children. */
function jobsOf(plan: RunPlan, take: RunTake): JobRef[] {
  return plan.phases.flatMap((phase): JobRef[] => [
    { queue: QUEUES.gates, id: jobIds.gate(take, phase.name) },
    { queue: QUEUES.edges, id: jobIds.fan(take, phase.name) },
    ...phase.personas.map((persona) => ({
      queue: personaQueue(persona),
      id: jobIds.work(take, phase.name, persona, 0),
    })),
    ...waitersOf(phase).flatMap((waiter) =>
      phase.needs.map((need) => ({ queue: QUEUES.edges, id: jobIds.edge(take, need, phase.name, waiter) })),
    ),
  ]);
}

async function stillThere({ redis, config }: WorkerContext, jobs: readonly JobRef[]): Promise<JobRef[]> {
  const asked = redis.pipeline();
  for (const { queue, id } of jobs) asked.exists(`${config.prefix}:${queue}:${id}`);
  const replies = (await asked.exec()) ?? [];
  return jobs.filter((_, at) => replies[at]?.[1] === 1);
}
