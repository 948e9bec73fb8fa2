import { DelayedError, type Job, type Queue } from 'bullmq';
import type { RunId } from '../shared/names.ts';
import type { RunStore } from '../shared/run-store.ts';
import { wakeJob } from '../shared/wake-job.ts';

/** How long a parked job sleeps before it looks for itself, should nobody have woken it. */
const SAFETY_MS = 10 * 60_000;

/**
 * Thrown by a job's handler: the job waits for something and gives its worker back until somebody wakes it.
 * It costs no attempt.
 */
export class Parked extends Error {
  /** Whether what it waits for has happened. */
  readonly isDue: () => Promise<boolean>;
  /** Milliseconds after which it looks for itself. */
  readonly delayMs: number;

  constructor(reason: string, isDue: () => Promise<boolean>, delayMs: number = SAFETY_MS) {
    super(reason);
    this.name = 'Parked';
    this.isDue = isDue;
    this.delayMs = delayMs;
  }
}

/** Parks the job that `token` holds, in a way that no wake-up is lost. Never returns. */
export async function park(
  of: { store: RunStore; queue: Queue; job: Job; token: string; runId: RunId },
  parked: Parked,
): Promise<never> {
  const { store, queue, job, token, runId } = of;
  await store.noteParked(runId, { queue: job.queueName, jobId: String(job.id) });
  await job.moveToDelayed(Date.now() + parked.delayMs, token);
  // What it waits for may have happened while it was still awake and could not be woken.
  if (await parked.isDue()) await wakeJob(queue, String(job.id));
  throw new DelayedError();
}
