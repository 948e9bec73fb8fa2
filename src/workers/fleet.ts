import { DelayedError, type Job, Queue, WaitingChildrenError, Worker } from 'bullmq';
import { setTimeout as sleep } from 'node:timers/promises';
import { FleetError, errorMessage } from '../shared/errors.ts';
import { ApprovalJob, EdgeJob, GateJob, PersonaJob, RunJob } from '../shared/jobs.ts';
import { QUEUES, personaQueue } from '../shared/names.ts';
import { KEEP } from '../shared/names.ts';
import { type Redis, connectRedis } from '../shared/redis.ts';
import { movePhase } from '../shared/transitions.ts';
import { CancelWatch } from './cancel-watch.ts';
import { type ControlHandle, awaitApproval, finishRun, passEdge } from './control-jobs.ts';
import { type ChildOutcomes, jobIdOfKey } from './gate-children.ts';
import type { ChildSpec, GateHandle } from './gate-handle.ts';
import { closePhase } from './gate-job.ts';
import { recordBaselines } from './judged-with.ts';
import { doPersonaJob } from './persona-job.ts';
import { toQueueError } from './queue-error.ts';
import type { WorkerContext } from './worker-context.ts';

/**
 * A killed worker's job is taken over within ten seconds, however often it is killed:
 * the lock lives 6 s, stalled jobs are looked for every 3 s, and no number of stalls fails a job.
 */
const LOCK = { lockDuration: 6_000, stalledInterval: 3_000, maxStalledCount: 1_000_000 } as const;
const CLOSE_DEADLINE_MS = 20_000;

export interface FleetOptions {
  /** Persona queues to consume. */
  personas: readonly string[];
  /** Consume the gates queue and the control queues (runs, edges, approvals). */
  gates: boolean;
  /** Persona jobs at once in this process; gate jobs measure one at a time. */
  concurrency: number;
}

export interface Fleet {
  queues: readonly string[];
  /** Stops taking jobs, lets the running ones end until the deadline, then gives them back to other workers. */
  close(deadlineMs?: number): Promise<void>;
}

/** What is done with a job of a persona queue, and of the gates queue. */
export interface FleetHandlers {
  persona: typeof doPersonaJob;
  gate: typeof closePhase;
}
const HANDLERS: FleetHandlers = { persona: doPersonaJob, gate: closePhase };

const attemptOf = (job: Job): { number: number; isLast: boolean } => ({
  number: job.attemptsMade + 1,
  isLast: job.attemptsMade + 1 >= (job.opts.attempts ?? 1),
});

type Handler = (job: Job, token: string) => Promise<unknown>;

/** Starts the BullMQ workers of one process. */
export async function startFleet(
  ctx: WorkerContext,
  options: FleetOptions,
  handlers: FleetHandlers = HANDLERS,
): Promise<Fleet> {
  const { prefix } = ctx.config;
  const watch = new CancelWatch(ctx.store);
  const queues = new QueuePool(ctx);
  const workers: Worker[] = [];
  const connections: Redis[] = [];
  let isGivingBack = false;
  const start = async (queueName: string, concurrency: number, handler: Handler): Promise<void> => {
    const connection = await connectRedis(ctx.redisUrl, 'worker');
    connections.push(connection);
    const worker = new Worker(
      queueName,
      async (job, token) => {
        try {
          return await handler(job, token ?? '');
        } catch (err) {
          if (isGivingBack) {
            // Work that this process broke off costs no attempt: another worker takes it up at once.
            await job.moveToDelayed(Date.now(), token);
            throw new DelayedError();
          }
          const queueError = toQueueError(err);
          if (!(err instanceof DelayedError || err instanceof WaitingChildrenError)) {
            ctx.logger.info({ queue: queueName, jobId: job.id, reason: queueError.message }, 'job failed');
          }
          throw queueError;
        }
      },
      { connection, prefix, concurrency, ...LOCK },
    );
    worker.on('error', (err) => ctx.logger.warn({ queue: queueName, err: errorMessage(err) }, 'worker error'));
    worker.on('active', ({ id: jobId, attemptsMade }) =>
      ctx.logger.info({ queue: queueName, jobId, attempt: attemptsMade + 1 }, 'job started'),
    );
    worker.on('completed', ({ id: jobId }) => ctx.logger.info({ queue: queueName, jobId }, 'job done'));
    worker.on('closed', () => connection.disconnect());
    workers.push(worker);
  };

  for (const persona of options.personas) {
    await start(personaQueue(persona), options.concurrency, (job, token) => {
      const data = PersonaJob.parse(job.data);
      const fence = ctx.store.fence(job.queueName, String(job.id), token);
      return watch.during(data.runId, undefined, (signal) =>
        handlers.persona(ctx, { data, fence, signal, attempt: attemptOf(job) }),
      );
    });
  }
  if (options.gates) await startControl(ctx, { start, watch, queues, gate: handlers.gate });
  for (const worker of workers) await worker.waitUntilReady();

  let closing: Promise<void> | undefined;
  const close = async (deadlineMs: number): Promise<void> => {
    const closed = Promise.allSettled(workers.map((worker) => worker.close()));
    const isDone = await Promise.race([closed.then(() => true), sleep(deadlineMs, false, { ref: false })]);
    if (!isDone) {
      isGivingBack = true;
      watch.abortAll('this worker is shutting down');
      await Promise.race([closed, sleep(3_000, undefined, { ref: false })]);
    }
    watch.close();
    await Promise.race([queues.close(), sleep(2_000, undefined, { ref: false })]);
    // A handler that will not end, or a Redis that does not answer, cannot hold this process up.
    for (const connection of connections) connection.disconnect();
  };
  return {
    queues: workers.map((worker) => worker.name),
    close: (deadlineMs = CLOSE_DEADLINE_MS) => (closing ??= close(deadlineMs)),
  };
}

/** Queues that jobs are added to or woken in, opened on first use. */
class QueuePool {
  readonly #ctx: WorkerContext;
  readonly #open = new Map<string, Queue>();

  constructor(ctx: WorkerContext) {
    this.#ctx = ctx;
  }

  get(name: string): Queue {
    const known = this.#open.get(name);
    if (known !== undefined) return known;
    const queue = new Queue(name, { connection: this.#ctx.redis, prefix: this.#ctx.config.prefix });
    queue.on('error', (err) => this.#ctx.logger.warn({ queue: name, err: errorMessage(err) }, 'queue error'));
    this.#open.set(name, queue);
    return queue;
  }

  async close(): Promise<void> {
    await Promise.allSettled([...this.#open.values()].map((queue) => queue.close()));
  }
}

async function startControl(
  ctx: WorkerContext,
  shared: {
    start: (queue: string, concurrency: number, handler: Handler) => Promise<void>;
    watch: CancelWatch;
    queues: QueuePool;
    gate: FleetHandlers['gate'];
  },
): Promise<void> {
  const { start, watch, queues, gate } = shared;
  const wake = async (queue: string, jobId: string): Promise<void> => {
    const parked = await queues.get(queue).getJob(jobId);
    if (parked !== undefined && (await parked.isDelayed())) await parked.promote();
  };
  const control = (job: Job, token: string): ControlHandle => ({
    wake: (jobId) => wake(job.queueName, jobId),
    park: async (delayMs, isDue) => {
      await job.moveToDelayed(Date.now() + delayMs, token);
      // What it waits for may have happened while it was still awake and could not be woken.
      if (await isDue()) await wake(job.queueName, String(job.id));
      throw new DelayedError();
    },
  });
  await start(QUEUES.gates, 1, (job, token) => {
    const data = GateJob.parse(job.data);
    return watch.during(data.runId, undefined, async (signal) => {
      const handle = gateHandle(ctx, queues, { job, token, data, signal });
      try {
        return await gate(ctx, handle);
      } catch (err) {
        if (!signal.aborted) await failPhaseAtLast(ctx, handle, attemptOf(job), err);
        throw err;
      }
    });
  });
  await start(QUEUES.edges, 10, (job, token) => passEdge(ctx.store, EdgeJob.parse(job.data), control(job, token)));
  await start(QUEUES.approvals, 10, (job, token) =>
    awaitApproval(ctx.store, ApprovalJob.parse(job.data), control(job, token)),
  );
  await start(QUEUES.runs, 10, async (job) => {
    const data = RunJob.parse(job.data);
    const result = await finishRun(ctx.store, data);
    await recordBaselines(ctx, data.runId);
    return result;
  });
}

/** A gate job that cannot do its work in any attempt fails its phase, with the reason; a verdict speaks for itself. */
async function failPhaseAtLast(
  ctx: WorkerContext,
  handle: GateHandle,
  attempt: { isLast: boolean },
  err: unknown,
): Promise<void> {
  if (err instanceof WaitingChildrenError || err instanceof DelayedError) return;
  const code = err instanceof FleetError ? err.code : 'INTERNAL';
  if (code === 'PHASE_NOT_PASSED' || code === 'STALE_ATTEMPT' || code === 'CANCELLED') return;
  const isFinal = attempt.isLast || (err instanceof FleetError && !err.retry);
  if (!isFinal) return;
  const reason = `its gates could not be judged: ${code}: ${errorMessage(err)}`;
  await movePhase(ctx.store, handle.data.runId, handle.data.phase, 'failed', { reason, fence: handle.fence });
}

/** What has become of a job's children so far. */
async function childrenOf(job: Job): Promise<ChildOutcomes> {
  const values = Object.entries(await job.getChildrenValues<unknown>());
  const failures = Object.entries(await job.getIgnoredChildrenFailures());
  return {
    values: new Map(values.map(([key, value]) => [jobIdOfKey(key), value])),
    failures: new Map(failures.map(([key, reason]) => [jobIdOfKey(key), reason])),
  };
}

function gateHandle(
  ctx: WorkerContext,
  queues: QueuePool,
  of: { job: Job; token: string; data: GateJob; signal: AbortSignal },
): GateHandle {
  const { job, token, signal } = of;
  let data = of.data;
  const add = (spec: ChildSpec, parentId: string): Promise<Job> =>
    queues.get(spec.queue).add(spec.name, spec.data, {
      jobId: spec.jobId,
      attempts: spec.attempts,
      backoff: { type: 'exponential', delay: 1_000, jitter: 0.5 },
      ignoreDependencyOnFailure: true,
      removeOnComplete: KEEP,
      removeOnFail: KEEP,
      parent: { id: parentId, queue: job.queueQualifiedName },
    });
  return {
    get data() {
      return data;
    },
    fence: ctx.store.fence(job.queueName, String(job.id), token),
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
      for (const spec of children.filter(isOpen)) await add(spec, String(job.id));
      if (await job.moveToWaitingChildren(token)) throw new WaitingChildrenError();
      // Every child had ended before the wait began: the job is simply run again.
      await job.moveToDelayed(Date.now() + 50, token);
      throw new DelayedError();
    },
  };
}
