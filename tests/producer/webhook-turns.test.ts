import { Writable } from 'node:stream';
import { pino } from 'pino';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, it, onTestFinished } from 'vitest';
import { z } from 'zod';
import { postSigned } from '../../src/producer/webhooks/webhook-request.ts';
import { newSecret } from '../../src/producer/webhooks/webhook-secret.ts';
import { waitMs } from '../../src/producer/webhooks/webhook-sender.ts';
import { webhookReceiver } from '../support/webhook-receiver.ts';
import { QUICK, fleet, servers } from './webhook-fleet.ts';

describe('deliveries', () => {
  it('are sent again once when two ask for all that are dead at once', async () => {
    const { add, run, deliveries, call } = await fleet({ ...QUICK, retries: { attempts: 1, backoffMs: 1 } });
    let isBroken = true;
    const receiver = await webhookReceiver((_one, res) => res.writeHead(isBroken ? 503 : 200).end());
    const { id } = await add(receiver.url);
    for (let count = 0; count < 4; count += 1) await run();
    await expect.poll(async () => (await deliveries(id)).filter(({ status }) => status === 'dead').length).toBe(4);
    isBroken = false;
    const both = await Promise.all([1, 2, 3].map(() => call(`/${id}/redeliver`, { dead: true })));
    expect(both.map(({ status }) => status)).toEqual([202, 202, 202]);
    await expect.poll(async () => (await deliveries(id)).every(({ status }) => status === 'delivered')).toBe(true);
  });

  it('wait for a server that has the key, which counts against nobody', async () => {
    const key = 'k'.repeat(32);
    const { add, run, deliveries, standing, serve } = await fleet({ ...QUICK, key });
    const receiver = await webhookReceiver();
    const { id } = await add(receiver.url);
    for (const server of servers.splice(0)) await server.close();
    const lines: string[] = [];
    const sink = new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        lines.push(chunk.toString());
        done();
      },
    });
    await serve({ webhooks: QUICK, logger: pino({ level: 'error' }, sink) });
    for (let count = 0; count < 6; count += 1) await run();
    await expect.poll(() => lines.join('')).toMatch(/no key is set here.*webhook cannot be signed here/);
    for (const server of servers.splice(0)) await server.close();
    await serve();
    await expect
      .poll(async () => (await deliveries(id)).map(({ status }) => status))
      .toEqual(Array.from({ length: 6 }, () => 'delivered'));
    expect((await standing(id))?.disabled).toBe(null);
  }, 40_000);

  it('are given up after their time, also when memory is cleared up meanwhile', async () => {
    setFlagsFromString('--expose-gc');
    const clearUp = z.custom<() => void>((value) => typeof value === 'function').parse(runInNewContext('gc'));
    const { url, received } = await webhookReceiver(() => undefined);
    const closing = new AbortController();
    const sent = postSigned({
      url,
      secret: newSecret(),
      id: 'one',
      body: '{}',
      policy: QUICK,
      timeoutMs: 2_000,
      signal: closing.signal,
    }).catch((err: unknown) => String(err));
    await expect.poll(() => received.length).toBe(1);
    const look = setInterval(clearUp, 100);
    onTestFinished(() => clearInterval(look));
    expect(await sent).toMatch(/no answer within 2000 ms/);
  });

  it('are asked for a place the less often the longer they take', () => {
    expect([waitMs(3, 0), waitMs(3, 1)]).toEqual([100, 500]);
    expect([waitMs(10_000, 0), waitMs(10_000, 1), waitMs(60_000, 1)]).toEqual([2_000, 20_000, 20_000]);
  });
});
