import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { request as send } from 'node:http';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { Problem } from '../../src/producer/api-schemas.ts';
import { MOST_UPLOAD_BYTES } from '../../src/producer/uploads.ts';
import { openWorkspace } from '../../src/shared/workspace.ts';
import { neededSources } from '../../src/workers/needed-sources.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { apiFixture } from './api-support.ts';
import { DIAMOND } from './fixture.ts';

const { url, blobs, store, redis, prefix } = await apiFixture();

async function post(path: string, body: string | Uint8Array<ArrayBuffer>, headers: Record<string, string> = {}) {
  const response = await fetch(`${url}${path}`, { method: 'POST', body, headers });
  return { status: response.status, body: z.record(z.string(), z.unknown()).parse(await response.json()) };
}
const upload = async (content: string | Uint8Array<ArrayBuffer>): Promise<string> =>
  String((await post('/api/uploads', content)).body['ref']);
const execute = (request: unknown, name = 'diamond', headers: Record<string, string> = {}) =>
  post(`/api/workflows/${name}/execute`, JSON.stringify(request), headers);
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
