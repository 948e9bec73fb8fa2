import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { LinkStore } from '../../src/backend/link-store.js';

test('a link that was created is found again', async (t) => {
  const folder = await mkdtemp(path.join(tmpdir(), 'links-'));
  t.after(() => rm(folder, { recursive: true }));
  const store = await LinkStore.open(folder);
  const { link } = await store.create({ url: 'https://example.com/' });
  assert.equal(store.get(link.code)?.url, 'https://example.com/');
  await store.close();
});
