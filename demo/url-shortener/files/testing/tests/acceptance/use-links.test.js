import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startForTest } from '../integration/service-fixture.js';

const url = 'https://example.com/launch';

test('US-3: links are listed newest first and can be deleted', async (t) => {
  const { call, create } = await startForTest(t);
  const codes = async () => (await (await call('/api/links')).json()).links.map(({ code }) => code);
  await create({ url, alias: 'first' });
  await create({ url, alias: 'second' });
  assert.deepEqual(await codes(), ['second', 'first']);
  await call('/api/links/second', { method: 'DELETE' });
  assert.deepEqual(await codes(), ['first']);
});

test('US-3: the page is served and loads all its modules', async (t) => {
  const { call } = await startForTest(t);
  const page = await (await call('/')).text();
  for (const [, path] of page.matchAll(/(?:src|href)="(\/[a-z]+\.(?:js|css|svg))"/g)) {
    assert.equal((await call(path)).status, 200, path);
  }
  assert.equal((await call('/shared/link-rules.js')).status, 200);
});

test('US-4: visits are counted per day', async (t) => {
  const { call, create } = await startForTest(t);
  await create({ url, alias: 'launch' });
  for (let visit = 0; visit < 3; visit += 1) await call('/launch');
  const stats = await (await call('/api/links/launch/stats')).json();
  assert.equal(stats.clicks, 3);
  assert.equal(stats.daily.reduce((sum, { clicks }) => sum + clicks, 0), 3);
});

test('US-5: a short link redirects at once', async (t) => {
  const { call, create } = await startForTest(t);
  await create({ url, alias: 'launch' });
  const response = await call('/launch');
  assert.equal(response.status, 302);
  assert.equal(response.headers.get('location'), url);
});

test('US-5: an unknown short link is not found', async (t) => {
  const { call } = await startForTest(t);
  const response = await call('/nowhere');
  assert.equal(response.status, 404);
  assert.equal(response.headers.get('content-type'), 'application/problem+json');
});
