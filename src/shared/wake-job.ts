import type { Queue } from 'bullmq';

/** Wakes a parked job; does nothing when it is awake or gone. */
export async function wakeJob(queue: Queue, jobId: string): Promise<void> {
  const job = await queue.getJob(jobId);
  if (job === undefined || !(await job.isDelayed())) return;
  try {
    await job.promote();
  } catch (err) {
    // Somebody else has woken it in the same moment.
    if (await job.isDelayed()) throw err;
  }
}
