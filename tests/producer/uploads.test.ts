import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { type IncomingMessage, request as send } from 'node:http';
import { connect } from 'node:net';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { json } from 'node:stream/consumers';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { Problem } from '../../src/producer/api-schemas.ts';
import { MOST_UPLOAD_BYTES } from '../../src/producer/upload-bodies.ts';
import { Uploads } from '../../src/producer/uploads.ts';
import { openBlobStore } from '../../src/shared/open-blob-store.ts';
import { openWorkspace } from '../../src/shared/workspace.ts';
import { neededSources } from '../../src/workers/needed-sources.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { apiFixture, bearer } from './api-support.ts';
import { DIAMOND } from './fixture.ts';

const { url, serve, blobs, store, redis, prefix } = await apiFixture();

async function post(path: string, body: string | Uint8Array<ArrayBuffer>, headers: Record<string, string> = {}) {
  const response = await fetch(`${url}${path}`, { method: 'POST', body, headers });
  return { status: response.status, body: z.record(z.string(), z.unknown()).parse(await response.json()) };
}
const upload = async (content: string | Uint8Array<ArrayBuffer>): Promise<string> =>
  String((await post('/api/uploads', content)).body['ref']);
const execute = (request: unknown, name = 'diamond', headers: Record<string, string> = {}) =>
  post(`/api/workflows/${name}/execute`, JSON.stringify(request), headers);
/** An upload whose body is not sent by itself. */
function openUpload(at: string, headers: Record<string, string>) {
  const request = send(`${at}/api/uploads`, { method: 'POST', headers, agent: false });
  request.write('x');
  const answered = new Promise<IncomingMessage>((resolve, reject) =>
    request.on('response', resolve).on('error', reject),
  );
  // A test may break it off.
  answered.catch(() => undefined);
  return { request, answered };
}
const inputs = { requirement: 'shorten my urls please' };

describe('uploads', () => {
  it('are named by their digest, and can be what an input or a given file holds', async () => {
    const ref = await upload('a requirement that was written elsewhere');
    expect(ref).toMatch(/^[0-9a-f]{64}$/);
    const { status, body } = await execute({ inputs: { requirement: { upload: ref } } });
    expect(status).toBe(202);
    const plan = await store.getPlan(String(body['runId']));
    expect(plan.inputs['requirement']).toBe('a requirement that was written elsewhere');
  });

  it('are where the first workspaces begin, and only those', async () => {
    const ref = await upload(new Uint8Array([0, 1, 2, 255]));
    const files = { 'docs/brief.md': { text: '# Brief\n' }, 'assets/logo.bin': { upload: ref } };
    const { status, body } = await execute({ inputs, files });
    expect(status).toBe(202);
    const runId = String(body['runId']);
    const plan = await store.getPlan(runId);
    const [first] = plan.phases;
    const sources = first === undefined ? [] : await neededSources(store, plan.runId, first);
    const { workspace } = await openWorkspace({ dir: await tempFolder(), blobs, sources });
    expect(await readFile(join(workspace.dir, 'docs/brief.md'), 'utf8')).toBe('# Brief\n');
    expect([...(await readFile(join(workspace.dir, 'assets/logo.bin')))]).toEqual([0, 1, 2, 255]);
  });

  it('count for the same request when the key is the same', async () => {
    const request = { inputs, files: { 'a.txt': { text: 'a' } } };
    const headers = { 'idempotency-key': 'with-files' };
    const first = await execute(request, 'diamond', headers);
    expect(await execute(request, 'diamond', headers)).toEqual(first);
    const other = { inputs, files: { 'a.txt': { text: 'b' } } };
    expect((await execute(other, 'diamond', headers)).status).toBe(409);
  });

  it('are refused when nobody sent them, when they are no text, and when they are too large', async () => {
    const secret = await blobs.put(Buffer.from('what another run keeps'));
    for (const request of [
      { inputs: { requirement: { upload: secret } } },
      { inputs, files: { 'a.txt': { upload: secret } } },
      { inputs, records: { name: 'records.yaml', upload: secret } },
    ]) {
      const { status, body } = await execute(request);
      expect([status, body['detail']]).toEqual([400, expect.stringMatching(/nothing was uploaded as/)]);
    }
    const bytes = await upload(new Uint8Array([0xff, 0xfe, 0xfd]));
    expect((await execute({ inputs: { requirement: { upload: bytes } } })).body['detail']).toMatch(/not text in UTF-8/);
    const large = new Uint8Array(MOST_UPLOAD_BYTES + 1);
    const refused = await post('/api/uploads', large).catch(() => 'cut off');
    expect(refused === 'cut off' || (typeof refused !== 'string' && refused.status === 413)).toBe(true);
  });

  it('are answered 413 when one of unknown length turns out too large', async () => {
    const body = Readable.from(Array.from({ length: 17 }, () => Buffer.alloc(1024 * 1024)));
    const request = send(`${url}/api/uploads`, { method: 'POST' });
    const answered = once(request, 'response');
    body.pipe(request);
    expect(await answered).toMatchObject([{ statusCode: 413 }]);
  });

  it('take places in turn: four of one sender and eight in all, and give them back however they end', async () => {
    const { url: own, tokenFor } = await apiFixture({ arrivalMs: { headers: 20_000, request: 60_000 } });
    const [one, two, three] = [
      await tokenFor('one', ['run']),
      await tokenFor('two', ['run']),
      await tokenFor('three', ['run']),
    ];
    const open = (token: string) =>
      openUpload(own, { authorization: `Bearer ${token}`, 'transfer-encoding': 'chunked' });
    const small = async (token: string): Promise<unknown> => {
      const response = await fetch(`${own}/api/uploads`, { method: 'POST', body: 'x', headers: bearer(token) });
      const { status, detail } = z
        .object({ status: z.number().default(201), detail: z.string().default('') })
        .parse(await response.json());
      return [status, detail];
    };
    const ones = Array.from({ length: 4 }, () => open(one));
    await expect.poll(() => small(one)).toEqual([429, '4 uploads of this token are being read already']);
    expect(await small(two)).toEqual([201, '']);
    const twos = Array.from({ length: 4 }, () => open(two));
    await expect.poll(() => small(three)).toEqual([429, '8 uploads are being read already']);
    twos[0]?.request.end();
    expect(await twos[0]?.answered).toMatchObject({ statusCode: 201 });
    expect(await small(three)).toEqual([201, '']);
    for (const { request } of ones) request.destroy();
    await expect.poll(() => small(one)).toEqual([201, '']);
    for (const { request } of twos) request.destroy();
  });

  it('are answered 408 and give their place back when nothing more of them comes', async () => {
    const { url: own } = await apiFixture({ arrivalMs: { headers: 20_000, request: 60_000, uploadSilent: 300 } });
    const stalled = Array.from({ length: 4 }, () => openUpload(own, { 'content-length': '10' }));
    for (const { answered } of stalled) {
      const response = await answered;
      expect(response).toMatchObject({ statusCode: 408, headers: { connection: 'close' } });
      expect(Problem.parse(await json(response))).toMatchObject({
        detail: 'nothing more of the upload came for 0.3 s',
      });
    }
    expect((await fetch(`${own}/api/uploads`, { method: 'POST', body: 'x' })).status).toBe(201);
  });

  it('are ended with their request when they come a little at a time, also for a sender that does not hang up', async () => {
    const { url: own } = await apiFixture({ arrivalMs: { headers: 300, request: 600 } });
    const { port } = new URL(own);
    const drip = async (): Promise<string> => {
      const socket = connect({ port: Number(port), host: '127.0.0.1', allowHalfOpen: true });
      socket.on('error', () => undefined);
      socket.write('POST /api/uploads HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n');
      const dripping = setInterval(() => socket.write('x'), 20);
      let answer = '';
      socket.on('data', (chunk: Buffer) => (answer += chunk.toString()));
      // It goes on sending until it is cut off.
      await new Promise((resolve) => socket.on('close', resolve));
      clearInterval(dripping);
      return answer;
    };
    const answers = await Promise.all(Array.from({ length: 4 }, drip));
    for (const answer of answers) expect(answer).toMatch(/^HTTP\/1\.1 408 /);
    expect((await fetch(`${own}/api/uploads`, { method: 'POST', body: 'x' })).status).toBe(201);
  });

  it('have a limit for each caller and day', async () => {
    const today = new Date().toISOString().slice(0, 10);
    const key = `${prefix}:maestro:uploaded:${today}:local:local`;
    const before = Number(await redis.get(key));
    await upload('12345');
    expect(Number(await redis.get(key))).toBe(before + 5);
    await redis.set(key, 1024 ** 3);
    expect((await post('/api/uploads', '1')).status).toBe(429);
    await redis.del(key);
  });

  it.each(['../x', '/etc/passwd', 'a/../../x', '.git/config', 'a/.GIT/hooks/x', 'a\\b', 'a//b', '', './a', 'a\u0000b'])(
    'never leave the workspace: %j',
    async (path) => {
      const { status, body } = await execute({ inputs, files: { [path]: { text: 'x' } } });
      expect([status, Problem.parse(body).code]).toEqual([400, 'BAD_INPUT']);
    },
  );

  it('cannot be a file and a folder at once, nor too many', async () => {
    expect((await execute({ inputs, files: { a: { text: '' }, 'a/b': { text: '' } } })).status).toBe(400);
    const many = Object.fromEntries(Array.from({ length: 201 }, (_, index) => [`f${index}`, { text: 'x' }]));
    expect((await execute({ inputs, files: many })).status).toBe(400);
  });
});

describe('expired uploads', () => {
  const day = 24 * 3_600_000;
  const start = Date.parse('2026-01-01T23:59:59Z');
  /** Servers that share everything, and a clock. */
  async function replicas() {
    const folder = await tempFolder();
    let now = start;
    const open = () =>
      new Uploads({
        redis,
        prefix: `${prefix}-${folder}`,
        blobs: openBlobStore(folder),
        clock: () => Promise.resolve(now),
      });
    const servers = [open(), open(), open()] as const;
    const shelves = async () => (await openBlobStore(folder).shelves()).toSorted();
    return { servers, shelves, blobs: openBlobStore(folder), pass: (days: number) => (now = start + days * day) };
  }
  const content = Buffer.from('sent more than once');

  it('are deleted when none of their day can be named, by however many servers, and nothing else is', async () => {
    const { servers, shelves, blobs: stored, pass } = await replicas();
    const [first] = servers;
    const { ref, expiresAt } = await first.receive(content, 'somebody');
    expect(expiresAt).toBe('2026-01-08T23:59:59.000Z');
    await stored.put(content);
    const others = stored.shelf('of-something-else');
    await others.put(content);
    pass(8);
    expect(await Promise.all(servers.map((one) => one.sweep()))).toEqual([[], [], []]);
    expect(Buffer.from(await first.read(ref))).toEqual(content);
    pass(9);
    expect((await Promise.all(servers.map((one) => one.sweep()))).flat()).toContain('2026-01-01');
    expect(await shelves()).toEqual(['of-something-else']);
    expect([await stored.has(ref), await others.has(ref)]).toEqual([true, true]);
  });

  it('never take with them what is sent anew while they are deleted', async () => {
    const { servers, shelves, pass } = await replicas();
    const [one, two, three] = servers;
    const { ref } = await one.receive(content, 'somebody');
    for (let round = 1; round <= 20; round += 1) {
      pass(round * 9);
      // Each of them sees its old copy go while it comes again, is named, and is still there afterwards.
      const named = async (at: Uploads): Promise<void> => {
        await at.receive(content, 'somebody else');
        expect(Buffer.from(await at.read(ref))).toEqual(content);
      };
      await Promise.all([one.sweep(), named(two), two.sweep(), named(three), three.sweep(), one.sweep()]);
      expect(Buffer.from(await one.read(ref))).toEqual(content);
      expect(await shelves()).toHaveLength(1);
    }
  });

  it('are no longer needed by the runs that were given them', async () => {
    const ref = await upload('a requirement, and a file as well');
    const files = { 'brief.md': { upload: ref } };
    const { body } = await execute({ inputs: { requirement: { upload: ref } }, files });
    for (const name of await blobs.shelves()) await blobs.clearShelf(name);
    const plan = await store.getPlan(String(body['runId']));
    const [first] = plan.phases;
    const sources = first === undefined ? [] : await neededSources(store, plan.runId, first);
    const { workspace } = await openWorkspace({ dir: await tempFolder(), blobs, sources });
    expect(await readFile(join(workspace.dir, 'brief.md'), 'utf8')).toBe('a requirement, and a file as well');
    expect(plan.inputs['requirement']).toBe('a requirement, and a file as well');
  });

  it('are deleted by a server that starts', async () => {
    await blobs.shelf('uploads-2020-02-29').put(content);
    expect(await blobs.shelves()).toContain('uploads-2020-02-29');
    await serve();
    await expect.poll(() => blobs.shelves()).not.toContain('uploads-2020-02-29');
  });
});

describe('uploaded workflows', () => {
  const named = (name: string, more = ''): string => DIAMOND.replace('name: diamond', `name: ${name}`) + more;

  it('are checked, kept by digest, listed and run by name', async () => {
    const first = await post('/api/workflows', named('mine'));
    expect([first.status, first.body]).toMatchObject([201, { name: 'mine', uploaded: true }]);
    expect((await post('/api/workflows', named('mine'))).status).toBe(200);
    const second = await post('/api/workflows', named('mine', '# another version\n'));
    expect(second.body['digest']).not.toBe(first.body['digest']);
    const newest = await execute({ inputs }, 'mine');
    expect((await store.getPlan(String(newest.body['runId']))).workflowDigest).toBe(second.body['digest']);
    const pinned = await execute({ inputs, workflowDigest: first.body['digest'] }, 'mine');
    expect((await store.getPlan(String(pinned.body['runId']))).workflowDigest).toBe(first.body['digest']);
    const unknown = `sha256:${'0'.repeat(64)}`;
    expect((await execute({ inputs, workflowDigest: unknown }, 'mine')).status).toBe(404);
    expect((await execute({ inputs, workflowDigest: unknown }, 'diamond')).status).toBe(409);
    const list = await (await fetch(`${url}/api/workflows`)).json();
    expect(list).toMatchObject({
      workflows: [
        { name: 'diamond', uploaded: false },
        { name: 'mine', uploaded: true },
      ],
    });
  });

  it('are refused with line and column, when they take a shipped name, and when they reach for files', async () => {
    const broken = await post('/api/workflows', 'apiVersion: maestro/v1\nname: broken\nphases: 3\n');
    expect([broken.status, broken.body['detail']]).toEqual([400, expect.stringMatching(/workflow\.yaml:3:9/)]);
    const nobody = await post('/api/workflows', named('nobody').replace('persona: analyst', 'persona: analist'));
    expect([nobody.status, nobody.body['detail']]).toEqual([400, expect.stringMatching(/did you mean "analyst"/)]);
    expect((await post('/api/workflows', named('diamond', '# mine\n'))).status).toBe(409);
    const reaching = 'apiVersion: maestro/v1\nname: reaching\nphases:\n  a: { workflow: /etc/passwd }\n';
    const refused = await post('/api/workflows', reaching);
    expect([refused.status, refused.body['detail']]).toEqual([400, expect.stringMatching(/no shipped workflow/)]);
    const bomb = `a: &a [x]\n${Array.from({ length: 30 }, (_, n) => `b${n}: &b${n} [*${n === 0 ? 'a' : `b${n - 1}`},*${n === 0 ? 'a' : `b${n - 1}`}]`).join('\n')}\n`;
    expect((await post('/api/workflows', bomb)).status).toBe(400);
    expect((await post('/api/workflows', '['.repeat(200_000))).status).toBe(400);
    expect((await post('/api/workflows', `a: ${'{a: '.repeat(50_000)}`)).status).toBe(400);
  });
});
