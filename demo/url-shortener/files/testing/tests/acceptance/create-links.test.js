import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startForTest } from '../integration/service-fixture.js';

test('US-1: a valid address is shortened', async (t) => {
  const { call, create } = await startForTest(t);
  const url = 'https://example.com/a/very/long/address';
  const { code, shortUrl } = await (await create({ url })).json();
  assert.match(code, /^[A-Za-z0-9]{8}$/);
  const response = await call(new URL(shortUrl).pathname);
  assert.equal(response.headers.get('location'), url);
});

for (const [target, reason] of [
  ['javascript:alert(1)', 'Only http and https addresses can be shortened.'],
  ['not an address', 'The address is not a complete URL.'],
  ['https://me@example.com/', 'The address must not contain a user name or password.'],
]) {
  test(`US-1: the target "${target}" is refused with the reason`, async (t) => {
    const { create } = await startForTest(t);
    const response = await create({ url: target });
    assert.equal(response.status, 422);
    assert.equal((await response.json()).detail, reason);
  });
}

test('US-2: a free alias becomes the code', async (t) => {
  const { create } = await startForTest(t);
  const link = await (await create({ url: 'https://example.com/launch', alias: 'launch' })).json();
  assert.ok(link.shortUrl.endsWith('/launch'));
});

test('US-2: an alias of another address is refused and keeps its target', async (t) => {
  const { call, create } = await startForTest(t);
  await create({ url: 'https://example.com/launch', alias: 'launch' });
  assert.equal((await create({ url: 'https://example.org/', alias: 'launch' })).status, 409);
  assert.equal((await call('/launch')).headers.get('location'), 'https://example.com/launch');
});
