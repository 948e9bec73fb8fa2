import { afterEach } from 'vitest';
import { z } from 'zod';
import { type RunningServer, type ServerOptions, startServer } from '../../src/producer/server.ts';
import { DeliveryList, WebhookCreated, WebhookList } from '../../src/producer/webhooks/webhook.ts';
import { silentLogger } from '../../src/shared/logger.ts';
import { openBlobStore } from '../../src/shared/open-blob-store.ts';
import type { RunPlan } from '../../src/shared/run-record.ts';
import { RunStore } from '../../src/shared/run-store.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { testRedis } from '../support/test-redis.ts';
import { fixtureRoot } from './fixture.ts';
import { finishRun, planOf } from './seed-run.ts';

export const packageRoot = await fixtureRoot();
/** Those of the test that runs, the newest last. */
export const servers: RunningServer[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close();
});

export const QUICK = { allowPrivate: true, allowHosts: [], retries: { attempts: 3, backoffMs: 20 }, timeoutMs: 2_000 };

/** A fleet of its own, as nobody else's runs are to be told of. */
export async function fleet(webhooks: NonNullable<ServerOptions['webhooks']> = QUICK) {
  const own = testRedis();
  const { url: redisUrl, prefix } = own;
  const redis = await own.connect();
  const store = new RunStore(redis, prefix);
  const serve = async (more: Partial<ServerOptions> = {}): Promise<RunningServer> => {
    const server = await startServer({
      host: '127.0.0.1',
      port: 0,
      redisUrl,
      prefix,
      blobs: openBlobStore(await tempFolder()),
      packageRoot,
      provider: 'scripted',
      logger: silentLogger(),
      webhooks,
      ...more,
    });
    servers.push(server);
    return server;
  };
  const server = await serve();
  const call = async (path: string, body?: unknown, method = body === undefined ? 'GET' : 'POST') => {
    const response = await fetch(`${servers.at(-1)?.url ?? server.url}/api/webhooks${path}`, {
      method,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return { status: response.status, document: z.unknown().parse(await response.json()) };
  };
  const add = async (url: string, more: Record<string, unknown> = {}) =>
    WebhookCreated.parse((await call('', { url, events: ['run.finished'], ...more })).document);
  const run = async (workflow = 'diamond', more: Partial<RunPlan> = {}): Promise<string> => {
    const plan = planOf(['design'], { workflow, ...more });
    await store.createRun(plan);
    await finishRun(store, plan.runId, ['design']);
    return plan.runId;
  };
  const deliveries = async (id: string) => DeliveryList.parse((await call(`/${id}/deliveries`)).document).deliveries;
  const standing = async (id: string) => {
    const { webhooks: all } = WebhookList.parse((await call('')).document);
    return all.find((one) => one.id === id);
  };
  return { redis, redisUrl, prefix, store, serve, server, call, add, run, deliveries, standing };
}
