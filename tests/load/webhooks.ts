import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { type Server, type ServerResponse, createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { z } from 'zod';
import { DeliveryList, WebhookCreated, WebhookList } from '../../src/producer/webhooks/webhook.ts';
import { readConfig } from '../../src/shared/config.ts';
import { silentLogger } from '../../src/shared/logger.ts';
import { PACKAGE_ROOT } from '../../src/shared/package-root.ts';
import { connectRedis } from '../../src/shared/redis.ts';
import { findRedis } from '../../src/shared/redis-server.ts';
import { RunStore } from '../../src/shared/run-store.ts';
import { finishRun, planOf } from '../producer/seed-run.ts';
import { percentile, within } from './figures.ts';
import { startLoadServer } from './server-process.ts';

/**
 * npm run load:webhooks -- [--runs 300] [--healthy 6] [--rate 20] [--seconds 180]
 * Runs end at a fixed rate, and each tells healthy receivers, one that never answers, and one that always answers 500.
 * Twice: with the healthy ones alone, then with the two others beside them. Says what it measured, and ends with 1 when
 * anything was lost, or when the healthy ones waited for the others.
 */
const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '300' },
    healthy: { type: 'string', default: '6' },
    rate: { type: 'string', default: '20' },
    seconds: { type: 'string', default: '180' },
  },
});
const [runs, healthy] = [within(values.runs, 20_000), within(values.healthy, 50)];
const [rate, seconds] = [within(values.rate, 500), within(values.seconds, 3_600)];
const PREFIX = '{load}';
/** As the shipped ones in kind, and over within the time of a measurement: the last one some 16 s after the first. */
const RETRIES = { attempts: 4, backoffMs: 2_000 };
const TIMEOUT_MS = 5_000;

const Told = z.looseObject({ data: z.looseObject({ runId: z.string(), event: z.looseObject({ at: z.string() }) }) });

/** One receiver: what it was told, and how late. */
class Receiver {
  readonly latencies = new Map<string, number>();
  /** How many things came after a later one of the same receiver. */
  outOfOrder = 0;
  again = 0;
  requests = 0;
  #newest = '';
  readonly #server: Server;

  constructor(answer: (res: ServerResponse) => void) {
    this.#server = createServer((req, res) => {
      let text = '';
      this.requests += 1;
      req.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      req.on('end', () => {
        const { data } = Told.parse(JSON.parse(text));
        if (res.destroyed) return;
        this.#note(data.runId, data.event.at);
        answer(res);
      });
    });
  }

  #note(runId: string, at: string): void {
    if (this.latencies.has(runId)) this.again += 1;
    else {
      this.latencies.set(runId, Date.now() - Date.parse(at));
      if (at < this.#newest) this.outOfOrder += 1;
      else this.#newest = at;
    }
  }

  async open(): Promise<string> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    return `http://127.0.0.1:${z.object({ port: z.number() }).parse(this.#server.address()).port}/`;
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }
}

const mb = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;

function summary(receivers: readonly Receiver[]) {
  const sorted = receivers.flatMap(({ latencies }) => [...latencies.values()]).toSorted((a, b) => a - b);
  const of = (count: (one: Receiver) => number): number => receivers.reduce((sum, one) => sum + count(one), 0);
  return {
    told: sorted.length,
    p50: percentile(sorted, 0.5),
    p99: percentile(sorted, 0.99),
    most: sorted.at(-1) ?? 0,
    outOfOrder: of((one) => one.outOfOrder),
    again: of((one) => one.again),
  };
}
const line = ({ told, p50, p99, most, outOfOrder, again }: ReturnType<typeof summary>): string =>
  `${told} told; ${p50} ms p50, ${p99} ms p99, ${most} ms most; ${outOfOrder} after a later one, ${again} more than once`;

async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<boolean> {
  const end = performance.now() + seconds * 1_000;
  while (performance.now() < end) {
    if (await holds()) return true;
    await sleep(250);
  }
  process.stdout.write(`NOT WITHIN ${seconds} s: ${what}\n`);
  return false;
}

async function main(): Promise<number> {
  const home = await mkdtemp(join(tmpdir(), 'maestro-load-'));
  const { cache } = readConfig({ XDG_CACHE_HOME: process.env['XDG_CACHE_HOME'] }, home);
  const config = { redisUrl: undefined, home, cache };
  const redisServer = await findRedis({ config, logger: silentLogger(), start: 'if-needed' });
  const redis = await connectRedis(redisServer.url, 'producer');
  const webhooks = { allowPrivate: true, allowHosts: [], retries: RETRIES, timeoutMs: TIMEOUT_MS };
  const server = await startLoadServer({
    redisUrl: redisServer.url,
    blobs: join(home, 'blobs'),
    root: PACKAGE_ROOT,
    webhooks,
  });
  const store = new RunStore(redis, PREFIX);
  const open: Receiver[] = [];
  const ok: boolean[] = [];

  const call = async (path: string, body?: unknown): Promise<unknown> => {
    const init = body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) };
    return (await fetch(`${server.url}/api/webhooks${path}`, init)).json();
  };
  const add = async (answer: (res: ServerResponse) => void) => {
    const receiver = new Receiver(answer);
    open.push(receiver);
    const url = await receiver.open();
    const { id } = WebhookCreated.parse(await call('', { url, events: ['run.finished'] }));
    return { receiver, id };
  };
  const play = async (): Promise<void> => {
    const started = performance.now();
    for (let done = 0; done < runs; done += 1) {
      const due = started + (done / rate) * 1_000;
      if (due > performance.now()) await sleep(due - performance.now());
      const plan = planOf(['design'], { workflow: 'diamond', inputs: { requirement: randomUUID() } });
      await store.createRun(plan);
      await finishRun(store, plan.runId, ['design']);
    }
  };
  const redisBytes = async (): Promise<number> =>
    Number(/^used_memory:(\d+)/m.exec(await redis.info('memory'))?.[1] ?? 0);
  const standing = async () => ({ rss: (await server.usage()).rss, redis: await redisBytes() });
  const say = (text: string): boolean => process.stdout.write(`${text}\n`);

  try {
    const good = [];
    for (let count = 0; count < healthy; count += 1) good.push(await add((res) => res.writeHead(204).end()));
    const receivers = good.map(({ receiver }) => receiver);
    const told = (count: number) => () => receivers.every(({ latencies }) => latencies.size === count);
    const start = await standing();
    await play();
    ok.push(await until('the healthy ones are told', told(runs)));
    const alone = summary(receivers);
    say(`alone        ${healthy} receivers, ${runs} runs at ${rate}/s: ${line(alone)}`);
    const before = await standing();
    for (const receiver of receivers) {
      receiver.latencies.clear();
      receiver.again = 0;
      receiver.outOfOrder = 0;
    }

    let isMended = false;
    const hangs = await add((res) => (isMended ? res.writeHead(204).end() : undefined));
    const fails = await add((res) => res.writeHead(isMended ? 204 : 500).end());
    await play();
    ok.push(await until('the healthy ones are told beside the others', told(runs)));
    const beside = summary(receivers);
    say(`with others  beside one that hangs and one that answers 500: ${line(beside)}`);
    const backlog = await standing();

    const dead = async (id: string): Promise<number> =>
      DeliveryList.parse(await call(`/${id}/deliveries?status=dead&limit=200`)).deliveries.length;
    const most = Math.min(runs, 200);
    for (const [name, { id, receiver }] of Object.entries({ hangs, fails })) {
      ok.push(await until(`${name}: ${most} are dead`, async () => (await dead(id)) >= most));
      const disabled = WebhookList.parse(await call('')).webhooks.find((one) => one.id === id)?.disabled?.reason;
      say(
        `${name.padEnd(12)} ${receiver.requests} requests, ${receiver.latencies.size} runs tried; ${disabled ?? 'NOT DISABLED'}`,
      );
      ok.push(disabled !== undefined);
    }
    const after = await standing();
    say(
      `server RSS   ${mb(start.rss)} at first, ${mb(before.rss)} after the first, ${mb(backlog.rss)} with a backlog, ${mb(after.rss)} in the end`,
    );
    const perEvent = (before.redis - start.redis) / runs;
    say(
      `Redis        ${mb(start.redis)}, ${mb(before.redis)}, ${mb(backlog.redis)}, ${mb(after.redis)}: ${Math.round(perEvent)} bytes a run with all it tells the healthy ones`,
    );

    isMended = true;
    for (const [name, { id, receiver }] of Object.entries({ hangs, fails })) {
      receiver.latencies.clear();
      await call(`/${id}/enable`, {});
      await call(`/${id}/redeliver`, { dead: true });
      ok.push(await until(`${name}: all are sent again`, () => receiver.latencies.size === runs));
      say(`${name.padEnd(12)} mended, enabled, redelivered: ${receiver.latencies.size} of ${runs} runs`);
    }
    // Half a second is a delivery that was put off once; on a busy machine the first pass tells what is usual.
    const isHeldUp = beside.p99 > alone.p99 * 3 + 1_000;
    if (isHeldUp) say('THE HEALTHY ONES WAITED FOR THE OTHERS');
    return ok.every(Boolean) && !isHeldUp ? 0 : 1;
  } finally {
    for (const receiver of open) receiver.close();
    await server.stop();
    redis.disconnect();
    await redisServer.stop();
    await rm(home, { recursive: true, force: true });
  }
}

process.exitCode = await main();
