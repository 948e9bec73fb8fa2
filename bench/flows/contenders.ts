import { FlowProducer, type FlowJob, QueueEvents, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { enqueueRun } from '../../src/producer/enqueue.ts';
import { buildFlow, firstTake } from '../../src/producer/flow.ts';
import { QUEUES, personaQueue } from '../../src/shared/names.ts';
import { connectRedis } from '../../src/shared/redis.ts';
import type { RunPlan } from '../../src/shared/run-record.ts';
import { startFleet } from '../../src/workers/fleet.ts';
import { noopContext, noopHandlers } from '../../tests/support/noop-handlers.ts';
import { HandOffs } from './meter.ts';

const PERSONA_CONCURRENCY = 50;
/** As many jobs of a queue at once as a worker process of the fleet takes. */
const concurrencies = (gatesAtOnce: number): Record<string, number> => ({
  [QUEUES.gates]: gatesAtOnce,
  [QUEUES.edges]: 10,
  [QUEUES.runs]: 10,
  [personaQueue('noop')]: PERSONA_CONCURRENCY,
});

/** Somebody who takes plans and carries them out. */
export interface Contender {
  readonly prefix: string;
  readonly handOffs: HandOffs;
  enqueue(plan: RunPlan): Promise<void>;
  /** Starts to work on what is queued. */
  start(): Promise<void>;
  /** Resolves when so many runs have ended since the start. */
  ended(runs: number): Promise<void>;
  close(): Promise<void>;
}

export interface Place {
  url: string;
  prefix: string;
  /** A worker process of the fleet takes one gate job at a time, because gates measure. */
  gatesAtOnce: number;
}

/** Tells when runs end, by the events of their root jobs; the same for both. */
async function countRuns(url: string, prefix: string): Promise<Pick<Contender, 'ended' | 'close'>> {
  const connection = await connectRedis(url, 'worker');
  const events = new QueueEvents(QUEUES.runs, { connection, prefix });
  let count = 0;
  let wanted: { runs: number; resolve: () => void } | undefined;
  events.on('completed', () => {
    count += 1;
    if (wanted !== undefined && count >= wanted.runs) wanted.resolve();
  });
  await events.waitUntilReady();
  return {
    ended: (runs) =>
      new Promise((resolve) => {
        wanted = { runs, resolve };
        if (count >= runs) resolve();
      }),
    close: async () => {
      await events.close();
      connection.disconnect();
    },
  };
}

const workOf = (run: string, phase: string): string => `${run}.${phase}.work`;
const gateOf = (run: string, phase: string): string => `${run}.${phase}.gate`;

/** The fleet itself, with personas and gates that do nothing. */
export async function openFleet({ url, prefix, gatesAtOnce }: Place, home: string): Promise<Contender> {
  const redis = await connectRedis(url, 'worker');
  const ctx = noopContext({ redis, redisUrl: url, prefix, home });
  const handOffs = new HandOffs();
  const counted = await countRuns(url, prefix);
  const handlers = noopHandlers({
    work: ({ plan, phase }) => handOffs.began(phase.needs.map((need) => gateOf(plan.runId, need))),
    verdict: ({ plan, phase }) => {
      handOffs.began([workOf(plan.runId, phase.name)]);
      return 'passed';
    },
  });
  let fleet: Awaited<ReturnType<typeof startFleet>> | undefined;
  return {
    prefix,
    handOffs,
    enqueue: async (plan) => void (await enqueueRun({ redis, prefix, store: ctx.store }, plan)),
    start: async () => {
      const options = { personas: ['noop'], gates: true, concurrency: PERSONA_CONCURRENCY, gatesAtOnce };
      fleet = await startFleet(ctx, options, {
        persona: async (context, attempt) => {
          const result = await handlers.persona(context, attempt);
          handOffs.ended(workOf(attempt.data.runId, attempt.data.phase));
          return result;
        },
        gate: async (context, handle) => {
          const result = await handlers.gate(context, handle);
          handOffs.ended(gateOf(handle.data.runId, handle.data.phase));
          return result;
        },
      });
    },
    ended: counted.ended,
    close: async () => {
      await fleet?.close(5_000);
      await counted.close();
      redis.disconnect();
    },
  };
}

/** The same tree of jobs without anything in them, parked edges not parked: what BullMQ itself costs. */
function bare(job: FlowJob, children: Map<string, string[]>): FlowJob {
  const { delay: _, ...opts } = job.opts ?? {};
  const below = job.children ?? [];
  children.set(
    String(opts.jobId),
    below.map((child) => String(child.opts?.jobId)),
  );
  return {
    name: job.name,
    queueName: job.queueName,
    data: {},
    opts,
    children: below.map((child) => bare(child, children)),
  };
}

/** BullMQ's own FlowProducer and Worker, with handlers that do nothing. */
export async function openRaw({ url, prefix, gatesAtOnce }: Place): Promise<Contender> {
  const dial = (): Redis => new Redis(url, { maxRetriesPerRequest: null });
  const connection = dial();
  const flows = new FlowProducer({ connection, prefix });
  const handOffs = new HandOffs();
  const counted = await countRuns(url, prefix);
  const children = new Map<string, string[]>();
  const workers: Worker[] = [];
  const connections: Redis[] = [];
  return {
    prefix,
    handOffs,
    enqueue: async (plan) => void (await flows.add(bare(buildFlow(plan, firstTake(plan)), children))),
    start: async () => {
      for (const [queue, concurrency] of Object.entries(concurrencies(gatesAtOnce))) {
        const own = dial();
        connections.push(own);
        const isMeasured = queue !== QUEUES.edges && queue !== QUEUES.runs;
        const worker = new Worker(
          queue,
          async (job) => {
            const id = String(job.id);
            if (isMeasured) handOffs.began(children.get(id) ?? []);
            handOffs.ended(id);
            return null;
          },
          { connection: own, prefix, concurrency },
        );
        workers.push(worker);
      }
      for (const worker of workers) await worker.waitUntilReady();
    },
    ended: counted.ended,
    close: async () => {
      await Promise.all(workers.map((worker) => worker.close()));
      await counted.close();
      await flows.close();
      for (const redis of [...connections, connection]) redis.disconnect();
    },
  };
}
