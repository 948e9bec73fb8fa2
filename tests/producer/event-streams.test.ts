import { once } from 'node:events';
import { type IncomingMessage, get as httpGet } from 'node:http';
import { connect } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { Problem } from '../../src/producer/api-schemas.ts';
import { readServerSentEvents } from '../../src/producer/server-sent-events.ts';
import { type RunningServer, type ServerOptions, startServer } from '../../src/producer/server.ts';
import { silentLogger } from '../../src/shared/logger.ts';
import type { RunId } from '../../src/shared/names.ts';
import { openBlobStore } from '../../src/shared/open-blob-store.ts';
import { RunStore } from '../../src/shared/run-store.ts';
import { movePhase, moveRun } from '../../src/shared/transitions.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { testRedis } from '../support/test-redis.ts';
import { apiFixture, bearer } from './api-support.ts';
import { fixtureRoot } from './fixture.ts';
import { finishRun, planOf } from './seed-run.ts';

const ownRedis = testRedis();
const redis = await ownRedis.connect();
const store = new RunStore(redis, ownRedis.prefix);
const packageRoot = await fixtureRoot();
const servers: RunningServer[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close();
});

async function serve(more: Partial<ServerOptions> = {}): Promise<RunningServer> {
  const server = await startServer({
    host: '127.0.0.1',
    port: 0,
    redisUrl: ownRedis.url,
    prefix: ownRedis.prefix,
    blobs: openBlobStore(await tempFolder()),
    packageRoot,
    provider: 'scripted',
    logger: silentLogger(),
    ...more,
  });
  servers.push(server);
  return server;
}

async function newRun(workflow = 'diamond'): Promise<RunId> {
  const plan = planOf(['design'], { workflow });
  await store.createRun(plan);
  return plan.runId;
}

/** Commands that Redis was asked since the last time, by name. */
async function commandCounts(): Promise<Map<string, number>> {
  const text = await redis.info('commandstats');
  return new Map(
    [...text.matchAll(/^cmdstat_([\w|]+):calls=(\d+)/gm)].map(([, name = '', calls]) => [name, Number(calls)]),
  );
}

async function metric(server: RunningServer, name: string): Promise<number> {
  const text = await (await fetch(`${server.url}/metrics`)).text();
  return Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(text)?.[1] ?? Number.NaN);
}

interface Listener {
  text: () => string;
  ended: Promise<unknown>;
}

/** A reader that takes what it is sent. */
async function listen(url: string, headers: Record<string, string> = {}): Promise<Listener> {
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    httpGet(url, { agent: false, headers }, resolve).on('error', reject);
  });
  let text = '';
  response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
  const ended = once(response, 'close');
  return { text: () => text, ended };
}
const ids = (text: string): string[] => [...text.matchAll(/^id: (.+)$/gm)].map(([, id = '']) => id);

describe('event streams', () => {
  it('replays after Last-Event-ID with sequence numbers, and ends with the run', async () => {
    const plan = planOf(['design']);
    await store.createRun(plan);
    await finishRun(store, plan.runId, ['design']);
    const { url } = await serve();
    const ask = (path: string, init: RequestInit = {}): Promise<Response> => fetch(`${url}${path}`, init);
    const whole = await ask(`/api/runs/${plan.runId}/events`);
    expect(whole.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
    const all = ids(await whole.text()).map(Number);
    expect(all).toEqual(all.map((_, index) => index + 1));
    const rest = await ask(`/api/runs/${plan.runId}/events`, { headers: { 'last-event-id': '2' } });
    expect(ids(await rest.text()).map(Number)).toEqual(all.slice(2));
    const nothing = await ask(`/api/runs/${plan.runId}/events`, { headers: { 'last-event-id': String(all.length) } });
    expect(nothing.status).toBe(204);
  });

  it('ends open event streams and closes, however often it is told to', async () => {
    const server = await serve();
    const plan = planOf(['design']);
    await store.createRun(plan);
    const stream = await fetch(`${server.url}/api/runs/${plan.runId}/events`);
    const events = readServerSentEvents(stream.body ?? new ReadableStream<Uint8Array>());
    expect((await events.next()).value).toMatchObject({ event: 'run.queued' });
    await Promise.all([server.close(), server.close()]);
    // A stream that is cut at the deadline would throw instead.
    expect((await events.next()).done).toBe(true);
    await expect(fetch(`${server.url}/healthz`)).rejects.toThrow(/fetch failed/);
  });

  it('serve 1,000 listeners of a run with no connection and hardly a read more than one listener takes', async () => {
    const server = await serve();
    const runId = await newRun();
    const path = `${server.url}/api/runs/${runId}/events`;
    const connections = async (): Promise<number> =>
      String(await redis.client('LIST'))
        .split('\n')
        .filter((line) => line.includes('id=')).length;
    const before = await connections();
    const listeners = await Promise.all(Array.from({ length: 1_000 }, () => listen(path)));
    await expect.poll(() => listeners.filter(({ text }) => ids(text()).length === 1).length).toBe(1_000);
    // Other tests come and go on the same Redis meanwhile.
    expect(await connections()).toBeLessThan(before + 100);
    expect(await metric(server, 'maestro_event_streams')).toBe(1_000);
    const reads = (await commandCounts()).get('xread') ?? 0;
    await finishRun(store, runId, ['design']);
    await Promise.all(listeners.map(({ ended }) => ended));
    const readsSince = ((await commandCounts()).get('xread') ?? 0) - reads;
    const whole = ids(listeners[0]?.text() ?? '');
    expect(whole).toEqual(whole.map((_, index) => String(index + 1)));
    expect(whole.length).toBeGreaterThan(4);
    expect(new Set(listeners.map(({ text }) => ids(text()).join()))).toEqual(new Set([whole.join()]));
    // Each of the events may be read once or twice, and not once for every listener: that would be 6,000 reads.
    expect(readsSince).toBeLessThan(500);
  });

  it('are not kept for readers who left while they were looked at', async () => {
    const server = await serve();
    const path = `/api/runs/${await newRun()}/events`;
    const { port } = new URL(server.url);
    const leave = async (): Promise<void> => {
      const socket = connect(Number(port), '127.0.0.1');
      await once(socket, 'connect');
      socket.end(`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n`);
      socket.destroySoon();
    };
    await Promise.all(Array.from({ length: 50 }, leave));
    const stays = await listen(`${server.url}${path}`);
    await expect.poll(() => ids(stays.text()).length).toBe(1);
    await expect.poll(() => metric(server, 'maestro_event_streams')).toBe(1);
    expect(stays.text()).toContain('run.queued');
  });

  it('let a reader that never reads hold up nobody, in little memory, and end it in the end', async () => {
    const server = await serve({ streams: { slowMs: 1_500 } });
    const runId = await newRun();
    const { port } = new URL(server.url);
    const stuck = connect(Number(port), '127.0.0.1');
    stuck.on('error', () => undefined);
    stuck.pause();
    stuck.write(`GET /api/runs/${runId}/events HTTP/1.1\r\nhost: localhost\r\n\r\n`);
    const reader = await listen(`${server.url}/api/runs/${runId}/events`);
    await expect.poll(() => metric(server, 'maestro_event_streams')).toBe(2);
    // More than any socket takes unread: 40 MB.
    const events = Array.from({ length: 100 }, () => ({
      type: 'run.status' as const,
      status: 'running' as const,
      reason: 'x'.repeat(40_000),
    }));
    let most = 0;
    for (let round = 0; round < 10; round += 1) {
      await store.append(runId, events);
      most = Math.max(most, await metric(server, 'maestro_event_stream_waiting_bytes'));
    }
    await moveRun(store, runId, 'failed', { reason: 'enough' });
    await reader.ended;
    expect(ids(reader.text())).toHaveLength(1_002);
    expect(most).toBeLessThan(500_000);
    await expect.poll(() => metric(server, 'maestro_event_streams_ended_slow_total')).toBe(1);
    expect(await metric(server, 'maestro_event_streams')).toBe(0);
    stuck.destroy();
  });

  it('are refused beyond the most that a server holds, with a word on what to do', async () => {
    const server = await serve({ streams: { most: 1 } });
    const path = `${server.url}/api/runs/${await newRun()}/events`;
    await listen(path);
    const refused = await fetch(path);
    expect(refused.status).toBe(503);
    expect(await refused.json()).toMatchObject({
      code: 'API_UNAVAILABLE',
      remedy: 'Try again later, or ask another server.',
    });
  });

  it('are counted for each token over all servers, and those of a killed server for a while', async () => {
    const {
      serve: open,
      tokenFor,
      prefix,
      redis: own,
      tokens,
    } = await apiFixture({ streams: { mostPerToken: 2, recheckMs: 200 } });
    const [one, other] = [await open(), await open()];
    const headers = bearer(await tokenFor('reader', ['read']));
    const asked = async (server: RunningServer, as = headers) => {
      const leave = new AbortController();
      const response = await fetch(`${server.url}/api/events`, { headers: as, signal: leave.signal });
      return { response, leave: () => leave.abort() };
    };
    const first = await asked(one);
    const second = await asked(other);
    expect([first.response.status, second.response.status]).toEqual([200, 200]);
    const { response: refused } = await asked(other);
    expect(refused.status).toBe(429);
    const { detail, remedy } = Problem.parse(await refused.json());
    expect([detail, remedy]).toEqual(['this token has its 2 event streams open', expect.stringMatching(/^Close some/)]);
    const another = await asked(other, bearer(await tokenFor('another', ['read'])));
    expect(another.response.status).toBe(200);
    first.leave();
    await expect.poll(async () => (await asked(one)).response.status).toBe(200);
    // Places are kept up while their streams are open, and lapse when nobody does so any more.
    const [id = ''] = (await tokens.list()).flatMap((token) => (token.name === 'reader' ? [token.id] : []));
    const key = `${prefix}:maestro:streams:${id}`;
    const [, until = '0'] = await own.zrange(key, '0', '0', 'WITHSCORES');
    await expect
      .poll(async () => Number((await own.zrange(key, '0', '0', 'WITHSCORES'))[1]))
      .toBeGreaterThan(Number(until));
    expect((await asked(one)).response.status).toBe(429);
    await other.close();
    await one.close();
    await own.zadd(key, 1, 'left by a killed server', 1, 'and another');
    expect((await asked(await open())).response.status).toBe(200);
    expect(await own.zcard(key)).toBe(1);
  });

  it('show a sign of life while nothing happens', async () => {
    const server = await serve({ streams: { heartbeatMs: 50 } });
    const reader = await listen(`${server.url}/api/runs/${await newRun()}/events`);
    await expect.poll(reader.text, { timeout: 20_000 }).toMatch(/(: still here\n\n){2}/);
  });

  it('replay a run that was taken up again to its last end', async () => {
    const server = await serve();
    const runId = await newRun();
    await moveRun(store, runId, 'failed', { reason: 'x' });
    const { generation } = await store.getRun(runId);
    await store.reopen(
      runId,
      { generation, seq: await store.lastSeq(runId) },
      {
        change: (run) => ({ ...run, status: 'queued', finishedAt: null }),
        phases: [],
        reason: '',
      },
    );
    await moveRun(store, runId, 'passed');
    const reader = await listen(`${server.url}/api/runs/${runId}/events`);
    await reader.ended;
    expect([...reader.text().matchAll(/^event: (.+)$/gm)].map(([, type]) => type)).toEqual([
      'run.queued',
      'run.finished',
      'run.resumed',
      'run.finished',
    ]);
  });
});

describe("the stream of the fleet's events", () => {
  async function* fleetEvents(server: RunningServer, query: string, headers: Record<string, string> = {}) {
    const response = await fetch(`${server.url}/api/events${query}`, { headers });
    yield* readServerSentEvents(response.body ?? new ReadableStream<Uint8Array>());
  }
  async function take(events: AsyncGenerator<{ id: string; event: string; data: string }>, count: number) {
    const taken = [];
    for await (const event of events) {
      taken.push(event);
      if (taken.length === count) break;
    }
    return taken;
  }

  it('tells what happens to every run, and goes on from any place, on any server', async () => {
    const [one, other] = [await serve(), await serve()];
    const live = await listen(`${one.url}/api/events`);
    const runs = [await newRun(), await newRun('other')];
    for (const runId of runs) await finishRun(store, runId, ['design']);
    await expect.poll(() => live.text().match(/^event: run.finished$/gm)?.length).toBe(2);
    const seen = ids(live.text());
    const types = [...live.text().matchAll(/^event: (.+)$/gm)].map(([, type]) => type);
    expect(types.slice(0, 8)).toEqual([
      'run.queued',
      'run.queued',
      'run.status',
      'phase.status',
      'gate.verdict',
      'phase.status',
      'run.finished',
      'run.status',
    ]);
    const third = seen[2] ?? '';
    const again = await take(fleetEvents(other, '', { 'last-event-id': third }), seen.length - 3);
    expect(again.map(({ id }) => id)).toEqual(seen.slice(3));
    expect(JSON.parse(again.at(-1)?.data ?? '')).toMatchObject({
      workflow: 'other',
      simulated: true,
      event: { type: 'run.finished', runId: runs[1], status: 'passed' },
    });
    const [only] = await take(fleetEvents(other, '?types=run.finished&workflow=other&lastEventId=0'), 1);
    expect(only).toMatchObject({ event: 'run.finished', id: seen.at(-1) });
  });

  it('says when what comes after a place is no longer kept', async () => {
    const server = await serve();
    const runId = await newRun();
    const events = fleetEvents(server, '?lastEventId=0');
    const [first] = await take(events, 1);
    await movePhase(store, runId, 'design', 'running');
    await redis.xtrim(`${ownRedis.prefix}:maestro:events`, 'MAXLEN', 1);
    const [told, next] = await take(fleetEvents(server, '', { 'last-event-id': first?.id ?? '' }), 2);
    expect(told?.event).toBe('log.trimmed');
    expect(told?.data).toContain(first?.id ?? 'none');
    expect(next).toMatchObject({ event: 'phase.status' });
  });

  it('refuses places and types that do not exist', async () => {
    const server = await serve();
    for (const query of ['?lastEventId=nowhere', '?types=run.exploded', '?types=', '?surprise=1'])
      expect((await fetch(`${server.url}/api/events${query}`)).status).toBe(400);
    const ofRun = `${server.url}/api/runs/${'0'.repeat(26)}/events`;
    for (const query of ['?lastEventId=nowhere', '?lastEventId=-1', '?foo=1'])
      expect((await fetch(`${ofRun}${query}`)).status).toBe(400);
    expect((await fetch(ofRun, { headers: { 'last-event-id': 'x' } })).status).toBe(400);
    expect((await fetch(ofRun)).status).toBe(404);
  });
});
