import { DelayedError, type Job } from 'bullmq';
import { z } from 'zod';
import { FleetError } from '../shared/errors.ts';
import { PutBackLog } from '../shared/put-back.ts';
import type { RunStore } from '../shared/run-store.ts';
import type { WorkerContext } from './worker-context.ts';

/** How long a job is left to other workers before it is offered to everybody again. */
const AGAIN_MS = 15_000;

const OfRun = z.looseObject({ runId: z.string() });

/** What a handler failed on, when that is a job, a plan or a record of a version that this worker does not know. */
export async function unknownVersion(store: RunStore, job: Job, err: unknown): Promise<FleetError | undefined> {
  if (err instanceof FleetError) return err.code === 'UNKNOWN_VERSION' ? err : undefined;
  const { data } = OfRun.safeParse(job.data);
  if (!(err instanceof z.ZodError) || data === undefined) return undefined;
  // Records carry no version of their own: they are of the version of their run's plan.
  const why = await store.findPlan(data.runId).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  return why instanceof FleetError && why.code === 'UNKNOWN_VERSION' ? why : undefined;
}

/** Gives the job back, at no cost, for a worker that knows it, and says so. Never returns. */
export async function putBack(ctx: WorkerContext, job: Job, token: string, why: FleetError): Promise<never> {
  const put = { queue: job.queueName, jobId: String(job.id), reason: why.message };
  ctx.logger.warn(put, 'job put back: another version of maestro made it');
  await new PutBackLog(ctx.redis, ctx.config.prefix).note(put);
  await job.moveToDelayed(Date.now() + AGAIN_MS, token);
  throw new DelayedError();
}
