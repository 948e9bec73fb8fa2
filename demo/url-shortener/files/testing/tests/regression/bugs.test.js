import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startForTest } from '../integration/service-fixture.js';

test('BUG-1: the statistics of a link are answered and not refused with 501', async (t) => {
  const { call, create } = await startForTest(t);
  await create({ url: 'https://example.com/', alias: 'launch' });
  await call('/launch');
  const response = await call('/api/links/launch/stats');
  assert.equal(response.status, 200);
  assert.equal((await response.json()).clicks, 1);
});
