import { expect, test } from 'vitest';
import { DeliveryList, WebhookCreated, WebhookList } from '../../src/producer/webhooks/webhook.ts';
import { RunStore } from '../../src/shared/run-store.ts';
import { testRedis } from '../support/test-redis.ts';
import { webhookReceiver } from '../support/webhook-receiver.ts';
import { finishRun, planOf } from '../producer/seed-run.ts';
import { jsonOf, place, run, start } from './maestro.ts';

const redis = testRedis();

test('webhooks are added, told by `maestro serve`, looked at, sent again and removed from the command line', async () => {
  const at = await place(redis);
  const env = { ...at.env, MAESTRO_WEBHOOK_ALLOW_PRIVATE: '1', MAESTRO_WEBHOOK_KEY: 'k'.repeat(32) };
  const call = (...args: string[]) => run(['webhooks', ...args], env, at.home);
  const receiver = await webhookReceiver();
  const refused = await Promise.all([
    run(['webhooks', 'add', receiver.url, '--events', 'run.finished'], at.env, at.home),
    call('add', receiver.url, '--events', 'run.exploded'),
    call('add', 'not-a-url', '--events', 'run.finished'),
    call('redeliver', 'wh_nobody'),
  ]);
  const words = [/may not be called: it is not https/, /events/, /url/i, /name one delivery/];
  for (const [index, one] of refused.entries()) {
    expect([one.exit, one.stdout]).toEqual([2, '']);
    expect(one.stderr.trimEnd().split('\n').at(-1)).toMatch(words[index] ?? /never/);
  }
  const added = WebhookCreated.parse(jsonOf(await call('add', receiver.url, '--events', 'run.finished', '--json'), 0));
  const raw = await (await redis.connect()).hget(`${redis.prefix}:maestro:webhooks`, added.id);
  expect([added.sealed, raw?.includes(added.secret)]).toEqual([true, false]);
  const server = start(['serve', '--port', '0', '--provider', 'scripted'], env, at.home);
  await server.says(/serving http/);
  const store = new RunStore(await redis.connect(), redis.prefix);
  const plan = planOf(['design']);
  await store.createRun(plan);
  await finishRun(store, plan.runId, ['design']);
  await expect.poll(() => receiver.received.length).toBe(1);
  const { deliveries } = DeliveryList.parse(jsonOf(await call('deliveries', added.id, '--json'), 0));
  expect(deliveries).toMatchObject([{ event: 'run.finished', status: 'delivered', runId: plan.runId }]);
  expect((await call('redeliver', added.id, deliveries[0]?.id ?? '')).exit).toBe(0);
  await expect.poll(() => receiver.received.map(({ id }) => id)).toEqual([deliveries[0]?.id, deliveries[0]?.id]);
  expect((await call('remove', added.id)).exit).toBe(0);
  expect(WebhookList.parse(jsonOf(await call('list', '--json'), 0)).webhooks).toEqual([]);
  server.child.kill('SIGTERM');
  expect((await server.ended).exit).toBe(0);
});
