import { ulid } from 'ulid';
import { z } from 'zod';
import { Name, RunId } from '../../shared/names.ts';
import { EventType } from '../api-schemas.ts';

/** Who is told of what. What crosses HTTP, and what is stored. */

export const WebhookId = z.string().regex(/^wh_[0-9A-HJKMNP-TV-Z]{26}$/, 'an id of a webhook begins with wh_');
export type WebhookId = z.infer<typeof WebhookId>;
export const newWebhookId = (): WebhookId => WebhookId.parse(`wh_${ulid()}`);

export const NewWebhook = z.strictObject({
  url: z.url({ protocol: /^https?$/ }).max(2_000),
  /** The types of events that are sent. */
  events: z.array(EventType).min(1),
  /** Only of runs of this workflow. */
  workflow: Name.optional(),
});
export type NewWebhook = z.infer<typeof NewWebhook>;

export const Webhook = z.strictObject({
  id: WebhookId,
  url: z.string(),
  events: z.array(EventType),
  workflow: Name.nullable(),
  createdAt: z.string(),
  createdBy: z.string(),
  /** Set when nothing is sent any more, and why. What happens meanwhile is kept as dead deliveries. */
  disabled: z.strictObject({ at: z.string(), reason: z.string() }).nullable(),
  /** Set when events could not be sent because nobody sent any for too long: what came between these places. */
  missed: z.strictObject({ at: z.string(), after: z.string(), before: z.string() }).nullable(),
  /** Whether its secret is stored encrypted. */
  sealed: z.boolean(),
});
export type Webhook = z.infer<typeof Webhook>;
export const WebhookList = z.strictObject({ webhooks: z.array(Webhook) });

/** The only document that holds the secret. */
export const WebhookCreated = z.strictObject({ ...Webhook.shape, secret: z.string() });
export type WebhookCreated = z.infer<typeof WebhookCreated>;

export const StoredWebhook = z.strictObject({
  ...Webhook.shape,
  /** As `sealSecret` made it. */
  secret: z.string(),
  /** Only what comes after this place in the fleet's log is sent. */
  since: z.string(),
});
export type StoredWebhook = z.infer<typeof StoredWebhook>;

const Attempt = z.strictObject({
  at: z.string(),
  ms: z.number().int(),
  /** What the receiver answered; null when it did not. */
  status: z.number().int().nullable(),
  error: z.string().nullable(),
});
export type Attempt = z.infer<typeof Attempt>;
export const Attempts = z.array(Attempt);

/** Job data of the `webhooks` queue: one event for one webhook. */
export const DeliveryJob = z.strictObject({
  schemaVersion: z.literal(1),
  webhookId: WebhookId,
  runId: RunId,
  seq: z.number().int(),
  type: EventType,
  /** Where the fleet's log tells of it. */
  place: z.string(),
});
export type DeliveryJob = z.infer<typeof DeliveryJob>;

export const DeliveryStatus = z.enum(['pending', 'delivered', 'dead']);
export const Delivery = z.strictObject({
  /** The same in the header `webhook-id`, however often it is sent. */
  id: z.string(),
  event: EventType,
  runId: RunId,
  seq: z.number().int(),
  status: DeliveryStatus,
  createdAt: z.string(),
  /** The newest ones. */
  attempts: Attempts,
  /** Why it is dead. */
  reason: z.string().nullable(),
  /** When it is tried again. */
  next: z.string().nullable(),
});
export type Delivery = z.infer<typeof Delivery>;
export const DeliveryList = z.strictObject({ deliveries: z.array(Delivery) });
export const DeliveriesQuery = z.strictObject({
  status: DeliveryStatus.optional(),
  limit: z.coerce.number().int().min(1).max(200).default(50),
});
export type DeliveriesQuery = z.infer<typeof DeliveriesQuery>;

/** One delivery, or all that are dead. */
export const RedeliverRequest = z.union([
  z.strictObject({ delivery: z.string().max(200) }),
  z.strictObject({ dead: z.literal(true) }),
]);
export type RedeliverRequest = z.infer<typeof RedeliverRequest>;
export const RedeliverResponse = z.strictObject({ redelivered: z.array(z.string()) });
export const RemovedWebhook = z.strictObject({ id: WebhookId, removed: z.literal(true) });
