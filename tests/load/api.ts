import { mkdtemp, rm } from 'node:fs/promises';
import { type IncomingMessage, get as httpGet, Agent, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay, performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { readConfig } from '../../src/shared/config.ts';
import { silentLogger } from '../../src/shared/logger.ts';
import { connectRedis } from '../../src/shared/redis.ts';
import { findRedis } from '../../src/shared/redis-server.ts';
import { PACKAGE_ROOT } from '../../src/shared/package-root.ts';
import { percentile, within } from './figures.ts';
import { startLoadServer } from './server-process.ts';

/**
 * npm run load:api -- [--seconds 30] [--rate 200] [--listeners 1000] [--workflow url-shortener]
 * A server in a process of its own, on a Redis of its own; executes at a fixed rate, whether or not the answers keep up,
 * while listeners follow a run each of the first hundred. Says what it measured, and ends with 1 when anything failed.
 */
const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '30' },
    rate: { type: 'string', default: '200' },
    listeners: { type: 'string', default: '1000' },
    workflow: { type: 'string', default: 'url-shortener' },
  },
});
const seconds = within(values.seconds, 120);
const rate = within(values.rate, 1_000);
const count = within(values.listeners, 5_000);

const ms = (value: number): string => `${value.toFixed(1)} ms`;
const mb = (bytes: number): string => `${(bytes / 1e6).toFixed(0)} MB`;

interface Answer {
  status: number;
  body: string;
  ms: number;
}

const agent = new Agent({ keepAlive: true, maxSockets: 256 });
const body = JSON.stringify({ inputs: { requirement: 'A team wants a service that shortens links.' } });

function execute(url: string): Promise<Answer> {
  const started = performance.now();
  return new Promise((resolve) => {
    const ended = (status: number, text: string): void =>
      resolve({ status, body: text, ms: performance.now() - started });
    request(`${url}/api/workflows/${values.workflow}/execute`, { method: 'POST', agent, timeout: 30_000 }, (res) => {
      let text = '';
      res.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      res.on('end', () => ended(res.statusCode ?? 0, text));
    })
      .on('error', (err) => ended(0, err.message))
      .on('timeout', () => ended(0, 'no answer within 30 s'))
      .end(body);
  });
}

interface Listening {
  events: number;
  broken: number;
}

function listen(url: string, tally: Listening): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    httpGet(url, { agent: false }, (res) => {
      res.setEncoding('utf8').on('data', (chunk: string) => (tally.events += chunk.split('\nevent: ').length - 1));
      res.on('error', () => (tally.broken += 1));
      resolve(res);
    }).on('error', reject);
  });
}

async function main(): Promise<number> {
  const home = await mkdtemp(join(tmpdir(), 'maestro-load-'));
  const { cache } = readConfig({ XDG_CACHE_HOME: process.env['XDG_CACHE_HOME'] }, home);
  const redisServer = await findRedis({
    config: { redisUrl: undefined, home, cache },
    logger: silentLogger(),
    start: 'if-needed',
  });
  const redis = await connectRedis(redisServer.url, 'producer');
  const server = await startLoadServer({ redisUrl: redisServer.url, blobs: join(home, 'blobs'), root: PACKAGE_ROOT });
  try {
    const connections = async (): Promise<number> =>
      String(await redis.client('LIST'))
        .trim()
        .split('\n').length;
    const before = { connections: await connections(), ...(await server.usage()) };
    const first = await execute(server.url);
    if (first.status !== 202) throw new Error(`a run cannot be started: ${first.status} ${first.body}`);

    const runs: string[] = [];
    const tally: Listening = { events: 0, broken: 0 };
    for (let at = 0; at < Math.min(100, count); at += 1)
      runs.push(/"runId":"(\w+)"/.exec((await execute(server.url)).body)?.[1] ?? '');
    const streams: IncomingMessage[] = [];
    for (let at = 0; at < count; at += 50) {
      const some = Array.from({ length: Math.min(50, count - at) }, (_, index) =>
        listen(`${server.url}/api/runs/${runs[(at + index) % runs.length]}/events`, tally),
      );
      streams.push(...(await Promise.all(some)));
    }
    // The fleet's own stream has listeners too; they hear of every run.
    for (let at = 0; at < 5; at += 1) streams.push(await listen(`${server.url}/api/events`, tally));

    const delay = monitorEventLoopDelay({ resolution: 10 });
    delay.enable();
    const asked: Promise<Answer>[] = [];
    const started = performance.now();
    while (performance.now() - started < seconds * 1_000) {
      const due = Math.floor(((performance.now() - started) / 1_000) * rate);
      while (asked.length < due) asked.push(execute(server.url));
      await sleep(2);
    }
    const answers = await Promise.all(asked);
    const took = (performance.now() - started) / 1_000;
    const after = { connections: await connections(), ...(await server.usage()) };
    const good = answers.filter(({ status }) => status === 202);
    const times = good.map((answer) => answer.ms).toSorted((a, b) => a - b);
    const failures = answers.filter(({ status }) => status !== 202);
    const statuses = new Map<number, number>();
    for (const { status } of failures) statuses.set(status, (statuses.get(status) ?? 0) + 1);
    const lines = [
      `execute      ${answers.length} asked at ${rate}/s over ${seconds} s, ${good.length} accepted (${(good.length / took).toFixed(0)}/s)`,
      `latency      p50 ${ms(percentile(times, 0.5))}, p95 ${ms(percentile(times, 0.95))}, p99 ${ms(percentile(times, 0.99))}, most ${ms(times.at(-1) ?? 0)}`,
      `errors       ${failures.length}${failures.length === 0 ? '' : ` (${[...statuses].map(([status, n]) => `${status}: ${n}`).join(', ')}; ${failures[0]?.body.slice(0, 200)})`}`,
      `listeners    ${streams.length}, ${tally.events} events, ${tally.broken + streams.filter(({ destroyed }) => destroyed).length} broken`,
      `redis        ${before.connections} connections before, ${after.connections} after`,
      `server       RSS ${mb(before.rss)} before, ${mb(after.rss)} after; CPU ${(after.cpuSeconds - before.cpuSeconds).toFixed(1)} s; event loop delay p99 ${ms(after.loopP99)}`,
      `this process event loop delay p99 ${ms(delay.percentile(99) / 1e6)} (what it measures cannot be finer)`,
    ];
    process.stdout.write(`${lines.join('\n')}\n`);
    for (const stream of streams) stream.destroy();
    return failures.length === 0 && tally.broken === 0 ? 0 : 1;
  } finally {
    await server.stop();
    redis.disconnect();
    await redisServer.stop();
    agent.destroy();
    await rm(home, { recursive: true, force: true });
  }
}

process.exitCode = await main();
