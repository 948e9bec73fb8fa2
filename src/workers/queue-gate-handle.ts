import { DelayedError, type FlowJob, type Job, WaitingChildrenError } from 'bullmq';
import type { GateJob } from '../shared/jobs.ts';
import { KEEP } from '../shared/names.ts';
import { priorityOf } from '../shared/run-record.ts';
import { type ChildOutcomes, jobIdOfKey } from './gate-children.ts';
import type { ChildSpec, GateHandle } from './gate-handle.ts';
import type { QueuePool } from './queue-pool.ts';
import type { Fence } from '../shared/run-store.ts';

/** What has become of a job's children so far. */
async function childrenOf(job: Job): Promise<ChildOutcomes> {
  const [values, failures] = await Promise.all([job.getChildrenValues<unknown>(), job.getIgnoredChildrenFailures()]);
  return {
    values: new Map(Object.entries(values).map(([key, value]) => [jobIdOfKey(key), value])),
    failures: new Map(Object.entries(failures).map(([key, reason]) => [jobIdOfKey(key), reason])),
  };
}

/** A child, with the jobs below it, as BullMQ adds them. */
const flowOf = (spec: ChildSpec, parent?: { id: string; queue: string }): FlowJob => ({
  name: spec.name,
  queueName: spec.queue,
  data: spec.data,
  opts: {
    jobId: spec.jobId,
    attempts: spec.attempts,
    ...priorityOf(spec),
    backoff: { type: 'exponential', delay: 1_000, jitter: 0.5 },
    ignoreDependencyOnFailure: true,
    removeOnComplete: KEEP,
    removeOnFail: KEEP,
    ...(parent === undefined ? {} : { parent }),
  },
  children: (spec.children ?? []).map((child) => flowOf(child)),
});

/** The handle of a gate job that a BullMQ worker holds under `token`. */
export function queueGateHandle(
  queues: QueuePool,
  of: { job: Job; token: string; data: GateJob; fence: Fence; signal: AbortSignal },
): GateHandle {
  const { job, token, signal, fence } = of;
  let data = of.data;
  const add = async (spec: ChildSpec): Promise<void> => {
    await queues.flows.add(flowOf(spec, { id: String(job.id), queue: job.queueQualifiedName }));
  };
  return {
    get data() {
      return data;
    },
    fence,
    signal,
    children: () => childrenOf(job),
    save: async (next) => {
      data = next;
      await job.updateData(next);
    },
    report: (progress) => job.updateProgress(progress),
    waitFor: async (children) => {
      // A child that has failed must not be added again: its parent would wait for it for ever.
      const ended = await childrenOf(job);
      const isOpen = ({ jobId }: ChildSpec): boolean => !ended.values.has(jobId) && !ended.failures.has(jobId);
      for (const spec of children.filter(isOpen)) await add(spec);
      if (await job.moveToWaitingChildren(token)) throw new WaitingChildrenError();
      // Every child had ended before the wait began: the job is simply run again.
      await job.moveToDelayed(Date.now() + 50, token);
      throw new DelayedError();
    },
  };
}
