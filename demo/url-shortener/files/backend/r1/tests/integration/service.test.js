import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { createApp } from '../../src/backend/app.js';
import { startService } from '../../src/backend/service.js';
import { hostHttp } from '../../src/shared/http-host.js';
import { startForTest } from './service-fixture.js';

const url = 'https://example.com/';

test('the service says that it is well', async (t) => {
  const { call } = await startForTest(t);
  const response = await call('/healthz');
  assert.equal(response.status, 200);
  assert.deepEqual(await response.json(), { status: 'ok', links: 0, uptimeSeconds: 0 });
});

test('metrics count what was answered', async (t) => {
  const { call, create } = await startForTest(t);
  await create({ url, alias: 'notes' });
  await call('/notes');
  await call('/nowhere/at/all', { method: 'PATCH' });
  const response = await call('/metrics');
  const text = await response.text();
  assert.match(response.headers.get('content-type') ?? '', /version=0\.0\.4/);
  assert.match(text, /^links_total 1$/m);
  assert.match(text, /method="GET",route="\/\{code\}",status="302"\} 1/);
  assert.match(text, /method="other",route="other",status="404"\} 1/);
});

test('the export holds every link', async (t) => {
  const { call, create } = await startForTest(t);
  await create({ url, alias: 'notes' });
  await call('/notes');
  const text = await (await call('/api/export')).text();
  assert.match(text, /INSERT INTO links .*'notes'/);
  assert.match(text, /INSERT INTO daily_clicks .*'notes'/);
});

test('a path of the service names the methods it answers', async (t) => {
  const { call } = await startForTest(t);
  const response = await call('/api/links', { method: 'PUT' });
  assert.equal(response.status, 405);
  assert.equal(response.headers.get('allow'), 'POST, GET');
});

test('every answer carries the security headers', async (t) => {
  const { call } = await startForTest(t);
  for (const pathname of ['/healthz', '/missing', '/api/links?limit=x']) {
    const { headers } = await call(pathname);
    assert.equal(headers.get('x-content-type-options'), 'nosniff');
    assert.equal(headers.get('x-frame-options'), 'DENY');
  }
});

test('links are still there after a restart', async (t) => {
  const folder = await mkdtemp(path.join(tmpdir(), 'restart-'));
  t.after(() => rm(folder, { recursive: true }));
  const settings = { port: 0, dataDir: folder, publicUrl: 'https://go.example.com' };
  const first = await startService(settings);
  const body = JSON.stringify({ url, alias: 'notes' });
  await fetch(`${first.url}/api/links`, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
  await Promise.all([first.stop(), first.stop()]);
  const second = await startService(settings);
  const link = await (await fetch(`${second.url}/api/links/notes`)).json();
  assert.equal(link.shortUrl, 'https://go.example.com/notes');
  await second.stop();
});

test('a port in use is told, and the journal is closed', async (t) => {
  const { host, folder } = await startForTest(t);
  const dataDir = path.join(folder, 'second');
  await mkdir(dataDir);
  await assert.rejects(startService({ port: host.port, dataDir, publicUrl: undefined }), { code: 'EADDRINUSE' });
});

test('a fault inside is logged, and the client learns no details', async (t) => {
  const logged = [];
  const store = {
    list: () => {
      throw new Error('disk on fire');
    },
  };
  const app = createApp({ store, publicUrl: () => '', log: (message) => logged.push(message) });
  const host = await hostHttp(app, { port: 0 });
  t.after(() => host.stop());
  const response = await fetch(`${host.url}/api/links`);
  assert.equal(response.status, 500);
  assert.doesNotMatch(await response.text(), /fire/);
  assert.match(logged.join('\n'), /disk on fire/);
});
