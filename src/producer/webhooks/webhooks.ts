import type { Logger } from '../../shared/logger.ts';
import type { Redis } from '../../shared/redis.ts';
import type { FleetFeed } from '../fleet-feed.ts';
import type { RunSignals } from '../run-signals.ts';
import { RETRIES, type RetryPlan } from './webhook-deliveries.ts';
import { WebhookDispatcher } from './webhook-dispatcher.ts';
import { startWebhookSender } from './webhook-sender.ts';
import { type WebhookSettings, WebhookStore } from './webhook-store.ts';

const TIMEOUT_MS = 10_000;

export interface WebhookOptions extends WebhookSettings {
  retries?: RetryPlan;
  timeoutMs?: number;
}
export const PUBLIC_ONLY: WebhookOptions = { allowPrivate: false, allowHosts: [] };

/** Sends events to webhooks, together with all other processes that do. */
export async function startWebhooks(of: {
  redisUrl: string;
  prefix: string;
  redis: Redis;
  feed: FleetFeed;
  signals: RunSignals;
  logger: Logger;
  options: WebhookOptions;
}): Promise<{ store: WebhookStore; close(): Promise<void> }> {
  const { redis, prefix, options } = of;
  const store = new WebhookStore(redis, prefix, options);
  const timeoutMs = options.timeoutMs ?? TIMEOUT_MS;
  const sender = await startWebhookSender({ ...of, webhooks: store, policy: options, timeoutMs });
  const dispatcher = new WebhookDispatcher({ ...of, webhooks: store, retries: options.retries ?? RETRIES });
  return {
    store,
    close: async () => {
      await Promise.all([dispatcher.close(), sender.close()]);
    },
  };
}
