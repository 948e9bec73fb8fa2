import { connect } from 'node:net';
import { Writable } from 'node:stream';
import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { Problem } from '../../src/producer/api-schemas.ts';
import { AuditEntry, AuditLog } from '../../src/producer/audit.ts';
import { MaestroClient } from '../../src/producer/client.ts';
import { PACKAGE_ROOT } from '../../src/shared/package-root.ts';
import { TokenStore } from '../../src/producer/tokens.ts';
import { movePhase } from '../../src/shared/transitions.ts';
import { childModule } from '../support/child-module.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { testRedis } from '../support/test-redis.ts';
import { apiFixture, bearer } from './api-support.ts';
import { planOf } from './seed-run.ts';

const { url: openUrl, serve, redis, prefix, store, tokens, tokenFor } = await apiFixture();
interface Asked {
  method?: string;
  body?: string;
  headers?: Record<string, string>;
}
const ask = (url: string, token?: string, init: Asked = {}): Promise<Response> =>
  fetch(url, { ...init, headers: { ...(token === undefined ? {} : bearer(token)), ...init.headers } });

describe('tokens', () => {
  it('asks nobody on this machine until there is one, and everybody from then on', async () => {
    expect((await ask(`${openUrl}/api/runs`)).status).toBe(200);
    const token = await tokenFor('first', ['read']);
    expect((await ask(`${openUrl}/api/runs`)).status).toBe(401);
    expect((await ask(`${openUrl}/api/runs`, token)).status).toBe(200);
    await tokens.revoke('first');
    const refused = await ask(`${openUrl}/api/runs`, token);
    expect([refused.status, Problem.parse(await refused.json()).detail]).toEqual([
      401,
      expect.stringMatching(/was revoked/),
    ]);
    // It does not fall open when the last one has gone.
    expect((await ask(`${openUrl}/api/runs`)).status).toBe(401);
  });

  it('keeps no token that could be read from Redis', async () => {
    const token = await tokenFor('hidden', ['admin']);
    expect((await ask(`${openUrl}/api/runs`, token)).status).toBe(200);
    const keys = await redis.keys(`${prefix}*tokens*`);
    const kept = await Promise.all(keys.map((key) => redis.hgetall(key)));
    expect(JSON.stringify(kept)).toContain('hidden');
    expect(JSON.stringify(kept)).not.toContain(token.slice(3));
    expect((await tokens.list()).find(({ name }) => name === 'hidden')?.lastUsedAt).toMatch(/^20/);
  });

  it('ends a token at its time, and frees its name when it is revoked', async () => {
    const expiresAt = new Date(Date.now() + 400).toISOString();
    const { token } = await tokens.create({ name: 'brief', scopes: ['read'], expiresAt, createdBy: 'tests' });
    expect((await ask(`${openUrl}/api/runs`, token)).status).toBe(200);
    await expect.poll(async () => (await ask(`${openUrl}/api/runs`, token)).status).toBe(401);
    await expect(tokenFor('brief', ['read'])).rejects.toMatchObject({ code: 'CONFLICT' });
    await tokens.revoke('brief');
    await tokenFor('brief', ['read']);
    await expect(tokens.revoke('nobody')).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  it('lets a server beyond this machine start when there is a token that holds', async () => {
    const server = await serve({ host: '0.0.0.0' });
    expect((await ask(`${server.url.replace('0.0.0.0', '127.0.0.1')}/api/runs`)).status).toBe(401);
  });

  it('opens the pages for a browser that sends the token as a password', async () => {
    const token = await tokenFor('browser', ['read']);
    const authorization = `Basic ${Buffer.from(`anyone:${token}`).toString('base64')}`;
    expect((await fetch(`${openUrl}/queues`, { headers: { authorization } })).status).toBe(200);
    const challenge = await fetch(`${openUrl}/queues`);
    expect([challenge.status, challenge.headers.get('www-authenticate')]).toEqual([
      401,
      expect.stringMatching(/Basic/),
    ]);
  });
});

describe('event streams', () => {
  it('end when their token is revoked or expires, and nobody comes back with it', async () => {
    const { url } = await serve({ streams: { recheckMs: 100, heartbeatMs: 100 } });
    const plan = planOf(['design']);
    await store.createRun(plan);
    const paths = [`/api/runs/${plan.runId}/events`, '/api/events'];
    const listen = async (token: string) => {
      const answers = await Promise.all(paths.map((path) => ask(`${url}${path}`, token)));
      expect(answers.map(({ status }) => status)).toEqual([200, 200]);
      const heard = answers.map(() => '');
      const ended = Promise.all(
        answers.map(async ({ body }, index) => {
          for await (const chunk of body ?? new ReadableStream<Uint8Array>())
            heard[index] += Buffer.from(chunk).toString();
        }),
      );
      ended.catch(() => undefined);
      return { heard, ended };
    };
    const expiresAt = new Date(Date.now() + 1_500).toISOString();
    const soon = await tokens.create({ name: 'ends-soon', scopes: ['read'], expiresAt, createdBy: 'tests' });
    const taken = await tokenFor('taken-away', ['read']);
    const [expiring, revoked, kept] = [
      await listen(soon.token),
      await listen(taken),
      await listen(await tokenFor('stays', ['read'])),
    ];
    await tokens.revoke('taken-away');
    for (const { heard, ended } of [revoked, expiring]) {
      await ended;
      for (const text of heard) expect(text).toMatch(/: this token no longer holds[^\n]*\n\n$/);
    }
    for (const token of [taken, soon.token])
      await expect(
        new MaestroClient({ baseUrl: url, token }).events(plan.runId, { fromSeq: 1 }).next(),
      ).rejects.toMatchObject({ code: 'UNAUTHORIZED' });
    // Those of others go on: they are still told of what happens.
    await movePhase(store, plan.runId, 'design', 'running');
    for (const index of [0, 1]) await expect.poll(() => kept.heard[index]).toContain('phase.status');
    expect(kept.heard.join('')).not.toContain('no longer holds');
  });
});

describe('rate limits', () => {
  it('counts what a token asks over all servers, and says when to ask again', async () => {
    const token = await tokenFor('chatty', ['read'], { ratePerMinute: 3 });
    const other = await serve();
    const answers: Response[] = [];
    for (const url of [openUrl, other.url, openUrl, other.url]) answers.push(await ask(`${url}/api/runs`, token));
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 429]);
    expect(answers[1]?.headers.get('ratelimit')).toMatch(/^"token";r=1;t=\d+$/);
    expect(answers[1]?.headers.get('ratelimit-policy')).toBe('"token";q=3;w=60');
    expect(Number(answers[3]?.headers.get('retry-after'))).toBeGreaterThan(0);
    expect(Problem.parse(await answers[3]?.json()).code).toBe('RATE_LIMITED');
    expect((await ask(`${openUrl}/api/runs`, await tokenFor('quiet', ['read']))).status).toBe(200);
  });

  it('shuts out an address that guesses, but not the tokens of the fleet behind it', async () => {
    const bootstrap = 'a-token-of-sixteen-or-more';
    const { url } = await serve({ token: bootstrap, limits: { failedPerAddress: 3 }, trustedProxies: 1 });
    const from = (address: string, token: string): Promise<Response> =>
      ask(`${url}/api/runs`, token, { headers: { 'x-forwarded-for': address } });
    const statuses: number[] = [];
    for (let guess = 0; guess < 5; guess += 1) statuses.push((await from('192.0.2.7', `guess-number-${guess}`)).status);
    expect(statuses).toEqual([401, 401, 401, 429, 429]);
    expect((await from('192.0.2.7', bootstrap)).status).toBe(429);
    expect((await from('192.0.2.7', await tokenFor('behind', ['read']))).status).toBe(200);
    expect((await from('192.0.2.8', bootstrap)).status).toBe(200);
  });
});

describe('server processes of one fleet', () => {
  it('count requests and guesses together', async () => {
    const bootstrap = 'a-token-of-sixteen-or-more';
    const limits = { failedPerAddress: 4 };
    const blobFolder = await tempFolder();
    const own = testRedis();
    const common = { host: '127.0.0.1', port: 0, redisUrl: own.url, prefix: own.prefix, token: bootstrap, limits };
    const start = async (): Promise<string> =>
      (
        await childModule(`
      import { startServer } from '../../src/producer/server.ts';
      import { openBlobStore } from '../../src/shared/open-blob-store.ts';
      import { silentLogger } from '../../src/shared/logger.ts';
      startServer({
        ...${JSON.stringify(common)}, blobs: openBlobStore(${JSON.stringify(blobFolder)}),
        packageRoot: ${JSON.stringify(PACKAGE_ROOT)}, provider: 'scripted', logger: silentLogger(),
      }).then((server) => console.log(server.url));
    `)
      ).line;
    const urls = await Promise.all([start(), start()]);
    const made = await new TokenStore(await own.connect(), own.prefix).create({
      name: 'shared',
      scopes: ['read'],
      expiresAt: null,
      createdBy: 'tests',
      ratePerMinute: 5,
    });
    const inTurn = async (times: number, token: (turn: number) => string): Promise<number[]> => {
      const statuses: number[] = [];
      for (let turn = 0; turn < times; turn += 1)
        statuses.push((await ask(`${urls[turn % 2] ?? ''}/api/runs`, token(turn))).status);
      return statuses;
    };
    expect(await inTurn(7, () => made.token)).toEqual([200, 200, 200, 200, 200, 429, 429]);
    expect(await inTurn(6, (turn) => `a-guess-number-${turn}`)).toEqual([401, 401, 401, 401, 429, 429]);
    expect(await inTurn(2, () => bootstrap)).toEqual([429, 429]);
  });
});

describe('pages of other origins', () => {
  const origin = 'https://dashboard.example';

  it('get nothing unless they are named', async () => {
    const token = await tokenFor('cors', ['read', 'run']);
    const plain = await ask(`${openUrl}/api/runs`, token, { headers: { origin } });
    expect(plain.headers.get('access-control-allow-origin')).toBeNull();
    const { url } = await serve({ corsOrigins: [origin] });
    const preflight = await fetch(`${url}/api/runs`, {
      method: 'OPTIONS',
      headers: { origin, 'access-control-request-method': 'POST' },
    });
    expect([preflight.status, preflight.headers.get('access-control-allow-origin')]).toEqual([204, origin]);
    const named = await ask(`${url}/api/runs/x/cancel`, token, { method: 'POST', headers: { origin } });
    expect([named.status, named.headers.get('access-control-allow-origin')]).toEqual([400, origin]);
    const evil = await ask(`${url}/api/runs/x/cancel`, token, {
      method: 'POST',
      headers: { origin: 'https://dashboard.example.evil.example' },
    });
    expect([evil.status, evil.headers.get('access-control-allow-origin')]).toEqual([403, null]);
  });
});

const Page = z.object({ entries: z.array(AuditEntry), next: z.string().nullable() });

describe('the audit log', () => {
  it('names who changed what, with which token and how it ended, and never what was sent', async () => {
    const admin = await tokenFor('auditor', ['admin']);
    const lead = await tokenFor('lead-token', ['approve:tech_lead']);
    const plan = planOf(['design']);
    await store.createRun(plan);
    await movePhase(store, plan.runId, 'design', 'running');
    await movePhase(store, plan.runId, 'design', 'awaiting_approval');
    const path = `${openUrl}/api/runs/${plan.runId}`;
    const body = (role: string): string => JSON.stringify({ role, by: 'Ada', note: 'a-secret-note' });
    const requestId = 'my-own-id-7';
    const approved = await ask(`${path}/approvals/design`, lead, {
      method: 'POST',
      body: body('tech_lead'),
      headers: { 'x-request-id': requestId },
    });
    expect([approved.status, approved.headers.get('x-request-id')]).toEqual([201, requestId]);
    expect(await approved.json()).toMatchObject({ by: 'Ada (token lead-token)', role: 'tech_lead' });
    await ask(`${path}/approvals/design`, lead, { method: 'POST', body: body('stakeholder') });
    await ask(`${path}/cancel`, lead, { method: 'POST' });
    const read = async (query: string): Promise<z.infer<typeof Page>> =>
      Page.parse(await (await ask(`${openUrl}/api/audit?${query}`, admin)).json());
    await expect.poll(async () => (await read(`run=${plan.runId}`)).entries.length).toBe(3);
    const { entries } = await read(`run=${plan.runId}`);
    expect(entries.map(({ who, action, outcome, status }) => [who, action, outcome, status])).toEqual([
      ['lead-token', 'cancelRun', 'refused', 403],
      ['lead-token', 'approvePhase', 'refused', 403],
      ['lead-token', 'approvePhase', 'done', 201],
    ]);
    expect(entries[2]).toMatchObject({ requestId, target: { id: plan.runId, phase: 'design', role: 'tech_lead' } });
    expect(JSON.stringify(await redis.xrange(`${prefix}:maestro:audit`, '-', '+'))).not.toMatch(/a-secret-note|mf_/);
    const first = await read(`limit=1&run=${plan.runId}`);
    expect((await read(`limit=5&run=${plan.runId}&cursor=${first.next}`)).entries).toEqual(entries.slice(1));
    expect((await read('who=nobody-of-that-name')).entries).toEqual([]);
  });

  it('tells of tokens that were refused, once for an address and minute, and never of the tokens', async () => {
    const lines: string[] = [];
    const sink = new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        lines.push(chunk.toString());
        done();
      },
    });
    const admin = await tokenFor('watcher', ['admin']);
    const lost = await tokenFor('lost-token', ['read']);
    await tokens.revoke('lost-token');
    const options = { logger: pino({ level: 'warn' }, sink), limits: { failedPerAddress: 3 }, trustedProxies: 1 };
    const [one, other] = [await serve(options), await serve(options)];
    const address = '192.0.2.31';
    const guess = (url: string, token: string): Promise<Response> =>
      ask(`${url}/api/runs`, token, { headers: { 'x-forwarded-for': address, 'x-request-id': 'guess-1' } });
    const statuses: number[] = [];
    for (const token of [lost, 'wrong-guess-number-2', 'wrong-guess-number-3', 'wrong-guess-number-4'])
      for (const { url } of [one, other]) statuses.push((await guess(url, token)).status);
    expect(statuses).toEqual([401, 401, 401, 429, 429, 429, 429, 429]);
    // A header that says nothing of a token is a question, not a guess.
    expect((await ask(`${one.url}/api/runs`)).status).toBe(401);
    const { entries } = Page.parse(await (await ask(`${one.url}/api/audit?limit=50&who=anonymous`, admin)).json());
    const ofAddress = entries.filter(({ from }) => from === address);
    // Two when a minute ended meanwhile.
    expect(ofAddress.length).toBeLessThan(3);
    expect(ofAddress.at(-1)).toMatchObject({
      action: 'authenticate',
      target: { reason: 'revoked', token: 'lost-token' },
      outcome: 'refused',
      status: 401,
      requestId: 'guess-1',
    });
    const log = lines.join('');
    const refused = lines.filter((line) => line.includes('a token was refused'));
    expect(refused.length).toBeGreaterThanOrEqual(3);
    expect(refused[0]).toContain(
      `"address":"${address}","requestId":"guess-1","reason":"revoked","token":"lost-token"`,
    );
    const streams = ['audit', 'audit:refused'].map((name) => redis.xrange(`${prefix}:maestro:${name}`, '-', '+'));
    const kept = JSON.stringify(await Promise.all(streams));
    expect(kept).toContain('lost-token');
    for (const secret of ['wrong-guess', lost.slice(3)]) expect(log + kept).not.toContain(secret);
  });

  it('holds few refused tokens, however many addresses they came from', async () => {
    const { url } = await serve({ trustedProxies: 1 });
    const admin = await tokenFor('counter', ['admin']);
    for (let last = 0; last < 60; last += 1)
      await ask(`${url}/api/runs`, 'a-wrong-token', { headers: { 'x-forwarded-for': `198.51.100.${last}` } });
    const { entries } = Page.parse(await (await ask(`${url}/api/audit?limit=200&who=anonymous`, admin)).json());
    const many = entries.filter(({ from }) => from.startsWith('198.51.100.'));
    expect(many.length).toBeGreaterThan(0);
    // Twenty in each of the two minutes that this may have touched.
    expect(many.length).toBeLessThanOrEqual(40);
  });

  it('tells of a change whose server died before it answered', async () => {
    const audit = new AuditLog(redis, prefix);
    const change = { who: 'gone', tokenId: null, from: 'tests', action: 'cancelRun', target: {}, requestId: '' };
    await audit.asked(change);
    await audit.answered(await audit.asked(change), { ...change, outcome: 'done', status: 202 });
    const { entries } = await audit.read({ limit: 10, who: 'gone' });
    expect(entries.map(({ outcome }) => outcome)).toEqual(['done', 'unknown']);
  });

  it('tells of a change whose caller left before the answer', async () => {
    const audit = new AuditLog(redis, prefix);
    const change = { who: 'left', tokenId: null, from: 'tests', action: 'cancelRun', target: {}, requestId: '' };
    await audit.answered(await audit.asked(change), { ...change, outcome: 'unknown', status: null });
    const { entries } = await audit.read({ limit: 10, who: 'left' });
    expect(entries.map(({ outcome }) => outcome)).toEqual(['unknown']);
  });

  it('keeps what was done however often others were refused, and tells of both in their order', async () => {
    const audit = new AuditLog(redis, `${prefix}:few`, 100);
    const change = { who: 'done', tokenId: null, from: 'tests', action: 'cancelRun', target: {}, requestId: '' };
    const refused = { ...change, who: 'pest', outcome: 'refused', status: 403 } as const;
    const refuse = async (): Promise<void> => {
      await audit.answered(undefined, refused);
      await audit.answered(await audit.asked(change), { ...refused, status: 404 });
    };
    await refuse();
    await audit.answered(await audit.asked(change), { ...change, outcome: 'done', status: 202 });
    for (let count = 0; count < 300; count += 1) await refuse();
    expect((await audit.read({ limit: 5, who: 'done' })).entries).toMatchObject([{ outcome: 'done' }]);
    await audit.answered(await audit.asked(change), { ...change, outcome: 'done', status: 202 });
    const page = await audit.read({ limit: 1 });
    const rest = await audit.read({ limit: 1_000, before: page.next ?? '' });
    expect([...page.entries, ...rest.entries].map(({ who }) => who)).toEqual([
      'done',
      ...Array.from({ length: rest.entries.length - 1 }, () => 'pest'),
      'done',
    ]);
    expect(rest.entries.length).toBeGreaterThan(100);
  });
});

describe('requests', () => {
  it('are named in the answer and in the log', async () => {
    const lines: string[] = [];
    const sink = new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        lines.push(chunk.toString());
        done();
      },
    });
    const { url } = await serve({ logger: pino({ level: 'info' }, sink) });
    const token = await tokenFor('named', ['run']);
    const body = JSON.stringify({ inputs: { requirement: 'shorten my urls please' } });
    const init = { method: 'POST', body, headers: { 'x-request-id': 'abc-1' } };
    expect((await ask(`${url}/api/workflows/diamond/execute`, token, init)).headers.get('x-request-id')).toBe('abc-1');
    expect(lines.join('')).toMatch(/"requestId":"abc-1","who":"named".*run accepted/);
    const forged = await ask(`${url}/api/nothing`, token, { headers: { 'x-request-id': 'a b' } });
    expect(forged.headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/);
  });

  it('end when they do not arrive', async () => {
    const { url } = await serve({ arrivalMs: { headers: 300, request: 600 } });
    const { port } = new URL(url);
    const drip = (text: string): Promise<string> =>
      new Promise((resolve, reject) => {
        const socket = connect(Number(port), '127.0.0.1', () => socket.write(text));
        let answer = '';
        socket.on('data', (chunk: Buffer) => (answer += chunk.toString()));
        socket.on('end', () => resolve(answer)).on('error', reject);
      });
    const token = await tokenFor('slow', ['run']);
    const head = `POST /api/workflows/diamond/execute HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${token}\r\n`;
    const isTimeout = /^HTTP\/1\.1 408 [\s\S]*application\/problem\+json[\s\S]*"status":408/;
    expect(await drip(head)).toMatch(isTimeout);
    expect(await drip(`${head}Content-Length: 100\r\n\r\n{"inputs"`)).toMatch(isTimeout);
    expect(await drip('NONSENSE\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 [\s\S]*problem\+json/);
    expect(await drip(`${head}X-Large: ${'x'.repeat(20_000)}\r\n\r\n`)).toMatch(/^HTTP\/1\.1 431 [\s\S]*problem\+json/);
  });
});
