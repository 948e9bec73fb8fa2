import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { AliasTakenError, LinkStore } from '../../src/backend/link-store.js';

const url = 'https://example.com/';
let folder = '';
let now = new Date('2026-03-01T10:00:00.000Z');
let store;

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'store-'));
  store = await LinkStore.open(folder, () => now);
});
afterEach(async () => {
  await store.close();
  await rm(folder, { recursive: true });
});

async function reopen() {
  await store.close();
  store = await LinkStore.open(folder, () => now);
}

test('a link is found by its code and survives a restart', async () => {
  const { link, isNew } = await store.create({ url });
  assert.equal(isNew, true);
  await reopen();
  assert.equal(store.get(link.code)?.url, url);
  assert.equal(store.get(link.code)?.createdAt, '2026-03-01T10:00:00.000Z');
});

test('the same alias and address again is the same link', async () => {
  await store.create({ url, alias: 'docs' });
  assert.equal((await store.create({ url, alias: 'docs' })).isNew, false);
  assert.equal(store.size, 1);
});

test('an alias for another address is refused, also while the first is being written', async () => {
  const first = store.create({ url, alias: 'docs' });
  await assert.rejects(store.create({ url: 'https://example.org/', alias: 'docs' }), AliasTakenError);
  await first;
  await assert.rejects(store.create({ url: 'https://example.org/', alias: 'docs' }), AliasTakenError);
});

test('visits are counted by day and survive a restart', async () => {
  await store.create({ url, alias: 'docs' });
  await store.recordClick('docs');
  now = new Date('2026-03-02T08:00:00.000Z');
  await store.recordClick('docs');
  await store.recordClick('docs');
  await reopen();
  const link = store.get('docs');
  assert.equal(link?.clicks, 3);
  assert.equal(link?.lastAccessedAt, '2026-03-02T08:00:00.000Z');
  assert.deepEqual([...(link?.daily ?? [])], [['2026-03-01', 1], ['2026-03-02', 2]]);
});

test('a removed link stays removed after a restart', async () => {
  await store.create({ url, alias: 'docs' });
  assert.equal((await store.remove('docs'))?.code, 'docs');
  assert.equal(await store.remove('docs'), undefined);
  await reopen();
  assert.equal(store.size, 0);
});

test('a visit to a link that was removed meanwhile changes nothing', async () => {
  await store.recordClick('gone');
  assert.equal(store.size, 0);
});

test('links are listed newest first, a page at a time', async () => {
  for (const alias of ['one', 'two', 'three']) await store.create({ url, alias });
  const codes = (page) => store.list(page).map(({ code }) => code);
  assert.deepEqual(codes({ limit: 2, offset: 0 }), ['three', 'two']);
  assert.deepEqual(codes({ limit: 2, offset: 2 }), ['one']);
  assert.deepEqual(codes({ limit: 2, offset: 9 }), []);
});
