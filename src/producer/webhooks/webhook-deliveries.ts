import type { Job, Queue } from 'bullmq';
import { FleetError } from '../../shared/errors.ts';
import { QUEUES, jobIds } from '../../shared/names.ts';
import type { Redis } from '../../shared/redis.ts';
import { originMark } from '../../shared/run-record.ts';
import { withQueue } from '../with-queue.ts';
import { deliveriesKey } from './webhook-store.ts';
import {
  Attempts,
  type DeliveriesQuery,
  type Delivery,
  DeliveryJob,
  type RedeliverRequest,
  type StoredWebhook,
} from './webhook.ts';

/** The waits below; those with a name that the queue itself knows would not reach the sender. */
const BACKOFF = 'webhook';
/** A receiver that asks for more is asked again all the same. */
const LONGEST_ASKED_MS = 3_600_000;

/** How long is waited after an attempt: as long as planned, or as the receiver asked for. */
export function waitAfter(attemptsMade: number, backoffMs: number, askedMs: number): number {
  const most = backoffMs * 2 ** (attemptsMade - 1);
  return Math.max(Math.round(most * (0.5 + Math.random() / 2)), Math.min(askedMs, LONGEST_ASKED_MS));
}

/** How many deliveries of a webhook are remembered. */
const KEPT = 5_000;
const PAGE = 100;
const DEAD_SECONDS = 30 * 24 * 3600;

export interface RetryPlan {
  attempts: number;
  /** The wait after the first attempt; it doubles, and half of it is chance. */
  backoffMs: number;
}
/** The last attempt comes some five hours after the first. */
export const RETRIES: RetryPlan = { attempts: 12, backoffMs: 5_000 };

/** What is to be sent to whom, and who answered in its run. */
export interface NewDelivery {
  webhook: StoredWebhook;
  data: DeliveryJob;
  run: Parameters<typeof originMark>[0];
}

interface Target {
  redis: Redis;
  prefix: string;
}

/** Notes what is to be sent. Its ids follow from webhook and event, so noting it again adds nothing. */
export async function addDeliveries(
  { redis, prefix, queue }: Target & { queue: Queue },
  deliveries: readonly NewDelivery[],
  retries: RetryPlan,
): Promise<void> {
  const jobs = deliveries.map(({ webhook, data, run }) => ({
    name: `${data.type} -> ${new URL(webhook.url).host}${originMark(run)}`,
    data,
    opts: {
      jobId: jobIds.delivery(webhook.id, data.runId, data.seq),
      attempts: retries.attempts,
      backoff: { type: BACKOFF, delay: retries.backoffMs },
      removeOnComplete: { age: 7 * 24 * 3600, count: 10_000 },
      removeOnFail: { age: DEAD_SECONDS, count: 10_000 },
    },
  }));
  for (const { opts, data } of jobs) {
    const key = deliveriesKey(prefix, data.webhookId);
    // The place in the log orders them, and is the same when this is done again.
    await redis.zadd(key, 'NX', Number(data.place.split('-')[0]), opts.jobId);
    await redis.zremrangebyrank(key, 0, -KEPT - 1);
  }
  await queue.addBulk(jobs);
}

/** The newest first. */
export const listDeliveries = (
  target: Target,
  webhookId: string,
  { status, limit }: DeliveriesQuery,
): Promise<Delivery[]> =>
  withQueue(target, QUEUES.webhooks, async (queue) => {
    const found: Delivery[] = [];
    for (let from = 0; found.length < limit; from += PAGE) {
      const ids = await target.redis.zrevrange(deliveriesKey(target.prefix, webhookId), from, from + PAGE - 1);
      if (ids.length === 0) break;
      const jobs = await Promise.all(ids.map((id) => queue.getJob(id)));
      const deliveries = jobs.flatMap((job) => (job === undefined ? [] : [deliveryOf(job)]));
      found.push(...deliveries.filter((one) => status === undefined || one.status === status));
    }
    return found.slice(0, limit);
  });

function deliveryOf(job: Job): Delivery {
  const { type, runId, seq } = DeliveryJob.parse(job.data);
  const attempts = Attempts.safeParse(job.progress).data ?? [];
  const status = statusOf(job);
  const last = attempts.at(-1);
  return {
    id: String(job.id),
    event: type,
    runId,
    seq,
    status,
    createdAt: new Date(job.timestamp).toISOString(),
    attempts,
    reason: status === 'dead' ? (job.failedReason ?? null) : null,
    next:
      status === 'pending' && last !== undefined
        ? new Date(Date.parse(last.at) + last.ms + job.delay).toISOString()
        : null,
  };
}

/** Why an attempt failed stays with a job that was done by a later one; what it returned tells that it was. */
function statusOf(job: Job): Delivery['status'] {
  if (job.finishedOn === undefined) return 'pending';
  return job.returnvalue === null || job.returnvalue === undefined ? 'dead' : 'delivered';
}

/** Sends again: one delivery, however it ended, or all that are dead. They keep their ids, so that receivers know them. */
export async function redeliver(target: Target, webhookId: string, request: RedeliverRequest): Promise<string[]> {
  if ('delivery' in request) {
    await withQueue(target, QUEUES.webhooks, (queue) => again(queue, webhookId, request.delivery));
    return [request.delivery];
  }
  const dead = await listDeliveries(target, webhookId, { status: 'dead', limit: KEPT });
  return withQueue(target, QUEUES.webhooks, async (queue) => {
    const sent: string[] = [];
    for (const { id } of dead) {
      try {
        await again(queue, webhookId, id);
        sent.push(id);
      } catch (err) {
        // Somebody else who asks for the same was faster, or it is gone.
        if (!(err instanceof FleetError)) throw err;
      }
    }
    return sent;
  });
}

async function again(queue: Queue, webhookId: string, id: string): Promise<void> {
  const job = id.startsWith(`${webhookId}.`) ? await queue.getJob(id) : undefined;
  if (job === undefined) throw new FleetError('NOT_FOUND', `webhook ${webhookId} has no delivery ${id}`);
  const status = statusOf(job);
  if (status === 'pending')
    throw new FleetError('CONFLICT', `delivery ${id} is still being sent`, { remedy: 'Wait until it has ended.' });
  try {
    await job.retry(status === 'delivered' ? 'completed' : 'failed', { resetAttemptsMade: true });
  } catch (err) {
    const now = await queue.getJob(id);
    if (now !== undefined && statusOf(now) === status) throw err;
    throw new FleetError('CONFLICT', `delivery ${id} is being sent already`, { cause: err });
  }
}
