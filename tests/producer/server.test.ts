import { request } from 'node:http';
import { createServer } from 'node:net';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createConfig, lintFromString } from '@redocly/openapi-core';
import { Queue } from 'bullmq';
import { afterAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { Problem, WorkflowList } from '../../src/producer/api-schemas.ts';
import { type RunningServer, type ServerOptions, startServer } from '../../src/producer/server.ts';
import { silentLogger } from '../../src/shared/logger.ts';
import { jobIds } from '../../src/shared/names.ts';
import { openBlobStore } from '../../src/shared/open-blob-store.ts';
import { RunStore } from '../../src/shared/run-store.ts';
import { movePhase } from '../../src/shared/transitions.ts';
import { testRedis } from '../support/test-redis.ts';
import { DIAMOND, fixtureRoot } from './fixture.ts';
import { finishRun, planOf } from './seed-run.ts';

const ownRedis = testRedis();
const { url: redisUrl, prefix } = ownRedis;
const redis = await ownRedis.connect();
const store = new RunStore(redis, prefix);
const root = await fixtureRoot({ diamond: DIAMOND, broken: 'apiVersion: maestro/v1\nname: broken\nphases: 3\n' });
const blobFolder = await mkdtemp(join(tmpdir(), 'maestro-blobs-'));
const running: RunningServer[] = [];

async function serve(options: Partial<ServerOptions> = {}): Promise<RunningServer> {
  const server = await startServer({
    host: '127.0.0.1',
    port: 0,
    redisUrl,
    prefix,
    blobs: openBlobStore(blobFolder),
    packageRoot: root,
    provider: 'scripted',
    logger: silentLogger(),
    ...options,
  });
  running.push(server);
  return server;
}
const { url } = await serve();
afterAll(async () => {
  for (const server of running) await server.close();
  await rm(blobFolder, { recursive: true, force: true });
});

const ask = (path: string, init: RequestInit = {}): Promise<Response> => fetch(`${url}${path}`, init);
const post = (path: string, body: unknown, headers: Record<string, string> = {}): Promise<Response> =>
  ask(path, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
const json = async (response: Promise<Response>): Promise<Record<string, unknown>> =>
  z.record(z.string(), z.unknown()).parse(await (await response).json());

/** A refusal as RFC 9457 wants it. */
async function problem(response: Response): Promise<Problem> {
  expect(response.headers.get('content-type')).toMatch(/^application\/problem\+json/);
  const document = Problem.parse(await response.json());
  expect(document.status).toBe(response.status);
  return document;
}
const inputs = { requirement: 'shorten my urls please' };
const execute = (headers: Record<string, string> = {}, body: unknown = { inputs }): Promise<Response> =>
  post('/api/workflows/diamond/execute', body, headers);

describe('starting runs over HTTP', () => {
  it('accepts a run, plans it and puts its whole flow into the queues', async () => {
    const response = await execute();
    expect(response.status).toBe(202);
    const body = await json(Promise.resolve(response));
    const runId = String(body['runId']);
    expect(response.headers.get('location')).toBe(`/api/runs/${runId}`);
    expect(body).toMatchObject({ status: 'queued', links: { events: `/api/runs/${runId}/events` } });
    const queue = new Queue('runs', { connection: redis, prefix });
    expect(await (await queue.getJob(jobIds.run({ runId, generation: 0 })))?.getState()).toBe('waiting-children');
    await queue.close();
    const detail = await json(ask(`/api/runs/${runId}`));
    expect(detail).toMatchObject({ run: { status: 'queued', simulated: true, provider: 'scripted' }, inputs });
  });

  it('gives the same run for the same Idempotency-Key, also when asked many times at once', async () => {
    const answers = await Promise.all(Array.from({ length: 8 }, () => json(execute({ 'idempotency-key': 'k1' }))));
    expect(new Set(answers.map(({ runId }) => runId)).size).toBe(1);
  });

  it('refuses the same key with another body', async () => {
    await execute({ 'idempotency-key': 'k2' });
    const other = { inputs: { requirement: 'something else entirely' } };
    const response = await execute({ 'idempotency-key': 'k2' }, other);
    expect(response.status).toBe(409);
    expect((await problem(response)).code).toBe('CONFLICT');
  });

  it('names every fault of the inputs and starts nothing', async () => {
    const before = (await store.listRuns({ limit: 200 })).runs.length;
    const response = await execute({}, { inputs: { requirment: 'x' } });
    expect(response.status).toBe(400);
    const { detail, errors } = await problem(response);
    expect(detail).toMatch(/"requirment" \(did you mean "requirement"\?\).*is missing/);
    expect(errors).toContainEqual({ path: 'body.inputs.requirement', message: 'is missing' });
    expect((await store.listRuns({ limit: 200 })).runs.length).toBe(before);
  });

  it('answers 404 for an unknown workflow, and 400 with its place for a broken one', async () => {
    const unknown = await post('/api/workflows/dimond/execute', { inputs });
    expect([unknown.status, (await problem(unknown)).detail]).toEqual([404, expect.stringMatching(/"diamond"/)]);
    const broken = await post('/api/workflows/broken/execute', {});
    expect([broken.status, (await problem(broken)).detail]).toEqual([400, expect.stringMatching(/broken\.yaml:3:9/)]);
  });

  it('never reaches a file outside the workflows', async () => {
    for (const name of ['..%2F..%2Fetc%2Fpasswd', '%00', 'a%2Fb', '.']) {
      const { status } = await post(`/api/workflows/${name}/execute`, {});
      expect([400, 404]).toContain(status);
    }
  });

  it('lists workflows, and the ones that cannot be used with the reason', async () => {
    const { workflows, provider, invalid } = WorkflowList.parse(await json(ask('/api/workflows')));
    expect(provider).toBe('scripted');
    expect(workflows).toMatchObject([{ name: 'diamond', description: 'a diamond' }]);
    expect(invalid.map(({ name, reason }) => [name, /broken\.yaml:3:9/.test(reason)])).toEqual([['broken', true]]);
  });
});

describe('reading runs over HTTP', () => {
  it('lists runs newest first, page by page, filtered by status and workflow', async () => {
    const ids: string[] = [];
    for (let index = 0; index < 3; index += 1) {
      const plan = planOf(['design'], { workflow: 'paged', createdAt: new Date(Date.now() + index).toISOString() });
      await store.createRun(plan);
      ids.unshift(plan.runId);
    }
    const Page = z.object({ runs: z.array(z.object({ runId: z.string() })), next: z.string().nullable() });
    const page = async (query: string) => Page.parse(await json(ask(`/api/runs?workflow=paged&${query}`)));
    const first = await page('limit=2');
    expect(first.runs.map(({ runId }) => runId)).toEqual(ids.slice(0, 2));
    const second = await page(`limit=2&cursor=${first.next}`);
    expect([second.runs.map(({ runId }) => runId), second.next]).toEqual([ids.slice(2), null]);
    expect((await page('status=passed,failed')).runs).toEqual([]);
    expect((await page('status=queued')).runs).toHaveLength(3);
    for (const query of ['limit=0', 'limit=x', 'cursor=1', 'status=green', 'stauts=passed'])
      expect((await ask(`/api/runs?${query}`)).status).toBe(400);
  });

  it('tells the verdicts of every round and what blocked', async () => {
    const plan = planOf(['design', 'backend']);
    await store.createRun(plan);
    await finishRun(store, plan.runId, ['design', 'backend']);
    const gates = await json(ask(`/api/runs/${plan.runId}/gates`));
    expect(gates).toMatchObject({
      simulated: true,
      phases: [{ phase: 'design', policy: 'backend', rounds: [{ round: 0, verdict: { verdict: 'passed' } }] }, {}],
    });
    const report = await json(ask(`/api/runs/${plan.runId}/report`));
    expect(report).toMatchObject({ gates: { passed: 2, failed: 0, error: 0, bypassed: 0 }, blockers: [] });
  });

  it('gives out a blob only when the run names it', async () => {
    const blobs = openBlobStore(blobFolder);
    const [mine, foreign] = [await blobs.put(Buffer.from('mine')), await blobs.put(Buffer.from('foreign'))];
    const plan = planOf(['design']);
    await store.createRun(plan);
    await store.updatePhase(plan.runId, 'design', (record) => ({ next: { ...record, bundle: mine }, events: [] }));
    const artifacts = await json(ask(`/api/runs/${plan.runId}/artifacts`));
    expect(artifacts).toMatchObject({ phases: [{ bundle: { href: `/api/runs/${plan.runId}/blobs/${mine}` } }] });
    const given = await ask(`/api/runs/${plan.runId}/blobs/${mine}`);
    expect([await given.text(), given.headers.get('content-disposition')]).toEqual([
      'mine',
      expect.stringMatching(/^attachment/),
    ]);
    expect((await ask(`/api/runs/${plan.runId}/blobs/${foreign}`)).status).toBe(404);
  });

  it('answers 404 for a run that does not exist, on every path', async () => {
    const { runId } = planOf(['design']);
    for (const part of ['', '/events', '/gates', '/artifacts', '/report', '/evidence'])
      expect((await problem(await ask(`/api/runs/${runId}${part}`))).status).toBe(404);
    expect((await problem(await post(`/api/runs/${runId}/cancel`, {}))).status).toBe(404);
  });
});

describe('changing runs over HTTP', () => {
  it('records an approval as the decision of a person', async () => {
    const plan = planOf(['design']);
    await store.createRun(plan);
    await movePhase(store, plan.runId, 'design', 'running');
    await movePhase(store, plan.runId, 'design', 'awaiting_approval');
    const path = `/api/runs/${plan.runId}/approvals/design`;
    const response = await post(path, { role: 'tech_lead', by: 'Ada', note: 'fine' });
    expect(response.status).toBe(201);
    expect(await store.getApprovals(plan.runId)).toMatchObject([
      { phase: 'design', role: 'tech_lead', by: 'Ada', decision: 'approved', round: 0, simulated: false },
    ]);
    expect((await post(path, { role: 'tech_lead' })).status).toBe(400);
    expect((await post(path, { role: 'tech_lead', by: 'Ada', simulated: true })).status).toBe(400);
    expect((await post(`/api/runs/${plan.runId}/approvals/nope`, { role: 'tech_lead', by: 'Ada' })).status).toBe(404);
    await finishRun(store, plan.runId, ['design']);
    expect((await post(path, { role: 'tech_lead', by: 'Ada' })).status).toBe(409);
  });

  it('cancels a run once', async () => {
    const plan = planOf(['design']);
    await store.createRun(plan);
    const first = await post(`/api/runs/${plan.runId}/cancel`, { reason: 'changed my mind' });
    expect([first.status, await first.json()]).toEqual([
      202,
      { runId: plan.runId, status: 'cancelled', cancelled: true },
    ]);
    expect(await json(post(`/api/runs/${plan.runId}/cancel`, {}))).toMatchObject({ cancelled: false });
    expect((await store.getRun(plan.runId)).reason).toBe('changed my mind');
  });
});

describe('what cannot be asked', () => {
  it('answers problem documents for malformed, oversized and misdirected requests', async () => {
    const refused = async (response: Promise<Response>, status: number): Promise<void> => {
      expect((await problem(await response)).status).toBe(status);
    };
    await refused(post('/api/workflows/diamond/execute', '{"inputs":'), 400);
    await refused(
      post('/api/workflows/diamond/execute', JSON.stringify({ inputs: { x: 'y'.repeat(1_100_000) } })),
      413,
    );
    await refused(post('/api/workflows/diamond/execute', { inputs, surprise: 1 }), 400);
    await refused(execute({ 'idempotency-key': 'x'.repeat(300) }), 400);
    await refused(ask('/api/nothing'), 404);
    await refused(ask('/api/runs', { method: 'DELETE' }), 405);
    await refused(ask('/api/runs/not-a-run'), 400);
    await refused(ask('/api/runs/%E0%A4%A'), 400);
    expect((await ask('/api/workflows', { method: 'PUT' })).headers.get('allow')).toBe('GET, POST');
  });

  it('never answers 500 to random bodies, paths and headers', async () => {
    const values = [
      null,
      [],
      '',
      0,
      true,
      'x',
      { a: 1 },
      { inputs: null },
      { inputs: [1] },
      { inputs: { a: {} } },
      { inputs, budget: { usd: -1 } },
      { __proto__: 1 },
      { inputs, scripted: { scenario: '../x' } },
    ];
    const raw = [
      '',
      '[',
      '"',
      '\u0000',
      '{"__proto__":{"inputs":1}}',
      '{"constructor":1}',
      '9'.repeat(5_000),
      '['.repeat(20_000),
    ];
    const { runId } = planOf(['design']);
    const paths = [
      '/api/workflows/diamond/execute',
      ...['cancel', 'pause', 'resume', 'retry', 'approvals/design'].map((action) => `/api/runs/${runId}/${action}`),
    ];
    const statuses: number[] = [];
    for (const path of paths)
      for (const body of [...values.map((value) => JSON.stringify(value)), ...raw])
        for (const type of ['application/json', 'text/plain', 'application/json; charset=utf-7'])
          statuses.push((await post(path, body, { 'content-type': type })).status);
    expect(statuses.filter((status) => status >= 500)).toEqual([]);
    expect(statuses.filter((status) => status < 400).length).toBeLessThan(statuses.length / 10);
  });

  it('refuses names that are not of this machine, and changes asked by pages of another origin', async () => {
    const statusFor = (headers: Record<string, string>, method = 'GET'): Promise<number> =>
      new Promise((resolve, reject) => {
        request(`${url}/api/runs`, { headers, method }, (res) => {
          res.resume();
          resolve(res.statusCode ?? 0);
        })
          .on('error', reject)
          .end();
      });
    expect(await statusFor({ host: 'rebound.example:80' })).toBe(421);
    expect(await statusFor({ host: 'localhost:1234' })).toBe(200);
    const evil = { origin: 'https://evil.example', 'content-type': 'text/plain' };
    expect((await post('/api/workflows/diamond/execute', { inputs }, evil)).status).toBe(403);
    expect((await post('/api/workflows/diamond/execute', { inputs }, { origin: url })).status).toBe(202);
  });
});

describe('the service itself', () => {
  it('tells that it is alive, ready, and how deep its queues are', async () => {
    expect(await json(ask('/healthz'))).toEqual({ status: 'ok' });
    expect(await json(ask('/readyz'))).toMatchObject({
      status: 'ready',
      checks: { redis: { ok: true }, blobs: { ok: true } },
    });
    const metrics = await (await ask('/metrics')).text();
    expect(metrics).toMatch(/^maestro_queue_jobs\{queue="persona\.analyst",state="waiting"\} [1-9]/m);
    expect(metrics).toMatch(/^maestro_runs\{status="cancelled"\} 1$/m);
  });

  it('says that it is not ready when a part does not answer', async () => {
    const file = join(root, 'not-a-folder');
    await writeFile(file, '');
    const shelf = { location: file, put: fail, get: fail, has: fail };
    const broken = { ...shelf, shelf: () => shelf, shelves: fail, clearShelf: fail };
    const server = await serve({ blobs: broken });
    const response = await fetch(`${server.url}/readyz`);
    expect([response.status, await response.json()]).toMatchObject([
      503,
      { checks: { redis: { ok: true, message: 'answers' }, blobs: { ok: false, message: 'does not answer' } } },
    ]);
  });

  it('serves an OpenAPI document that lists what it serves', async () => {
    const document = await json(ask('/openapi.json'));
    expect(document).toMatchObject({
      openapi: '3.1.0',
      paths: { '/api/workflows/{name}/execute': { post: { operationId: 'executeWorkflow' } } },
    });
    const config = await createConfig({ extends: ['spec'] });
    expect(await lintFromString({ source: JSON.stringify(document), config })).toEqual([]);
  });

  it('shows every queue in Bull Board, and whole flows', async () => {
    const Board = z.object({ queues: z.array(z.object({ name: z.string() })) });
    const { queues } = Board.parse(await json(ask('/queues/api/queues')));
    expect(queues.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['runs', 'gates', 'edges', 'approvals', 'persona.analyst']),
    );
    const page = await ask('/queues');
    expect(await page.text()).toContain('Maestro Fleet');
    const runId = String((await json(execute()))['runId']);
    const flow = await json(ask(`/queues/api/queues/runs/${jobIds.run({ runId, generation: 0 })}/flow`));
    // The chain below the run is eleven jobs deep, which is more than the board shows unasked.
    expect(JSON.stringify(flow)).toContain(jobIds.work({ runId, generation: 0 }, 'requirements', 'analyst', 0));
  });

  it('serves the viewer with headers that let it load nothing from elsewhere', async () => {
    const page = await ask('/');
    expect(page.status).toBe(200);
    expect(page.headers.get('content-security-policy')).toContain("script-src 'self'");
    expect(page.headers.get('x-content-type-options')).toBe('nosniff');
    expect(page.headers.get('x-powered-by')).toBeNull();
  });

  it('compresses long texts for whoever takes that; short ones and streams of events go as they are', async () => {
    const encodingOf = async (path: string, accepted = 'gzip') => {
      const { headers, body } = await ask(path, { headers: { 'accept-encoding': accepted } });
      await body?.cancel();
      return headers.get('content-encoding');
    };
    expect(await encodingOf('/openapi.json')).toBe('gzip');
    expect(await encodingOf('/openapi.json', 'identity')).toBeNull();
    expect(await encodingOf('/healthz')).toBeNull();
    expect(await encodingOf('/api/events')).toBeNull();
    const whole = await (await ask('/openapi.json', { headers: { 'accept-encoding': 'identity' } })).text();
    expect(await (await ask('/openapi.json', { headers: { 'accept-encoding': 'gzip' } })).text()).toBe(whole);
  });
});

describe('access', () => {
  const token = 'a-token-of-sixteen-or-more';

  it('refuses to listen beyond this machine without a token', async () => {
    await expect(serve({ host: '0.0.0.0' })).rejects.toMatchObject({ code: 'BAD_USAGE' });
    await expect(serve({ host: '0.0.0.0', token: 'short' })).rejects.toThrow(/too short/);
  });

  it('asks everything but health for the token when there is one', async () => {
    const server = await serve({ host: '0.0.0.0', token });
    const at = server.url.replace('0.0.0.0', '127.0.0.1');
    const status = async (path: string, authorization?: string): Promise<number> =>
      (await fetch(`${at}${path}`, authorization === undefined ? {} : { headers: { authorization } })).status;
    for (const path of ['/', '/api/runs', '/queues', '/metrics', '/openapi.json']) {
      expect(await status(path)).toBe(401);
      expect(await status(path, `Bearer ${token}x`)).toBe(401);
      expect(await status(path, `Bearer ${token}`)).toBe(200);
    }
    expect(await status('/api/runs', `Basic ${Buffer.from(`me:${token}`).toString('base64')}`)).toBe(200);
    expect(await status('/healthz')).toBe(200);
  });
});

describe('starting and stopping', () => {
  it('says at once that a port is taken, and by whom', async () => {
    const holder = createServer();
    const port = await new Promise<number>((resolve) => {
      holder.listen(0, '127.0.0.1', () => {
        const address = holder.address();
        resolve(typeof address === 'object' && address !== null ? address.port : 0);
      });
    });
    await expect(serve({ port })).rejects.toMatchObject({ code: 'PORT_BUSY' });
    await expect(serve({ port })).rejects.toThrow(`port ${port}`);
    holder.close();
  });

  it.each([
    ['192.0.2.1', /^cannot listen on 192\.0\.2\.1 port 0: this machine does not have the address$/],
    ['nowhere.invalid', /^cannot listen on nowhere\.invalid port 0: no address is known by this name$/],
  ])('says what is wrong with the host %s', async (host, message) => {
    const token = 'a-token-of-sixteen-or-more';
    await expect(serve({ host, token })).rejects.toThrow(message);
    await expect(serve({ host, token })).rejects.toMatchObject({ code: 'BAD_USAGE', exitCode: 2 });
  });

  it('says that Redis is not there', async () => {
    await expect(serve({ redisUrl: 'redis://127.0.0.1:1' })).rejects.toMatchObject({ code: 'REDIS_UNAVAILABLE' });
  });
});

const fail = (): Promise<never> => Promise.reject(new Error('disk gone'));
