import { DelayedError, type Job, WaitingChildrenError, Worker } from 'bullmq';
import { setTimeout as sleep } from 'node:timers/promises';
import { FleetError, errorMessage } from '../shared/errors.ts';
import { ApprovalJob, EdgeJob, GateJob, PersonaJob, RunJob } from '../shared/jobs.ts';
import { QUEUES, type RunId, type RunTake, personaQueue } from '../shared/names.ts';
import { type Redis, connectRedis } from '../shared/redis.ts';
import type { Fence } from '../shared/run-store.ts';
import { assertKnownVersion } from '../shared/schema-version.ts';
import { movePhase } from '../shared/transitions.ts';
import { wakeJob } from '../shared/wake-job.ts';
import { ConversationPlaces } from './conversation-places.ts';
import { awaitApproval, finishRun, passEdge } from './control-jobs.ts';
import type { GateHandle } from './gate-handle.ts';
import { closePhase } from './gate-job.ts';
import { recordBaselines } from './judged-with.ts';
import { sealRun } from './seal-run.ts';
import { Parked, park } from './parking.ts';
import { leavePlaces } from './places.ts';
import { doPersonaJob } from './persona-job.ts';
import { putBack, unknownVersion } from './put-back.ts';
import { toQueueError } from './queue-error.ts';
import { queueGateHandle } from './queue-gate-handle.ts';
import { QueuePool } from './queue-pool.ts';
import { type Sweeper, startSweeper } from './sweeper.ts';
import { RunWatch, superseded } from './run-watch.ts';
import type { WorkerContext } from './worker-context.ts';

/**
 * A killed worker's job is taken over within ten seconds, however often it is killed:
 * the lock lives 6 s, stalled jobs are looked for every 1.5 s (3 s when the timers of two workers meet badly),
 * and no number of stalls fails a job.
 */
const LOCK = { lockDuration: 6_000, stalledInterval: 1_500, maxStalledCount: 1_000_000 } as const;
/** The jobs that ended in each of so many minutes are kept by queue, for whoever asks how fast the fleet is. */
const METRICS = { maxDataPoints: 60 } as const;
/** Conversations at once in one process, when nothing else is said; more only where one persona alone may hold more. */
const CONVERSATIONS_AT_ONCE = 100;
/** Gate jobs at once in one process, when nothing else is said. */
export const GATES_AT_ONCE = 10;

export interface FleetOptions {
  /** Persona queues to consume. */
  personas: readonly string[];
  /** Consume the gates queue and the control queues (runs, edges, approvals). */
  gates: boolean;
  /** Jobs at once of each persona in this process. */
  concurrency: number;
  /** Conversations at once, of all personas together; `CONVERSATIONS_AT_ONCE` or `concurrency` when nothing is said. */
  maxConversations?: number | undefined;
  /** Gate jobs at once. They take turns at measuring, so that one that only looks at its children waits for nobody. */
  gatesAtOnce?: number;
}

/** What one process is doing. */
export interface FleetLoad {
  /** Jobs under way, by queue. */
  active: Record<string, number>;
  conversations: number;
  maxConversations: number;
  done: number;
  failed: number;
  /** Jobs that this process broke off, for others to go on with. */
  givenBack: number;
  isDraining: boolean;
}

export interface Fleet {
  queues: readonly string[];
  load(): FleetLoad;
  /**
   * Stops taking jobs. Conversations end their turn, and other workers go on with them; what else is
   * under way may end until the deadline (`drainMs` of the configuration), and is given back then.
   */
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

/** A job of a run, as its handler sees it. */
interface Held<T> {
  data: T;
  job: Job;
  token: string;
  fence: Fence;
}

interface JobData {
  runId: RunId;
  generation: number;
}

interface QueueRole<T extends JobData> {
  queue: string;
  concurrency: number;
  schema: { parse(value: unknown): T };
  /** Whether the job waits while its run is paused; control jobs only tell what has happened. */
  isPausable: boolean;
  /** Whether it takes one of the places that the process has for conversations. */
  isConversation?: boolean;
  handle: (held: Held<T>) => Promise<unknown>;
}

/** Starts the BullMQ workers of one process. */
export async function startFleet(
  ctx: WorkerContext,
  options: FleetOptions,
  handlers: FleetHandlers = HANDLERS,
): Promise<Fleet> {
  const { concurrency, maxConversations = Math.max(CONVERSATIONS_AT_ONCE, concurrency) } = options;
  const parts = new FleetParts(ctx, new ConversationPlaces(maxConversations));
  const { watch } = parts;
  for (const persona of options.personas) {
    await parts.start({
      queue: personaQueue(persona),
      concurrency,
      schema: PersonaJob,
      isPausable: true,
      isConversation: true,
      handle: ({ data, fence, job }) =>
        watch.during(data, (signal) =>
          handlers.persona(ctx, {
            data,
            fence,
            signal,
            attempt: attemptOf(job),
            pausePoint: () => {
              if (watch.isPaused(data.runId)) throw pausedJob(ctx, data.runId);
              if (parts.isDraining) throw new GivenBack();
            },
          }),
        ),
    });
  }
  if (options.gates)
    await startControl(ctx, parts, { gate: handlers.gate, gatesAtOnce: options.gatesAtOnce ?? GATES_AT_ONCE });
  if (options.gates) parts.sweep();
  return parts.ready();
}

/** The workers of one process and what they share. */
class FleetParts {
  readonly watch: RunWatch;
  readonly queues: QueuePool;
  readonly #ctx: WorkerContext;
  readonly #places: ConversationPlaces;
  readonly #workers: Worker[] = [];
  readonly #connections: Redis[] = [];
  #sweeper: Sweeper | undefined;
  readonly #load = new Map<string, number>();
  readonly #ended = { done: 0, failed: 0, givenBack: 0 };
  #isGivingBack = false;
  #closing: Promise<void> | undefined;

  constructor(ctx: WorkerContext, places: ConversationPlaces) {
    this.#ctx = ctx;
    this.#places = places;
    this.watch = new RunWatch(ctx.store);
    this.queues = new QueuePool(ctx);
  }

  /** Starts the worker of one queue. */
  async start<T extends JobData>(role: QueueRole<T>): Promise<void> {
    const { logger, redisUrl, config } = this.#ctx;
    const connection = await connectRedis(redisUrl, 'worker');
    this.#connections.push(connection);
    const worker = new Worker(role.queue, (job, token = '') => this.#placed(role, job, token), {
      connection,
      prefix: config.prefix,
      concurrency: role.concurrency,
      metrics: METRICS,
      ...LOCK,
    });
    worker.on('error', (err) => logger.warn({ queue: role.queue, err: errorMessage(err) }, 'worker error'));
    worker.on('active', ({ id: jobId, attemptsMade }) =>
      logger.info({ queue: role.queue, jobId, attempt: attemptsMade + 1 }, 'job started'),
    );
    worker.on('completed', ({ id: jobId }) => {
      this.#ended.done += 1;
      logger.info({ queue: role.queue, jobId }, 'job done');
    });
    worker.on('failed', () => {
      this.#ended.failed += 1;
    });
    worker.on('closed', () => connection.disconnect());
    this.#workers.push(worker);
    if (role.isConversation === true) this.#places.add(worker);
  }

  #placed<T extends JobData>(role: QueueRole<T>, job: Job, token: string): Promise<unknown> {
    const work = (): Promise<unknown> => this.#counted(role, job, token);
    return role.isConversation === true ? this.#places.hold(job, token, work) : work();
  }

  async #counted<T extends JobData>(role: QueueRole<T>, job: Job, token: string): Promise<unknown> {
    this.#load.set(role.queue, (this.#load.get(role.queue) ?? 0) + 1);
    try {
      return await this.#run(role, job, token);
    } finally {
      this.#load.set(role.queue, (this.#load.get(role.queue) ?? 1) - 1);
    }
  }

  async #run<T extends JobData>(role: QueueRole<T>, job: Job, token: string): Promise<unknown> {
    const { store, logger } = this.#ctx;
    try {
      assertKnownVersion(`job ${job.id}`, job.data);
      const data = role.schema.parse(job.data);
      try {
        await assertCurrent(this.#ctx, data, role.isPausable);
        return await role.handle({
          data,
          job,
          token,
          fence: store.fence(job.queueName, String(job.id), token, data.generation),
        });
      } catch (err) {
        if (!(err instanceof Parked) || this.#isGivingBack) throw err;
        logger.info({ queue: role.queue, jobId: job.id, reason: err.message }, 'job parked');
        return await park({ store, queue: this.queues.get(job.queueName), job, token, runId: data.runId }, err);
      }
    } catch (err) {
      if (this.#isGivingBack || err instanceof GivenBack) {
        // Work that this process broke off costs no attempt: another worker takes it up at once.
        this.#ended.givenBack += 1;
        await job.moveToDelayed(Date.now(), token);
        throw new DelayedError();
      }
      const foreign = await unknownVersion(store, job, err);
      if (foreign !== undefined) return putBack(this.#ctx, job, token, foreign);
      const queueError = toQueueError(err);
      if (!(err instanceof DelayedError || err instanceof WaitingChildrenError))
        logger.info({ queue: role.queue, jobId: job.id, reason: queueError.message }, 'job failed');
      throw queueError;
    }
  }

  /** Looks after the runs of the whole fleet, for as long as no other process does. */
  sweep(): void {
    this.#sweeper = startSweeper(this.#ctx, this.queues);
  }

  async ready(): Promise<Fleet> {
    for (const worker of this.#workers) await worker.waitUntilReady();
    return {
      queues: this.#workers.map((worker) => worker.name),
      load: () => this.load(),
      close: (deadlineMs = this.#ctx.config.drainMs) => (this.#closing ??= this.#close(deadlineMs)),
    };
  }

  get isDraining(): boolean {
    return this.#closing !== undefined;
  }

  load(): FleetLoad {
    const busy = [...this.#load].filter(([, jobs]) => jobs > 0);
    return {
      active: Object.fromEntries(busy),
      conversations: this.#places.used,
      maxConversations: this.#places.limit,
      ...this.#ended,
      isDraining: this.isDraining,
    };
  }

  async #close(deadlineMs: number): Promise<void> {
    this.#places.close();
    const closed = Promise.allSettled(this.#workers.map((worker) => worker.close()));
    const isDone = await Promise.race([closed.then(() => true), sleep(deadlineMs, false, { ref: false })]);
    if (!isDone) {
      this.#isGivingBack = true;
      this.watch.abortAll('this worker is shutting down');
      await Promise.race([closed, sleep(3_000, undefined, { ref: false })]);
    }
    this.watch.close();
    const shared = (async () => {
      await this.#sweeper?.close();
      await this.queues.close();
    })();
    await Promise.race([shared, sleep(2_000, undefined, { ref: false })]);
    // A handler that will not end, or a Redis that does not answer, cannot hold this process up.
    for (const connection of this.#connections) connection.disconnect();
  }
}

/** This worker is about to end, and the conversation goes on in another one. */
class GivenBack extends FleetError {
  constructor() {
    super('CANCELLED', 'this worker is draining; another one goes on with the conversation', { retry: true });
  }
}

const pausedJob = (ctx: WorkerContext, runId: RunId): Parked =>
  new Parked(`run ${runId} is paused`, async () => (await ctx.store.getStanding(runId))?.status !== 'paused');

/** Jobs of an earlier generation of a run do nothing any more; those of a paused one wait. */
async function assertCurrent(ctx: WorkerContext, data: JobData, isPausable: boolean): Promise<void> {
  const standing = await ctx.store.getStanding(data.runId);
  if (standing === undefined) throw new FleetError('NOT_FOUND', `there is no run ${data.runId} any more`);
  if (standing.generation !== data.generation) throw superseded(data, standing);
  if (isPausable && standing.status === 'paused') throw pausedJob(ctx, data.runId);
}

async function startControl(
  ctx: WorkerContext,
  parts: FleetParts,
  { gate, gatesAtOnce }: { gate: FleetHandlers['gate']; gatesAtOnce: number },
): Promise<void> {
  const { watch, queues } = parts;
  const { store } = ctx;
  const leave = async (take: RunTake & { phase?: string }): Promise<void> => {
    for (const { queue, jobId } of await leavePlaces(ctx, take)) await wakeJob(queues.get(queue), jobId);
  };
  await parts.start({
    queue: QUEUES.gates,
    concurrency: gatesAtOnce,
    schema: GateJob,
    isPausable: true,
    handle: ({ job, token, data, fence }) =>
      watch.during(data, async (signal) => {
        const handle = queueGateHandle(queues, { job, token, data, fence, signal });
        try {
          return await gate(ctx, handle);
        } catch (err) {
          if (!signal.aborted) await failPhaseAtLast(ctx, handle, attemptOf(job), err);
          throw err;
        } finally {
          if (data.places === true) await leave(data);
        }
      }),
  });
  await parts.start({
    queue: QUEUES.edges,
    concurrency: 10,
    schema: EdgeJob,
    isPausable: false,
    handle: ({ job, data, fence }) =>
      passEdge(store, data, { fence, wake: (jobId) => wakeJob(queues.get(job.queueName), jobId) }),
  });
  await parts.start({
    queue: QUEUES.approvals,
    concurrency: 10,
    schema: ApprovalJob,
    isPausable: false,
    handle: ({ data, fence }) => awaitApproval(store, data, fence),
  });
  await parts.start({
    queue: QUEUES.runs,
    concurrency: 10,
    schema: RunJob,
    isPausable: false,
    handle: async ({ data, fence }) => {
      try {
        const result = await finishRun(store, data, fence);
        await recordBaselines(ctx, data.runId);
        return result;
      } finally {
        await sealRun(ctx, data.runId);
        if (data.places === true) await leave({ runId: data.runId, generation: data.generation });
      }
    },
  });
}

/** A gate job that cannot do its work in any attempt fails its phase, with the reason; a verdict speaks for itself. */
async function failPhaseAtLast(
  ctx: WorkerContext,
  handle: GateHandle,
  attempt: { isLast: boolean },
  err: unknown,
): Promise<void> {
  if (err instanceof WaitingChildrenError || err instanceof DelayedError || err instanceof Parked) return;
  const code = err instanceof FleetError ? err.code : 'INTERNAL';
  if (['PHASE_NOT_PASSED', 'STALE_ATTEMPT', 'CANCELLED', 'UNKNOWN_VERSION'].includes(code)) return;
  const isFinal = attempt.isLast || (err instanceof FleetError && !err.retry);
  if (!isFinal) return;
  const reason = `its gates could not be judged: ${code}: ${errorMessage(err)}`;
  await movePhase(ctx.store, handle.data.runId, handle.data.phase, 'failed', { reason, fence: handle.fence });
}
