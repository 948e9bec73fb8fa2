import { z } from 'zod';
import { type Route, json, route } from './route.ts';
import type { ServerContext } from './server-context.ts';
import { listDeliveries, redeliver } from './webhooks/webhook-deliveries.ts';
import { shown } from './webhooks/webhook-store.ts';
import {
  DeliveriesQuery,
  DeliveryList,
  NewWebhook,
  RedeliverRequest,
  RedeliverResponse,
  RemovedWebhook,
  Webhook,
  WebhookCreated,
  WebhookId,
  WebhookList,
} from './webhooks/webhook.ts';

const Params = z.object({ id: WebhookId });

/** Who is told of events. The addresses of webhooks may be secrets themselves, so even looking needs `admin`. */
export const webhookRoutes = (context: ServerContext): Route[] => [
  ...listingRoutes(context),
  ...changingRoutes(context),
  ...deliveryRoutes(context),
];

function listingRoutes({ webhooks, logger }: ServerContext): Route[] {
  return [
    route({
      method: 'get',
      path: '/api/webhooks',
      id: 'listWebhooks',
      summary: 'Who is told of events',
      scope: 'admin',
      answers: [json(200, 'All webhooks', 'WebhookList', WebhookList)],
      handle: async ({ res }) => {
        res.json({ webhooks: (await webhooks.list()).map(shown) });
      },
    }),
    route({
      method: 'post',
      path: '/api/webhooks',
      id: 'addWebhook',
      summary: 'Tell an address of events from now on; its secret is in this answer and in no other',
      scope: 'admin',
      body: { name: 'NewWebhook', schema: NewWebhook },
      answers: [json(201, 'The webhook, with its secret', 'WebhookCreated', WebhookCreated)],
      handle: async ({ body, principal, res }) => {
        const created = await webhooks.add(body, principal.name);
        logger.info({ webhookId: created.id, host: new URL(created.url).host, by: principal.name }, 'webhook added');
        res.status(201).location(`/api/webhooks/${created.id}`).json(created);
      },
    }),
    route({
      method: 'get',
      path: '/api/webhooks/{id}',
      id: 'getWebhook',
      summary: 'One webhook',
      scope: 'admin',
      params: Params,
      answers: [json(200, 'The webhook', 'Webhook', Webhook)],
      handle: async ({ params: { id }, res }) => {
        res.json(shown(await webhooks.get(id)));
      },
    }),
  ];
}

function changingRoutes({ webhooks, logger }: ServerContext): Route[] {
  return [
    route({
      method: 'delete',
      path: '/api/webhooks/{id}',
      id: 'removeWebhook',
      summary: 'Tell it nothing any more',
      scope: 'admin',
      params: Params,
      answers: [json(200, 'It is removed', 'RemovedWebhook', RemovedWebhook)],
      handle: async ({ params: { id }, principal, res }) => {
        await webhooks.remove(id);
        logger.info({ webhookId: id, by: principal.name }, 'webhook removed');
        res.json({ id, removed: true });
      },
    }),
    route({
      method: 'post',
      path: '/api/webhooks/{id}/enable',
      id: 'enableWebhook',
      summary: 'Send again to a webhook that was disabled',
      scope: 'admin',
      params: Params,
      answers: [json(200, 'The webhook', 'Webhook', Webhook)],
      handle: async ({ params: { id }, principal, res }) => {
        await webhooks.get(id);
        const webhook = await webhooks.enable(id);
        logger.info({ webhookId: id, by: principal.name }, 'webhook enabled');
        res.json(webhook);
      },
    }),
  ];
}

function deliveryRoutes({ webhooks, redis, prefix, logger }: ServerContext): Route[] {
  const target = { redis, prefix };
  return [
    route({
      method: 'get',
      path: '/api/webhooks/{id}/deliveries',
      id: 'listDeliveries',
      summary: 'What was sent to a webhook, and how that went, newest first',
      scope: 'admin',
      params: Params,
      query: DeliveriesQuery,
      answers: [json(200, 'The deliveries', 'DeliveryList', DeliveryList)],
      handle: async ({ params: { id }, query, res }) => {
        await webhooks.get(id);
        res.json({ deliveries: await listDeliveries(target, id, query) });
      },
    }),
    route({
      method: 'post',
      path: '/api/webhooks/{id}/redeliver',
      id: 'redeliver',
      summary: 'Send a delivery again, or all that are dead, under the ids they had',
      scope: 'admin',
      params: Params,
      body: { name: 'RedeliverRequest', schema: RedeliverRequest },
      answers: [json(202, 'What is sent again', 'RedeliverResponse', RedeliverResponse)],
      handle: async ({ params: { id }, body, principal, res }) => {
        await webhooks.get(id);
        const redelivered = await redeliver(target, id, body);
        logger.info({ webhookId: id, count: redelivered.length, by: principal.name }, 'redelivery asked for');
        res.status(202).json({ redelivered });
      },
    }),
  ];
}
