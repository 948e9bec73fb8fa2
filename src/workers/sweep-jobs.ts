import type { Job, Queue } from 'bullmq';
import type { QueuePool } from './queue-pool.ts';

/** A job of a run that has not ended, as the queues have it. */
export interface FoundJob {
  id: string;
  queue: string;
  parent: JobRef | undefined;
  state: string;
  /** When the attempt under way began; 0 before the first. */
  startedAt: number;
  job: Job;
}

export interface JobRef {
  id: string;
  queue: string;
}

/** A job that its parent waits for and that no queue holds. */
export interface LostJob extends JobRef {
  parent: JobRef;
}

interface FlowLook {
  /** Jobs that wait for no other job. */
  leaves: FoundJob[];
  /** Jobs that wait for others, although none is left. */
  idle: FoundJob[];
  lost: LostJob[];
  /** How many jobs were looked at. */
  size: number;
}

/** `prefix:queue:id`: ids hold no `:`. */
function refOf(jobKey: string): JobRef {
  const [id = '', queue = ''] = jobKey.split(':').toReversed();
  return { id, queue };
}

/** Follows what jobs wait for, from the root of a flow down to the jobs that wait for nothing. */
export async function lookAtFlow(queues: QueuePool, root: Job): Promise<FlowLook> {
  const look: FlowLook = { leaves: [], idle: [], lost: [], size: 0 };
  const open: { ref: JobRef; parent: JobRef | undefined }[] = [
    { ref: { id: String(root.id), queue: root.queueName }, parent: undefined },
  ];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const { ref, parent } = next;
    look.size += 1;
    const job = await queues.get(ref.queue).getJob(ref.id);
    if (job === undefined) {
      if (parent !== undefined && (await isWaitedFor(queues, parent, ref))) look.lost.push({ ...ref, parent });
      continue;
    }
    const found: FoundJob = { ...ref, parent, state: await job.getState(), startedAt: job.processedOn ?? 0, job };
    if (found.state !== 'waiting-children') {
      look.leaves.push(found);
      continue;
    }
    const children = await unprocessedOf(job);
    if (children.length === 0 && (await job.getState()) === 'waiting-children') look.idle.push(found);
    open.push(...children.map((child) => ({ ref: child, parent: ref })));
  }
  return look;
}

async function unprocessedOf(job: Job): Promise<JobRef[]> {
  const refs: JobRef[] = [];
  for (let cursor: number | undefined = 0; cursor !== undefined;) {
    const page: Awaited<ReturnType<Job['getDependencies']>> = await job.getDependencies({
      unprocessed: { cursor, count: 500 },
    });
    refs.push(...(page.unprocessed ?? []).map(refOf));
    cursor = page.nextUnprocessedCursor === 0 ? undefined : page.nextUnprocessedCursor;
  }
  return refs;
}

/** A job that ended between two looks is no longer waited for: that is decided in one step in the queue. */
async function isWaitedFor(queues: QueuePool, parent: JobRef, child: JobRef): Promise<boolean> {
  const job = await queues.get(parent.queue).getJob(parent.id);
  if (job === undefined) return false;
  return (await unprocessedOf(job)).some((ref) => ref.id === child.id && ref.queue === child.queue);
}

const DAY_MS = 24 * 3600 * 1000;

/**
 * Lets a parent go on that waits for a job which no queue holds. BullMQ takes a dependency away only through the job
 * itself, so an empty one stands in for a moment; should this process die, that one fails, which releases the parent too.
 */
export async function releaseLost(queues: QueuePool, lost: LostJob): Promise<void> {
  const parentQueue: Queue = queues.get(lost.parent.queue);
  const standIn = await queues.get(lost.queue).add(
    'lost',
    {},
    {
      jobId: lost.id,
      delay: DAY_MS,
      ignoreDependencyOnFailure: true,
      removeOnFail: true,
      parent: { id: lost.parent.id, queue: parentQueue.qualifiedName },
    },
  );
  await release(standIn);
  await standIn.remove();
}

/** Lets the parent of a job go on without it. */
export async function release(job: Job): Promise<void> {
  if (job.parentKey !== undefined) await job.removeChildDependency();
}
