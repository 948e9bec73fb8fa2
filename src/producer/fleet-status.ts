import type { Metrics, Queue } from 'bullmq';
import { z } from 'zod';
import { readModelLimits } from '../shared/model-limits.ts';
import { QUEUES } from '../shared/names.ts';
import type { Redis } from '../shared/redis.ts';
import type { RunStore } from '../shared/run-store.ts';
import { dayOf, readSpendDays } from '../shared/spend-days.ts';
import { WorkerRegistry, type WorkerStanding } from '../shared/worker-registry.ts';
import type { FleetQueues } from './bull-board.ts';
import type { FleetQueue, FleetStatus, QueueDepth } from './fleet-schemas.ts';

const MINUTE_MS = 60_000;
const MINUTES = 60;
const DEPTH_STATES = ['waiting', 'prioritized', 'active', 'delayed', 'waiting-children', 'failed'] as const;

interface Of {
  redis: Redis;
  prefix: string;
  store: RunStore;
  queues: FleetQueues;
}

/** Everything about the fleet that a person or a page wants to see at once. */
export async function readFleet({ redis, prefix, store, queues }: Of): Promise<FleetStatus> {
  const now = Date.now();
  const [workers, read, history, runs, limits, paid, free] = await Promise.all([
    new WorkerRegistry(redis, prefix).list(),
    Promise.all(queues.queues.map((queue) => readQueue(queue, now))),
    readHistory(redis, prefix),
    store.index.counts(),
    readModelLimits(redis, prefix),
    ...(['paid', 'free'] as const).map((kind) => readSpendDays(redis, prefix, { kind, days: 1, now: new Date(now) })),
  ]);
  const worked = read.filter(({ name }) => isWork(name));
  return {
    at: new Date(now).toISOString(),
    workers,
    queues: read.map(({ name, depth, done, failed }): FleetQueue => {
      const ended = done.map((jobs, index) => jobs + (failed[index] ?? 0));
      return {
        queue: name,
        depth,
        workers: workers.filter((worker) => consumes(worker, name)).length,
        perMinute5: rate(ended, 5),
        perMinute60: rate(ended, MINUTES),
      };
    }),
    throughput: {
      until: new Date(Math.floor(now / MINUTE_MS) * MINUTE_MS).toISOString(),
      done: sum(worked.map(({ done }) => done)),
      failed: sum(worked.map(({ failed }) => failed)),
    },
    history,
    runs,
    today: { day: dayOf(new Date(now)), paid: paid?.[0]?.totals ?? null, free: free?.[0]?.totals ?? null },
    limits,
  };
}

/** Queues in which something is made or measured; the others pass on what has happened. */
const isWork = (queue: string): boolean => queue === QUEUES.gates || queue.startsWith('persona.');

function consumes(worker: WorkerStanding, queue: string): boolean {
  if (queue.startsWith('persona.')) return worker.personas.includes(queue.slice('persona.'.length));
  return worker.gates && queue !== QUEUES.schedules;
}

/** Ended a minute, over the last minutes that are over. */
function rate(ended: readonly number[], minutes: number): number {
  const over = ended.slice(0, -1).slice(-minutes);
  return over.length === 0 ? 0 : Math.round((over.reduce((all, jobs) => all + jobs, 0) / over.length) * 100) / 100;
}

const sum = (rows: readonly number[][]): number[] =>
  Array.from({ length: MINUTES + 1 }, (_, index) => rows.reduce((all, row) => all + (row[index] ?? 0), 0));

async function depthOf(queue: Queue): Promise<QueueDepth> {
  const counts = await queue.getJobCounts(...DEPTH_STATES);
  return {
    waiting: (counts['waiting'] ?? 0) + (counts['prioritized'] ?? 0),
    active: counts['active'] ?? 0,
    delayed: counts['delayed'] ?? 0,
    waitingChildren: counts['waiting-children'] ?? 0,
    failed: counts['failed'] ?? 0,
  };
}

async function readQueue(queue: Queue, now: number) {
  const [depth, done, failed] = await Promise.all([
    depthOf(queue),
    queue.getMetrics('completed', 0, MINUTES),
    queue.getMetrics('failed', 0, MINUTES),
  ]);
  return { name: queue.name, depth, done: minutesOf(done, now), failed: minutesOf(failed, now) };
}

/**
 * BullMQ counts a minute when the first job of a later one ends: what it keeps ends with the minute of that job, not
 * with now. Returns the last hour and the minute that runs, the latest last.
 */
export function minutesOf({ meta, data }: Metrics, now: number): number[] {
  const minutes = Array<number>(MINUTES + 1).fill(0);
  if (!Number.isFinite(meta.prevTS) || meta.prevTS <= 0) return minutes;
  const behind = Math.floor(now / MINUTE_MS) - Math.floor(meta.prevTS / MINUTE_MS);
  [meta.count - meta.prevCount, ...data.map(Number)].forEach((jobs, index) => {
    const place = MINUTES - behind - index;
    // A worker whose clock is ahead counts into a minute that has not begun here.
    if (place >= 0) minutes[Math.min(place, MINUTES)] = (minutes[Math.min(place, MINUTES)] ?? 0) + jobs;
  });
  return minutes;
}

const SAMPLE_MS = 10_000;
const SAMPLES = 360;
const Sample = z.strictObject({ at: z.iso.datetime(), waiting: z.number(), active: z.number(), delayed: z.number() });

const historyKey = (prefix: string): string => `${prefix}:maestro:depths`;

async function readHistory(redis: Redis, prefix: string): Promise<z.infer<typeof Sample>[]> {
  const texts = await redis.lrange(historyKey(prefix), 0, SAMPLES - 1);
  return texts.toReversed().map((text) => Sample.parse(JSON.parse(text)));
}

export interface DepthSampler {
  close(): void;
}

/** Notes every ten seconds how deep the queues are, for an hour; of several servers one does. */
export function startDepthSampler({ redis, prefix, queues }: Omit<Of, 'store'>): DepthSampler {
  const sample = async (): Promise<void> => {
    const turn = await redis.set(`${historyKey(prefix)}:turn`, '1', 'PX', SAMPLE_MS - 500, 'NX');
    if (turn !== 'OK') return;
    const depths = await Promise.all(queues.queues.filter(({ name }) => isWork(name)).map(depthOf));
    const all = (state: keyof QueueDepth): number => depths.reduce((total, depth) => total + depth[state], 0);
    const taken = {
      at: new Date().toISOString(),
      waiting: all('waiting'),
      active: all('active'),
      delayed: all('delayed'),
    };
    await redis
      .multi()
      .lpush(historyKey(prefix), JSON.stringify(taken))
      .ltrim(historyKey(prefix), 0, SAMPLES - 1)
      .pexpire(historyKey(prefix), SAMPLE_MS * SAMPLES)
      .exec();
  };
  // Redis may be away for a moment: that sample is missing, and charts break their lines there.
  const timer = setInterval(() => void sample().catch(() => undefined), SAMPLE_MS);
  timer.unref();
  void sample().catch(() => undefined);
  return { close: () => clearInterval(timer) };
}
