import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { z } from 'zod';
import { AuditLog } from '../../src/producer/audit.ts';
import { MaestroClient } from '../../src/producer/client.ts';
import { PhaseJobs } from '../../src/producer/phase-jobs.ts';
import { type RunningServer, startServer } from '../../src/producer/server.ts';
import { TokenStore } from '../../src/producer/tokens.ts';
import { silentLogger } from '../../src/shared/logger.ts';
import { openBlobStore } from '../../src/shared/open-blob-store.ts';
import { testRedis } from '../support/test-redis.ts';
import { fixtureRoot } from './fixture.ts';

const ownRedis = testRedis();
const redis = await ownRedis.connect();
const admin = 'a-token-of-sixteen-or-more';
let server: RunningServer;
let reader: string;

beforeAll(async () => {
  const packageRoot = await fixtureRoot();
  server = await startServer({
    host: '127.0.0.1',
    port: 0,
    redisUrl: ownRedis.url,
    prefix: ownRedis.prefix,
    blobs: openBlobStore(join(packageRoot, 'blobs')),
    packageRoot,
    provider: 'scripted',
    token: admin,
    logger: silentLogger(),
  });
  const made = await new TokenStore(redis, ownRedis.prefix).create({
    name: 'looker',
    scopes: ['read'],
    createdBy: 'a test',
    expiresAt: null,
  });
  reader = made.token;
});
afterAll(() => server.close());

const ask = (path: string, token: string, method = 'GET'): Promise<Response> =>
  fetch(`${server.url}${path}`, { method, headers: { authorization: `Bearer ${token}` } });
const Board = z.object({
  queues: z.array(
    z.object({
      name: z.string(),
      description: z.string(),
      readOnlyMode: z.boolean(),
      jobs: z.array(z.object({ id: z.string(), name: z.string(), data: z.looseObject({}) })),
    }),
  ),
});
const board = async (token: string, query = '') =>
  Board.parse(await (await ask(`/queues/api/queues${query}`, token)).json()).queues;

it('shows every queue with what it is for, and offers changes to those who may make them', async () => {
  const [seen, changed] = await Promise.all([board(reader), board(admin)]);
  // Where webhooks lead may be a secret.
  expect(seen.map(({ name }) => name)).toEqual(expect.arrayContaining(['runs', 'gates', 'persona.coder']));
  expect(seen.map(({ name }) => name)).not.toContain('webhooks');
  expect(changed.map(({ name }) => name)).toEqual(expect.arrayContaining(['runs', 'webhooks']));
  expect(seen.every(({ description }) => description !== '')).toBe(true);
  expect([seen.every(({ readOnlyMode }) => readOnlyMode), changed.some(({ readOnlyMode }) => readOnlyMode)]).toEqual([
    true,
    false,
  ]);
  expect((await ask('/queues/api/queues/runs/pause', reader, 'PUT')).status).toBe(403);
  expect((await ask('/queues/api/queues/runs/pause', admin, 'PUT')).status).toBe(200);
  expect((await ask('/queues/api/queues/runs/resume', admin, 'PUT')).status).toBe(200);
});

it('asks no other host for anything', async () => {
  const page = await ask('/queues', reader);
  expect(page.status).toBe(200);
  expect(await page.text()).not.toMatch(/(?:href|src)="https?:/);
});

it('writes what is changed, and what was refused, into the audit log, and nothing of who only looks', async () => {
  const path = '/queues/api/queues/gates/pause';
  await board(admin);
  expect((await ask(path, reader, 'PUT')).status).toBe(403);
  expect((await ask(path, admin, 'PUT')).status).toBe(200);
  const audit = new AuditLog(redis, ownRedis.prefix);
  const ofGates = async () =>
    (await audit.read({ limit: 50 })).entries.filter(({ target }) => target['path'] === '/api/queues/gates/pause');
  await expect
    .poll(async () => (await ofGates()).map(({ who, outcome, status }) => [who, outcome, status]))
    .toEqual([
      ['bootstrap', 'done', 200],
      ['looker', 'refused', 403],
    ]);
  const { entries } = await audit.read({ limit: 50 });
  expect(new Set(entries.map(({ action }) => action))).toEqual(new Set(['changeQueues']));
  expect((await ask('/queues/api/queues/gates/resume', admin, 'PUT')).status).toBe(200);
});

it('names jobs by what they are about, and leads from a run to its jobs and back', async () => {
  const client = new MaestroClient({ baseUrl: server.url, token: reader });
  const owner = new MaestroClient({ baseUrl: server.url, token: admin });
  const { runId } = await owner.execute('diamond', { inputs: { requirement: 'shorten my urls please' } });
  expect((await client.get(runId)).run.status).toBe('queued');
  const { jobs } = PhaseJobs.parse(await (await ask(`/api/runs/${runId}/phases/design/jobs`, reader)).json());
  expect(jobs.map(({ name }) => name)).toEqual(['design gate [simulated]', 'design: architect [simulated]']);
  // What could be read as a host is a path like any other.
  for (const path of ['/queues//', '/queues//[/flow']) expect((await ask(path, reader)).status).toBeLessThan(500);
  for (const { href, queue, id } of jobs) {
    expect((await ask(href, reader)).status).toBe(200);
    const job = JSON.stringify(await (await ask(`/queues/api/queues/${queue}/${id}`, reader)).json());
    expect(job).toContain(`/#/runs/${runId}`);
  }
  const queues = await board(reader, '?activeQueue=persona.analyst&status=waiting');
  const [job] = queues.find(({ name }) => name === 'persona.analyst')?.jobs ?? [];
  expect(job?.name).toBe('requirements: analyst [simulated]');
  expect(job?.data).toEqual({
    runId,
    generation: 0,
    simulated: true,
    phase: 'requirements',
    persona: 'analyst',
    kind: 'work',
    round: 0,
  });
});
