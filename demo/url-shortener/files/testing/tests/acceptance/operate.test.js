import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { startService } from '../../src/backend/service.js';
import { startForTest } from '../integration/service-fixture.js';

const url = 'https://example.com/launch';

test('US-6: links and visits survive a restart', async (t) => {
  const folder = await mkdtemp(path.join(tmpdir(), 'operate-'));
  t.after(() => rm(folder, { recursive: true }));
  const first = await startService({ port: 0, dataDir: folder, publicUrl: undefined });
  const body = JSON.stringify({ url, alias: 'launch' });
  await fetch(`${first.url}/api/links`, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
  for (let visit = 0; visit < 2; visit += 1) await fetch(`${first.url}/launch`, { redirect: 'manual' });
  await first.stop();

  const second = await startService({ port: 0, dataDir: folder, publicUrl: undefined });
  t.after(() => second.stop());
  const stats = await (await fetch(`${second.url}/api/links/launch/stats`)).json();
  assert.equal(stats.clicks, 2);
  assert.equal((await fetch(`${second.url}/launch`, { redirect: 'manual' })).status, 302);
});

test('US-6: health and metrics are reported', async (t) => {
  const { call, create } = await startForTest(t);
  await create({ url });
  assert.equal((await (await call('/healthz')).json()).status, 'ok');
  assert.match(await (await call('/metrics')).text(), /^links_total 1$/m);
});

test('US-7: all links are exported as SQL', async (t) => {
  const { call, create } = await startForTest(t);
  await create({ url, alias: 'launch' });
  for (let visit = 0; visit < 2; visit += 1) await call('/launch');
  const lines = (await (await call('/api/export')).text()).trim().split('\n');
  assert.equal(lines.at(0), 'BEGIN;');
  assert.match(lines[1], /^INSERT INTO links .*'launch'/);
  assert.match(lines[2], /^INSERT INTO daily_clicks .*'launch', '\d{4}-\d{2}-\d{2}', 2\);$/);
  assert.equal(lines.at(-1), 'COMMIT;');
});
