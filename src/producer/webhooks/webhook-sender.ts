import { setMaxListeners } from 'node:events';
import { DelayedError, type Job, UnrecoverableError, Worker } from 'bullmq';
import { FleetError, errorMessage } from '../../shared/errors.ts';
import type { Logger } from '../../shared/logger.ts';
import { QUEUES } from '../../shared/names.ts';
import { connectRedis } from '../../shared/redis.ts';
import { Recent } from '../../shared/recent.ts';
import type { FleetFeed } from '../fleet-feed.ts';
import { runLinks } from '../run-links.ts';
import type { AddressPolicy } from './webhook-address.ts';
import { RETRIES, waitAfter } from './webhook-deliveries.ts';
import { type PostAnswer, postSigned } from './webhook-request.ts';
import type { WebhookStore } from './webhook-store.ts';
import { type Attempt, Attempts, DeliveryJob, type StoredWebhook } from './webhook.ts';

const CONCURRENCY = 20;
/** A receiver that hangs holds up no more than so many of them. */
const MOST_AT_ONCE = 5;
const MOST_ATTEMPTS_SHOWN = 30;
const GONE = 410;
const CLOSE_MS = 3_000;
/** So long a delivery waits that this process cannot sign, for another one that can. */
const UNSIGNED_MS = 5_000;

interface SenderOptions {
  redisUrl: string;
  prefix: string;
  feed: FleetFeed;
  webhooks: WebhookStore;
  policy: AddressPolicy;
  timeoutMs: number;
  logger: Logger;
}

/** Sends what stands in the queue. Any number of processes may do it: each delivery is in one of them at a time. */
export async function startWebhookSender(options: SenderOptions): Promise<{ close(): Promise<void> }> {
  const { redisUrl, prefix, logger } = options;
  const redis = await connectRedis(redisUrl, 'worker');
  const closing = new AbortController();
  // Every delivery under way listens to it.
  setMaxListeners(CONCURRENCY + 10, closing.signal);
  const sender = new Sender(options, closing.signal);
  const worker = new Worker(QUEUES.webhooks, (job, token) => sender.send(job, token), {
    connection: redis,
    prefix,
    concurrency: CONCURRENCY,
    lockDuration: 6_000,
    stalledInterval: 3_000,
    maxStalledCount: 1_000_000,
    settings: { backoffStrategy: (made, _type, err, job) => sender.wait(made, err, job) },
  });
  worker.on('error', (err) => logger.warn({ err: errorMessage(err) }, 'webhook sender error'));
  await worker.waitUntilReady();
  return {
    close: async () => {
      // What is being sent is broken off after a moment, and sent again by whoever takes it over: under the same id.
      const tooLong = new Promise((resolve) => setTimeout(resolve, CLOSE_MS).unref());
      const closed = worker.close();
      await Promise.race([closed, tooLong]);
      closing.abort();
      await Promise.race([closed, tooLong]);
      redis.disconnect();
    },
  };
}

class Sender {
  readonly #of: SenderOptions;
  readonly #closing: AbortSignal;
  /** How long a receiver asked to be left alone, by the failure that it answered with. */
  readonly #asked = new WeakMap<Error, number>();
  /** When the deliveries under way began, by webhook. */
  readonly #under = new Map<string, Set<{ since: number }>>();
  /** How long the last delivery to a webhook took. */
  readonly #took = new Recent<number>(1_000);
  /** Webhooks whose secret cannot be opened here, which is said once. */
  readonly #unsigned = new Recent<true>(1_000);

  constructor(of: SenderOptions, closing: AbortSignal) {
    this.#of = of;
    this.#closing = closing;
  }

  wait(attemptsMade: number, err: Error | undefined, job: { opts: Job['opts'] } | undefined): number {
    const asked = err === undefined ? 0 : (this.#asked.get(err) ?? 0);
    const { backoff } = job?.opts ?? {};
    const planned = typeof backoff === 'object' ? backoff.delay : backoff;
    return waitAfter(attemptsMade, planned ?? RETRIES.backoffMs, asked);
  }

  async send(job: Job, token = ''): Promise<{ status: number }> {
    const data = DeliveryJob.parse(job.data);
    const webhook = await this.#of.webhooks.find(data.webhookId);
    if (webhook === undefined) throw new UnrecoverableError('the webhook was removed');
    if (webhook.disabled !== null)
      throw new UnrecoverableError(`the webhook is disabled since ${webhook.disabled.at}: ${webhook.disabled.reason}`);
    const secret = this.#secretOf(webhook);
    if (secret === undefined) return putOff(job, token, UNSIGNED_MS * (1 + Math.random()));
    const under = this.#under.get(webhook.id) ?? new Set();
    if (under.size >= MOST_AT_ONCE) {
      const longest = Math.max(...[...under].map(({ since }) => Date.now() - since));
      return putOff(job, token, waitMs(Math.max(longest, this.#took.get(webhook.id) ?? 0), Math.random()));
    }
    const mine = { since: Date.now() };
    this.#under.set(webhook.id, under.add(mine));
    try {
      return await this.#attempt(job, data, { webhook, secret });
    } finally {
      this.#took.set(webhook.id, Date.now() - mine.since);
      under.delete(mine);
      if (under.size === 0) this.#under.delete(webhook.id);
    }
  }

  /** Undefined when this process has not the key: that is no fault of the delivery, nor of who is to receive it. */
  #secretOf(webhook: StoredWebhook): string | undefined {
    try {
      return this.#of.webhooks.secretOf(webhook);
    } catch (err) {
      if (this.#unsigned.get(webhook.id) !== true)
        this.#of.logger.error({ webhookId: webhook.id, reason: errorMessage(err) }, 'webhook cannot be signed here');
      this.#unsigned.set(webhook.id, true);
      return undefined;
    }
  }

  async #attempt(
    job: Job,
    data: DeliveryJob,
    { webhook, secret }: { webhook: StoredWebhook; secret: string },
  ): Promise<{ status: number }> {
    const body = await this.#body(data);
    const started = Date.now();
    const note = (status: number | null, error: string | null): Promise<void> => {
      const attempt: Attempt = { at: new Date(started).toISOString(), ms: Date.now() - started, status, error };
      const before = Attempts.safeParse(job.progress).data ?? [];
      return job.updateProgress([...before, attempt].slice(-MOST_ATTEMPTS_SHOWN));
    };
    let answer: PostAnswer;
    try {
      const { policy, timeoutMs } = this.#of;
      const { url } = webhook;
      const id = String(job.id);
      answer = await postSigned({ url, secret, id, body, policy, timeoutMs, signal: this.#closing });
    } catch (err) {
      await note(null, errorMessage(err));
      throw await this.#failure(job, webhook, errorMessage(err), err instanceof FleetError && err.retry);
    }
    const { status } = answer;
    const isTaken = status >= 200 && status < 300;
    await note(status, isTaken ? null : wordsOf(status));
    if (status === GONE) await this.#disable(webhook, 'it answered 410 Gone');
    if (!isTaken) {
      const failure = await this.#failure(job, webhook, wordsOf(status), status !== GONE);
      this.#asked.set(failure, answer.retryAfterMs);
      throw failure;
    }
    await this.#of.webhooks.noteEnd(webhook.id, 'delivered');
    return { status };
  }

  async #body({ place, runId, seq, type }: DeliveryJob): Promise<string> {
    const filled = await this.#of.feed.eventOf({ id: place, runId, seq, type });
    if (filled === undefined) throw new UnrecoverableError('the event is nowhere any more');
    const { event, cursor: _, ...ofRun } = filled;
    return JSON.stringify({
      type,
      timestamp: event.at,
      data: { runId, ...ofRun, event, links: runLinks(runId) },
    });
  }

  /** What the queue is told: to try again, or that this was the last time. */
  async #failure(job: Job, webhook: StoredWebhook, reason: string, mayRetry: boolean): Promise<Error> {
    const isLast = !mayRetry || job.attemptsMade + 1 >= (job.opts.attempts ?? 1);
    if (!isLast) return new FleetError('API_UNAVAILABLE', reason, { retry: true });
    this.#of.logger.warn({ webhookId: webhook.id, delivery: job.id, reason }, 'webhook delivery is dead');
    if (await this.#of.webhooks.noteEnd(webhook.id, 'dead'))
      await this.#disable(webhook, `several deliveries in a row could not be made, the last one because: ${reason}`);
    return new UnrecoverableError(reason);
  }

  async #disable({ id, url }: StoredWebhook, reason: string): Promise<void> {
    await this.#of.webhooks.disable(id, reason);
    this.#of.logger.error({ webhookId: id, host: new URL(url).host, reason }, 'webhook disabled');
  }
}

/** Takes no attempt from it. */
async function putOff(job: Job, token: string, ms: number): Promise<never> {
  await job.moveToDelayed(Date.now() + Math.round(ms), token);
  throw new DelayedError();
}

/** How long a delivery waits for one of the places of its webhook: soon where they are quick, 2 to 20 s where they hang. */
export const waitMs = (tookMs: number, chance: number): number =>
  Math.max(100 + chance * 400, Math.min(tookMs, 10_000) * (0.2 + 1.8 * chance));

const wordsOf = (status: number): string =>
  status >= 300 && status < 400 ? `it answered ${status}, and redirects are not followed` : `it answered ${status}`;
