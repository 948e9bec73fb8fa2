import { createServer } from 'node:http';
import { mkdtemp, rm } from 'node:fs/promises';
import { type AddressInfo, connect as dial, createServer as createTcpServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MaestroClient } from '../../src/producer/client.ts';
import { readServerSentEvents } from '../../src/producer/server-sent-events.ts';
import { type RunningServer, startServer } from '../../src/producer/server.ts';
import { silentLogger } from '../../src/shared/logger.ts';
import { openBlobStore } from '../../src/shared/open-blob-store.ts';
import { RunStore } from '../../src/shared/run-store.ts';
import { movePhase, moveRun } from '../../src/shared/transitions.ts';
import { testRedis } from '../support/test-redis.ts';
import { fixtureRoot } from './fixture.ts';
import { collect, finishRun, planOf } from './seed-run.ts';

const ownRedis = testRedis();
const { url: redisUrl, prefix } = ownRedis;
const store = new RunStore(await ownRedis.connect(), prefix);
const blobFolder = await mkdtemp(join(tmpdir(), 'maestro-blobs-'));
const token = 'a-token-of-sixteen-or-more';
const inputs = { requirement: 'shorten my urls please' };
let server: RunningServer;
let client: MaestroClient;

beforeAll(async () => {
  server = await startServer({
    host: '127.0.0.1',
    port: 0,
    redisUrl,
    prefix,
    blobs: openBlobStore(blobFolder),
    packageRoot: await fixtureRoot(),
    provider: 'scripted',
    token,
    logger: silentLogger(),
  });
  client = new MaestroClient({ baseUrl: `${server.url}/`, token });
});
afterAll(async () => {
  await server.close();
  await rm(blobFolder, { recursive: true, force: true });
});

async function newRun(phases: readonly string[] = ['design']) {
  const plan = planOf(phases);
  await store.createRun(plan);
  return plan.runId;
}

describe('the client', () => {
  it('starts a run, reads it in every way, and cancels it', async () => {
    const { runId, status } = await client.execute('diamond', { inputs }, { idempotencyKey: 'once' });
    expect(status).toBe('queued');
    expect((await client.execute('diamond', { inputs }, { idempotencyKey: 'once' })).runId).toBe(runId);
    expect((await client.get(runId)).plan).toHaveLength(5);
    expect((await client.gates(runId)).phases[0]).toMatchObject({ phase: 'requirements', rounds: [] });
    expect((await client.artifacts(runId)).phases).toHaveLength(5);
    expect((await client.report(runId)).gates.passed).toBe(0);
    expect((await client.evidence(runId)).rounds).toEqual([]);
    expect((await client.runs({ limit: 1, status: ['queued'] })).runs).toHaveLength(1);
    expect((await client.workflows()).workflows.map(({ name }) => name)).toEqual(['diamond']);
    expect(await client.cancel(runId, 'enough')).toMatchObject({ cancelled: true, status: 'cancelled' });
    expect(await client.wait(runId)).toMatchObject({ status: 'cancelled', reason: 'enough' });
  });

  it('waits for a run that is under way', async () => {
    const runId = await newRun();
    const waiting = client.wait(runId);
    await finishRun(store, runId, ['design']);
    expect(await waiting).toMatchObject({ status: 'passed', simulated: true });
  });

  it('approves in the name of a person', async () => {
    const runId = await newRun();
    await movePhase(store, runId, 'design', 'running');
    await movePhase(store, runId, 'design', 'awaiting_approval');
    const approval = await client.approve(runId, 'design', { role: 'stakeholder', by: 'Ada', decision: 'rejected' });
    expect(approval).toMatchObject({ decision: 'rejected', by: 'Ada (token bootstrap)', simulated: false });
  });

  it('refuses a decision on work that nobody has seen: of a phase not waiting for it, or of another round', async () => {
    const runId = await newRun();
    const decide = (round?: number) =>
      client.approve(runId, 'design', { role: 'tech_lead', by: 'Ada', ...(round === undefined ? {} : { round }) });
    await expect(decide()).rejects.toThrow('phase "design" is waiting and waits for nobody yet');
    await movePhase(store, runId, 'design', 'running');
    await expect(decide(0)).rejects.toMatchObject({ code: 'CONFLICT' });
    await expect(decide(0)).rejects.toThrow('phase "design" is running and waits for nobody yet');
    await movePhase(store, runId, 'design', 'running');
    await movePhase(store, runId, 'design', 'awaiting_approval', { change: (record) => ({ ...record, round: 1 }) });
    await expect(decide(0)).rejects.toThrow('waits for a decision on round 1, not on round 0');
    expect(await store.getApprovals(runId)).toEqual([]);
    expect(await decide(1)).toMatchObject({ round: 1, decision: 'approved' });
  });

  it('throws the refusals of the server with their codes', async () => {
    const long = { inputs: { requirement: 'x'.repeat(2_000_000) } };
    await expect(client.execute('diamond', long)).rejects.toMatchObject({ code: 'TOO_LARGE' });
    const { runId } = planOf(['design']);
    await expect(client.get(runId)).rejects.toMatchObject({ code: 'NOT_FOUND', retry: false });
    await expect(client.execute('diamond')).rejects.toMatchObject({ code: 'BAD_INPUT' });
    await expect(client.execute('diamond')).rejects.toThrow(/"requirement" is missing/);
    await expect(collect(client.events(runId))).rejects.toMatchObject({ code: 'NOT_FOUND' });
    const stranger = new MaestroClient({ baseUrl: server.url, token: 'not-the-right-token' });
    await expect(stranger.workflows()).rejects.toThrow(/this token is not known/);
  });

  it('says that the server does not answer, and does not wait for one that hangs', async () => {
    const nobody = new MaestroClient({ baseUrl: 'http://127.0.0.1:1' });
    await expect(nobody.workflows()).rejects.toMatchObject({ code: 'API_UNAVAILABLE', retry: true });
    const silent = createServer(() => undefined);
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const slow = new MaestroClient({ baseUrl: `http://127.0.0.1:${portOf(silent.address())}`, timeoutMs: 100 });
    await expect(slow.workflows()).rejects.toMatchObject({ code: 'API_UNAVAILABLE' });
    silent.closeAllConnections();
    silent.close();
  });

  it('takes events of a newer server without what it does not know, and leaves out kinds that it does not know', async () => {
    const event = { seq: 1, at: new Date().toISOString(), runId: planOf(['design']).runId, type: 'run.status' };
    const told = { cursor: '1-1', workflow: 'w', simulated: true, event: { ...event, status: 'running', reason: '' } };
    const newer = { ...told, region: 'eu', event: { ...told.event, mood: 'good' } };
    const frames = [newer, { ...told, event: { ...event, type: 'run.painted' } }, told];
    const future = createServer((_req, res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' });
      for (const frame of frames) res.write(`id: 1-1\ndata: ${JSON.stringify(frame)}\n\n`);
    });
    await new Promise<void>((resolve) => future.listen(0, '127.0.0.1', resolve));
    const events = new MaestroClient({ baseUrl: `http://127.0.0.1:${portOf(future.address())}` }).fleetEvents();
    expect([(await events.next()).value, (await events.next()).value]).toEqual([told, told]);
    await events.return(undefined);
    future.closeAllConnections();
    future.close();
  });

  it('takes a cut stream up again without losing or repeating an event', async () => {
    const runId = await newRun(['design', 'backend']);
    const target = Number(new URL(server.url).port);
    const cut: (() => void)[] = [];
    const proxy = createTcpServer((socket) => {
      const upstream = dial(target, '127.0.0.1');
      for (const side of [socket, upstream]) side.on('error', () => undefined);
      socket.pipe(upstream).pipe(socket);
      cut.push(() => {
        socket.destroy();
        upstream.destroy();
      });
    });
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
    const shaky = new MaestroClient({ baseUrl: `http://127.0.0.1:${portOf(proxy.address())}`, token });
    const seqs: number[] = [];
    const reading = (async () => {
      for await (const event of shaky.events(runId)) seqs.push(event.seq);
    })();
    await expect.poll(() => seqs.length).toBe(1);
    for (const end of cut.splice(0)) end();
    await moveRun(store, runId, 'running');
    await movePhase(store, runId, 'design', 'running');
    await expect.poll(() => seqs.length).toBe(3);
    for (const end of cut.splice(0)) end();
    await moveRun(store, runId, 'failed', { reason: 'x' });
    await reading;
    expect(seqs).toEqual([1, 2, 3, 4]);
    proxy.close();
  });

  it('stops reading when it is told to', async () => {
    const runId = await newRun();
    const stop = new AbortController();
    const events = client.events(runId, { signal: stop.signal });
    await events.next();
    stop.abort();
    expect((await events.next()).done).toBe(true);
  });
});

describe('reading server-sent events', () => {
  async function* chunks(...parts: string[]): AsyncGenerator<Uint8Array> {
    for (const part of parts) yield Buffer.from(part);
  }
  it('joins chunks, skips comments, and drops an event that is cut off', async () => {
    const events = [];
    const body = chunks(': hi\n\nid: 1\nev', 'ent: a\ndata: {"x"', ':1}\n\ndata: l1\r\ndata: l2\r\n\r\n', 'data: cut');
    for await (const event of readServerSentEvents(body)) events.push(event);
    expect(events).toEqual([
      { id: '1', event: 'a', data: '{"x":1}' },
      { id: '', event: 'message', data: 'l1\nl2' },
    ]);
  });
});

function portOf(address: AddressInfo | string | null): number {
  return typeof address === 'object' && address !== null ? address.port : 0;
}
