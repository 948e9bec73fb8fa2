import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startForTest } from './service-fixture.js';

test('the service says that it is well', async (t) => {
  const { call } = await startForTest(t);
  const response = await call('/healthz');
  assert.equal(response.status, 200);
  assert.deepEqual(await response.json(), { status: 'ok', links: 0, uptimeSeconds: 0 });
});
