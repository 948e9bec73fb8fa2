import { Webhook as Verifier } from 'standardwebhooks';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { checkedAddress } from '../../src/producer/webhooks/webhook-address.ts';
import { postSigned } from '../../src/producer/webhooks/webhook-request.ts';
import { openSecret, sealSecret } from '../../src/producer/webhooks/webhook-secret.ts';
import { DeliveryList, WebhookList } from '../../src/producer/webhooks/webhook.ts';
import { QUEUES } from '../../src/shared/names.ts';
import { isPublicAddress } from '../../src/shared/network/addresses.ts';
import { childModule } from '../support/child-module.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { webhookReceiver } from '../support/webhook-receiver.ts';
import { REPLAY } from './seed-run.ts';
import { QUICK, fleet, packageRoot, servers } from './webhook-fleet.ts';

const Body = z.object({
  type: z.string(),
  timestamp: z.string(),
  data: z.object({
    runId: z.string(),
    workflow: z.string(),
    simulated: z.boolean(),
    replayed: z.boolean().optional(),
    event: z.looseObject({ type: z.string(), seq: z.number() }),
    links: z.looseObject({ self: z.string() }),
  }),
});

describe('webhooks', () => {
  it('are told what they asked for, signed, with an id of its own for each event', async () => {
    const { add, run, deliveries, standing } = await fleet();
    const receiver = await webhookReceiver();
    const { id, secret } = await add(receiver.url, { events: ['run.finished', 'gate.verdict'], workflow: 'other' });
    await run();
    const runId = await run('other');
    await expect.poll(() => receiver.received.length).toBe(2);
    const bodies = receiver.received.map(({ body, headers }) => {
      const named = z.record(z.string(), z.string()).parse(headers);
      expect(() => new Verifier(secret).verify(`${body} `, named)).toThrow(/signature/i);
      return Body.parse(new Verifier(secret).verify(body, named));
    });
    expect(bodies.map(({ type }) => type).toSorted()).toEqual(['gate.verdict', 'run.finished']);
    expect(bodies.map(({ data }) => [data.runId, data.workflow, data.simulated])).toEqual([
      [runId, 'other', true],
      [runId, 'other', true],
    ]);
    expect(new Set(receiver.received.map((one) => one.id)).size).toBe(2);
    await expect
      .poll(async () => (await deliveries(id)).map(({ status }) => status))
      .toEqual(['delivered', 'delivered']);
    expect(JSON.stringify(await standing(id))).not.toContain(secret);
  });

  it('are told once by several servers, and of everything', async () => {
    const { add, run, serve } = await fleet();
    await serve();
    await serve();
    const receiver = await webhookReceiver();
    await add(receiver.url, { events: ['run.finished', 'run.queued'] });
    const runs = await Promise.all(Array.from({ length: 20 }, () => run()));
    await expect.poll(() => new Set(receiver.received.map(({ id }) => id)).size).toBe(40);
    const told = receiver.received.map(({ body }) => Body.parse(JSON.parse(body)).data.runId);
    expect(told).toHaveLength(40);
    expect(new Set(told)).toEqual(new Set(runs));
  });

  it('are tried again under the same id until they take it', async () => {
    const { add, run, deliveries } = await fleet();
    const receiver = await webhookReceiver((_one, res, count) => res.writeHead(count < 3 ? 500 : 200).end());
    const { id } = await add(receiver.url);
    await run();
    await expect.poll(async () => (await deliveries(id))[0]?.status).toBe('delivered');
    const [delivery] = await deliveries(id);
    expect(delivery?.attempts.map(({ status, error }) => [status, error])).toEqual([
      [500, 'it answered 500'],
      [500, 'it answered 500'],
      [200, null],
    ]);
    expect(receiver.received.map((one) => one.id)).toEqual([delivery?.id, delivery?.id, delivery?.id]);
  });

  it('keep what could not be sent, say that they are disabled and why, and send it again when asked', async () => {
    const { add, run, deliveries, standing, call } = await fleet();
    let isBroken = true;
    const receiver = await webhookReceiver((_one, res) => res.writeHead(isBroken ? 503 : 200).end());
    const { id } = await add(receiver.url);
    for (let count = 0; count < 5; count += 1) await run();
    const dead = async () => (await deliveries(id)).filter(({ status }) => status === 'dead').length;
    await expect.poll(dead).toBe(5);
    expect(receiver.received).toHaveLength(15);
    await expect.poll(async () => (await standing(id))?.disabled?.reason).toMatch(/in a row .*it answered 503/);
    await run();
    await expect.poll(dead).toBe(6);
    const [last] = await deliveries(id);
    expect(last?.attempts).toEqual([]);
    expect(last?.reason).toMatch(/is disabled since/);
    expect(receiver.received).toHaveLength(15);
    isBroken = false;
    expect(await call(`/${id}/enable`, {})).toMatchObject({ status: 200, document: { disabled: null } });
    const one = (await deliveries(id))[0]?.id;
    expect(await call(`/${id}/redeliver`, { delivery: one })).toMatchObject({ status: 202 });
    await expect.poll(dead).toBe(5);
    expect((await call(`/${id}/redeliver`, { dead: true })).document).toMatchObject({ redelivered: { length: 5 } });
    await expect.poll(async () => (await deliveries(id)).every(({ status }) => status === 'delivered')).toBe(true);
    expect((await call(`/${id}/redeliver`, { delivery: 'wh_nobody.x.1' })).status).toBe(404);
    expect((await call(`/${id}/redeliver`, {})).status).toBe(400);
  });

  it('are disabled at once by 410, and forgotten when they are removed', async () => {
    const { add, run, standing, call } = await fleet();
    const receiver = await webhookReceiver((_one, res) => res.writeHead(410).end());
    const { id } = await add(receiver.url);
    await run();
    await expect.poll(async () => (await standing(id))?.disabled?.reason).toBe('it answered 410 Gone');
    expect(receiver.received).toHaveLength(1);
    expect(await call(`/${id}`, undefined, 'DELETE')).toMatchObject({ status: 200, document: { removed: true } });
    expect((await call(`/${id}/deliveries`)).status).toBe(404);
    expect((await call(`/${id}`, undefined, 'DELETE')).status).toBe(404);
  });

  it('do not hold up each other, nor take much of an answer, nor follow where it points', async () => {
    const { add, run, deliveries } = await fleet({ ...QUICK, retries: { attempts: 1, backoffMs: 1 }, timeoutMs: 700 });
    const elsewhere = await webhookReceiver();
    const silent = await webhookReceiver(() => undefined);
    const pointing = await webhookReceiver((_one, res) => res.writeHead(307, { location: elsewhere.url }).end());
    const endless = await webhookReceiver((_one, res) => {
      res.writeHead(200);
      const more = (): void => {
        while (!res.destroyed && res.write('x'.repeat(16_384)));
      };
      res.on('drain', more);
      more();
    });
    const good = await webhookReceiver();
    const ids: string[] = [];
    for (const { url } of [silent, pointing, endless, good]) ids.push((await add(url)).id);
    for (let count = 0; count < 12; count += 1) await run();
    await expect.poll(() => good.received.length).toBe(12);
    const first = async (at: number) => (await deliveries(ids[at] ?? '')).at(-1);
    await expect.poll(async () => (await first(0))?.reason).toMatch(/no answer within 700 ms/);
    await expect.poll(async () => (await first(1))?.reason).toMatch(/it answered 307, and redirects are not followed/);
    await expect.poll(async () => (await first(2))?.status).toBe('delivered');
    expect(elsewhere.received).toEqual([]);
  });

  it('lose nothing and are told nothing twice when a server is killed between an event and its delivery', async () => {
    const { add, run, prefix, redisUrl, server, serve } = await fleet();
    const held: (() => void)[] = [];
    const receiver = await webhookReceiver((_one, res, count) => {
      // What is sent first is never answered: its sender is killed while it waits.
      if (count > 1 || held.length >= 5) res.writeHead(204).end();
      else held.push(() => res.destroy());
    });
    const { id } = await add(receiver.url);
    await server.close();
    servers.splice(servers.indexOf(server), 1);
    const { pid } = await childModule(`
      import { startServer } from '../../src/producer/server.ts';
      import { openBlobStore } from '../../src/shared/open-blob-store.ts';
      import { silentLogger } from '../../src/shared/logger.ts';
      startServer({
        host: '127.0.0.1', port: 0, redisUrl: ${JSON.stringify(redisUrl)}, prefix: ${JSON.stringify(prefix)},
        blobs: openBlobStore(${JSON.stringify(await tempFolder())}), packageRoot: ${JSON.stringify(packageRoot)},
        provider: 'scripted', logger: silentLogger(), webhooks: ${JSON.stringify(QUICK)},
      }).then((server) => console.log(server.url));
    `);
    const runs = await Promise.all(Array.from({ length: 8 }, () => run()));
    await expect.poll(() => held.length).toBe(5);
    process.kill(pid, 'SIGKILL');
    for (const end of held) end();
    // Nobody is up now.
    runs.push(await run(), await run());
    const next = await serve();
    const told = () => new Set(receiver.received.map(({ body }) => Body.parse(JSON.parse(body)).data.runId));
    await expect.poll(() => told().size).toBe(10);
    expect(told()).toEqual(new Set(runs));
    const all = async () =>
      DeliveryList.parse(await (await fetch(`${next.url}/api/webhooks/${id}/deliveries`)).json()).deliveries.map(
        ({ status }) => status,
      );
    await expect.poll(all).toEqual(Array.from({ length: 10 }, () => 'delivered'));
    // The five that were under way were sent again, under the ids they had, and none of the others.
    expect(receiver.received).toHaveLength(15);
  });

  it('say what they missed when the log was cut before anybody sent, and send what is left', async () => {
    const { add, run, redis, prefix, server, serve } = await fleet();
    const receiver = await webhookReceiver();
    const { id } = await add(receiver.url);
    await run();
    await expect.poll(() => receiver.received.length).toBe(1);
    await server.close();
    servers.splice(servers.indexOf(server), 1);
    await run();
    const last = await run();
    await redis.xtrim(`${prefix}:maestro:events`, 'MAXLEN', 2);
    const [oldest] = await redis.xrange(`${prefix}:maestro:events`, '-', '+', 'COUNT', 1);
    const next = await serve();
    const missed = async () =>
      WebhookList.parse(await (await fetch(`${next.url}/api/webhooks`)).json()).webhooks.find((one) => one.id === id)
        ?.missed?.before;
    await expect.poll(missed).toBe(oldest?.[0]);
    await expect.poll(() => receiver.received.length).toBe(2);
    expect(Body.parse(JSON.parse(receiver.received[1]?.body ?? '')).data.runId).toBe(last);
  });

  it('wait as long as their receiver asks, and not longer than an hour', async () => {
    const { add, run, deliveries } = await fleet();
    const asks = ['1', '999999', 'nonsense', new Date(Date.now() + 600_000).toUTCString()];
    const times = asks.map((): number[] => []);
    const ids: string[] = [];
    for (const [index, after] of asks.entries()) {
      const receiver = await webhookReceiver((_one, res, count) => {
        times[index]?.push(Date.now());
        res.writeHead(count === 1 ? 429 : 204, { 'retry-after': after }).end();
      });
      ids.push((await add(receiver.url)).id);
    }
    await run();
    await expect.poll(() => times.map(({ length }) => length)).toEqual([2, 1, 2, 1]);
    const [quick, , plain] = times.map(([first = 0, second = 0]) => second - first);
    expect(quick).toBeGreaterThanOrEqual(950);
    expect(plain).toBeLessThan(950);
    const minutes = async (index: number): Promise<number> => {
      const [delivery] = await deliveries(ids[index] ?? '');
      return Math.round((Date.parse(delivery?.next ?? '') - Date.now()) / 60_000);
    };
    expect([await minutes(1), await minutes(3)]).toEqual([60, 10]);
  });

  it('stand in Bull Board by name, and each leads to its run', async () => {
    const { add, run, server } = await fleet();
    const receiver = await webhookReceiver();
    await add(receiver.url);
    const runId = await run();
    await expect.poll(() => receiver.received.length).toBe(1);
    const board = JSON.stringify(
      await (await fetch(`${server.url}/queues/api/queues?activeQueue=${QUEUES.webhooks}&status=completed`)).json(),
    );
    expect(board).toContain(`run.finished -> ${new URL(receiver.url).host} [simulated]`);
    expect(board).toContain(`/#/runs/${runId}`);
  });

  it('say of a run that a recording answered that it is replayed', async () => {
    const { add, run, server } = await fleet();
    const receiver = await webhookReceiver();
    await add(receiver.url);
    await run('diamond', REPLAY);
    await expect.poll(() => receiver.received.length).toBe(1);
    const { data } = Body.parse(JSON.parse(receiver.received[0]?.body ?? ''));
    expect(data).toMatchObject({ simulated: false, replayed: true });
    const jobs = await fetch(`${server.url}/queues/api/queues?activeQueue=${QUEUES.webhooks}`);
    expect(await jobs.text()).toContain(`run.finished -> ${new URL(receiver.url).host} [replayed]`);
  });
});

describe('the addresses that webhooks may have', () => {
  const strict = { allowPrivate: false, allowHosts: [] };

  it.each([
    ['http://93.184.215.14/', 'not https'],
    ['https://127.0.0.1/', 'private'],
    ['https://127.1/', 'private'],
    ['https://2130706433/', 'private'],
    ['https://0x7f.0.0.1/', 'private'],
    ['https://localhost/', 'private'],
    ['https://10.1.2.3/', 'private'],
    ['https://172.31.0.1/', 'private'],
    ['https://192.168.1.1/', 'private'],
    ['https://169.254.169.254/latest/meta-data', 'private'],
    ['https://100.64.0.1/', 'private'],
    ['https://0.0.0.0/', 'private'],
    ['https://[::1]/', 'private'],
    ['https://[::]/', 'private'],
    ['https://[::ffff:127.0.0.1]/', 'private'],
    ['https://[64:ff9b::7f00:1]/', 'private'],
    ['https://[2002:7f00:1::]/', 'private'],
    ['https://[fd00::1]/', 'private'],
    ['https://[fe80::1]/', 'private'],
    ['https://user:word@93.184.215.14/', 'holds a name or password'],
  ])('are not %s', async (url, why) => {
    await expect(checkedAddress(new URL(url), strict)).rejects.toThrow(why);
  });

  it('are public ones, and those that are allowed by name', async () => {
    expect(await checkedAddress(new URL('https://93.184.215.14/'), strict)).toMatchObject({ family: 4 });
    expect(isPublicAddress('2606:4700::1111')).toBe(true);
    expect(isPublicAddress('not an address')).toBe(false);
    const named = { allowPrivate: false, allowHosts: ['127.0.0.1:9000', 'localhost'] };
    expect(await checkedAddress(new URL('http://127.0.0.1:9000/'), named)).toMatchObject({ address: '127.0.0.1' });
    await expect(checkedAddress(new URL('http://127.0.0.1:9001/'), named)).rejects.toThrow(/not https/);
    expect((await checkedAddress(new URL('http://localhost/'), named)).family).toBeGreaterThan(0);
  });

  it('are not names of which any address is private', async () => {
    const resolve = () => Promise.resolve([{ address: '93.184.215.14' }, { address: '10.0.0.1' }]);
    await expect(checkedAddress(new URL('https://mixed.example/'), strict, resolve)).rejects.toThrow(
      'mixed.example has the private address 10.0.0.1',
    );
  });

  it('are asked for once, and what was checked is what is called', async () => {
    const receiver = await webhookReceiver();
    const { port } = new URL(receiver.url);
    const asked: string[] = [];
    const resolve = (host: string) => {
      asked.push(host);
      // The second answer would be another one.
      return Promise.resolve([{ address: asked.length === 1 ? '127.0.0.1' : '192.0.2.1' }]);
    };
    const { status } = await postSigned({
      url: `http://rebinding.example:${port}/`,
      secret: 'whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQ=',
      id: 'x',
      body: '{}',
      policy: { allowPrivate: true, allowHosts: [] },
      timeoutMs: 2_000,
      signal: new AbortController().signal,
      resolve,
    });
    expect([status, asked]).toEqual([204, ['rebinding.example']]);
    expect(receiver.received[0]?.headers.host).toBe(`rebinding.example:${port}`);
  });

  it('are checked when a webhook is added and again when it is called', async () => {
    const { call, redis, prefix, run, deliveries } = await fleet({ ...QUICK, allowPrivate: false });
    const refused = await call('', { url: 'http://127.0.0.1:1/', events: ['run.finished'] });
    expect(refused).toMatchObject({ status: 400, document: { code: 'BAD_INPUT' } });
    const receiver = await webhookReceiver();
    const webhook = {
      id: 'wh_01M84FY4S1VC88BJ5H9YZEP0XW',
      url: receiver.url,
      events: ['run.finished'],
      workflow: null,
      createdAt: new Date().toISOString(),
      createdBy: 'a test',
      disabled: null,
      missed: null,
      sealed: false,
      secret: 'plain.whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQ=',
      since: '0-0',
    };
    await redis.hset(`${prefix}:maestro:webhooks`, webhook.id, JSON.stringify(webhook));
    await run();
    await expect.poll(async () => (await deliveries(webhook.id))[0]?.reason).toMatch(/may not be called/);
    expect(receiver.received).toEqual([]);
  });
});

describe('the secrets of webhooks', () => {
  const [id, secret, key] = ['wh_1', 'whsec_c2VjcmV0', 'a-key-of-at-least-32-characters-xx'];

  it('are stored encrypted with a key, and opened by no other and for no other webhook', () => {
    const sealed = sealSecret(secret, id, key);
    expect(sealed).not.toContain(secret.slice(6));
    expect(openSecret(sealed, id, key)).toBe(secret);
    expect(() => openSecret(sealed, id, `${key}x`)).toThrow(/another key/);
    expect(() => openSecret(sealed, 'wh_2', key)).toThrow(/another key/);
    expect(() => openSecret(sealed, id, undefined)).toThrow(/no key is set here/);
  });
});
