import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Queue } from 'bullmq';
import { errorMessage } from '../../shared/errors.ts';
import { type FleetEntry, isBefore } from '../../shared/fleet-log.ts';
import type { Logger } from '../../shared/logger.ts';
import { QUEUES } from '../../shared/names.ts';
import type { Redis } from '../../shared/redis.ts';
import { RedisScript } from '../../shared/redis-script.ts';
import type { FleetFeed } from '../fleet-feed.ts';
import { News } from '../news.ts';
import type { RunSignals } from '../run-signals.ts';
import { type NewDelivery, type RetryPlan, addDeliveries } from './webhook-deliveries.ts';
import type { WebhookStore } from './webhook-store.ts';
import { DeliveryJob, type StoredWebhook } from './webhook.ts';

/** Whose turn it is, and how long without a sign of life. */
const LEASE_MS = 6_000;
const RENEW_MS = 2_000;

/** KEYS: lease, cursor. ARGV: who, how long, cursor ('' leaves it). */
const GO_ON = new RedisScript(`
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
if ARGV[3] ~= '' then redis.call('SET', KEYS[2], ARGV[3]) end
return 1
`);
const LET_GO = new RedisScript(`if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end return 1`);

interface DispatcherOptions {
  redis: Redis;
  prefix: string;
  feed: FleetFeed;
  signals: RunSignals;
  webhooks: WebhookStore;
  retries: RetryPlan;
  logger: Logger;
}

/**
 * Turns the fleet's log into deliveries. One process does it at a time, and goes on from where the last one stopped: the
 * place is moved only when everything before it stands in the queue. Two that do it at once add every delivery once.
 */
export class WebhookDispatcher {
  readonly #of: DispatcherOptions;
  readonly #me = randomUUID();
  readonly #queue: Queue;
  readonly #closing = new AbortController();
  readonly #done: Promise<void>;

  constructor(of: DispatcherOptions) {
    this.#of = of;
    this.#queue = new Queue(QUEUES.webhooks, { connection: of.redis, prefix: of.prefix });
    this.#queue.on('error', () => undefined);
    this.#done = this.#run();
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#done;
    await this.#queue.close();
  }

  #key(part: 'lease' | 'cursor'): string {
    return `${this.#of.prefix}:maestro:webhooks:${part}`;
  }

  async #goOn(cursor = ''): Promise<boolean> {
    const keys = [this.#key('lease'), this.#key('cursor')];
    return (await GO_ON.run(this.#of.redis, keys, [this.#me, String(LEASE_MS), cursor])) === 1;
  }

  async #run(): Promise<void> {
    const { signal } = this.#closing;
    const news = new News(this.#of.signals, signal);
    let complaint = '';
    while (!signal.aborted) {
      try {
        if (!(await this.#goOn())) await sleep(RENEW_MS, undefined, { signal });
        else if (!(await this.#step())) await news.wait(RENEW_MS);
        complaint = '';
      } catch (err) {
        if (signal.aborted) break;
        if (complaint !== errorMessage(err)) this.#of.logger.warn({ reason: errorMessage(err) }, 'webhooks wait');
        complaint = errorMessage(err);
        await sleep(RENEW_MS, undefined, { signal }).catch(() => undefined);
      }
    }
    news.end();
    await LET_GO.run(this.#of.redis, [this.#key('lease')], [this.#me]).catch(() => undefined);
  }

  /** One page of the log. Returns whether there was one. */
  async #step(): Promise<boolean> {
    const { redis, feed, webhooks } = this.#of;
    const all = await webhooks.list();
    if (all.length === 0) {
      // Whoever is added next begins where the log then ends.
      await redis.del(this.#key('cursor'));
      return false;
    }
    const [first = ''] = all.map(({ since }) => since).toSorted((a, b) => (isBefore(a, b) ? -1 : 1));
    const cursor = (await redis.get(this.#key('cursor'))) ?? first;
    const start = await feed.start();
    if (start !== undefined && isBefore(cursor, start)) await this.#missed(all, cursor, start);
    const page = await feed.after(cursor);
    const last = page.at(-1);
    if (last === undefined) return false;
    const deliveries = await this.#deliveries(all, page);
    if (deliveries.length > 0) await addDeliveries({ ...this.#of, queue: this.#queue }, deliveries, this.#of.retries);
    await this.#goOn(last.id);
    return true;
  }

  async #deliveries(all: readonly StoredWebhook[], page: readonly FleetEntry[]) {
    const found: NewDelivery[] = [];
    for (const { id: place, runId, seq, type } of page) {
      const wanting = all.filter(({ events, since }) => events.some((one) => one === type) && isBefore(since, place));
      const run = wanting.length === 0 ? undefined : await this.#of.feed.runOf(runId);
      if (run === undefined) continue;
      for (const webhook of wanting) {
        if (webhook.workflow !== null && webhook.workflow !== run.workflow) continue;
        const data = DeliveryJob.parse({ schemaVersion: 1, webhookId: webhook.id, runId, seq, type, place });
        found.push({ webhook, data, run });
      }
    }
    return found;
  }

  /** Nobody sent anything for so long that the log no longer has it all: said, and noted at every webhook. */
  async #missed(all: readonly StoredWebhook[], after: string, before: string): Promise<void> {
    const hit = all.filter(({ since, missed }) => isBefore(since, before) && missed?.before !== before);
    if (after === '0-0' || hit.length === 0) return;
    this.#of.logger.error({ after, before }, 'events were not sent to webhooks: the log no longer has them');
    for (const { id } of hit) await this.#of.webhooks.noteMissed(id, after, before);
  }
}
