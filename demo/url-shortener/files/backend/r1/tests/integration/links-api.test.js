import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startForTest } from './service-fixture.js';

const url = 'https://example.com/release-notes';

/** @param {Response} response */
async function problemOf(response) {
  assert.equal(response.headers.get('content-type'), 'application/problem+json');
  const problem = await response.json();
  assert.equal(problem.status, response.status);
  return problem;
}

test('a link is created, read, followed, listed and deleted', async (t) => {
  const { host, call, create } = await startForTest(t);
  const created = await create({ url, alias: 'notes' });
  assert.equal(created.status, 201);
  assert.equal(created.headers.get('location'), '/api/links/notes');
  const link = await created.json();
  assert.equal(link.shortUrl, `${host.url}/notes`);
  assert.deepEqual(await (await call('/api/links/notes')).json(), link);

  const redirect = await call('/notes');
  assert.equal(redirect.status, 302);
  assert.equal(redirect.headers.get('location'), url);
  assert.equal(await redirect.text(), `Redirecting to ${url}\n`);

  const list = await (await call('/api/links')).json();
  assert.equal(list.total, 1);
  assert.equal(list.links[0].clicks, 1);

  assert.equal((await call('/api/links/notes', { method: 'DELETE' })).status, 200);
  assert.equal((await call('/notes')).status, 404);
});

test('statistics count the visits of each day', async (t) => {
  const { call, create } = await startForTest(t);
  await create({ url, alias: 'notes' });
  const before = await (await call('/api/links/notes/stats')).json();
  assert.deepEqual(before, { code: 'notes', clicks: 0, lastAccessedAt: null, daily: [] });
  await call('/notes');
  await call('/notes');
  await call('/notes', { method: 'HEAD' });
  const stats = await (await call('/api/links/notes/stats')).json();
  assert.equal(stats.clicks, 2);
  assert.deepEqual(stats.daily, [{ day: stats.lastAccessedAt.slice(0, 10), clicks: 2 }]);
});

test('a link without an alias gets a code of its own', async (t) => {
  const { create } = await startForTest(t);
  const first = await (await create({ url })).json();
  const second = await (await create({ url })).json();
  assert.match(first.code, /^[A-Za-z0-9]{8}$/);
  assert.notEqual(first.code, second.code);
});

test('the same wish twice is answered with the link there is', async (t) => {
  const { create } = await startForTest(t);
  assert.equal((await create({ url, alias: 'notes' })).status, 201);
  assert.equal((await create({ url, alias: 'notes' })).status, 200);
  const conflict = await create({ url: 'https://example.org/', alias: 'notes' });
  assert.equal(conflict.status, 409);
  assert.match((await problemOf(conflict)).detail, /already leads to another address/);
});

test('a target or alias that breaks a rule is refused with the reason', async (t) => {
  const { create } = await startForTest(t);
  for (const [body, reason] of [
    [{}, /Enter the address/],
    [{ url: 'javascript:alert(1)' }, /Only http and https/],
    [{ url, alias: 'a' }, /3 to 32/],
    [{ url, alias: 'metrics' }, /reserved/],
  ]) {
    const response = await create(body);
    assert.equal(response.status, 422);
    assert.match((await problemOf(response)).detail, reason);
  }
});

test('a body that is no JSON object is refused', async (t) => {
  const { call } = await startForTest(t);
  const post = (body, type = 'application/json') =>
    call('/api/links', { method: 'POST', headers: { 'content-type': type }, body });
  assert.equal((await problemOf(await post('{'))).status, 400);
  assert.equal((await problemOf(await post('[]'))).status, 400);
  assert.equal((await problemOf(await post('null'))).status, 400);
  assert.equal((await problemOf(await post('{}', 'text/plain'))).status, 415);
});

test('paging parameters out of their bounds are refused', async (t) => {
  const { call } = await startForTest(t);
  for (const query of ['limit=0', 'limit=101', 'limit=ten', 'limit=', 'offset=-1', 'offset=1.5']) {
    assert.equal((await problemOf(await call(`/api/links?${query}`))).status, 400, query);
  }
  assert.equal((await call('/api/links?limit=1&offset=5')).status, 200);
});

test('an unknown code answers 404 everywhere', async (t) => {
  const { call } = await startForTest(t);
  for (const [path, method] of [
    ['/missing', 'GET'],
    ['/api/links/missing', 'GET'],
    ['/api/links/missing', 'DELETE'],
    ['/api/links/missing/stats', 'GET'],
  ]) {
    assert.match((await problemOf(await call(path, { method }))).detail, /no short link "missing"/);
  }
});
