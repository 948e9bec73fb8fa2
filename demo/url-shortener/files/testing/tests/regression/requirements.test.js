import assert from 'node:assert/strict';
import { appendFile, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { LinkStore } from '../../src/backend/link-store.js';
import { checkAlias, checkTarget } from '../../src/shared/link-rules.js';
import { startForTest } from '../integration/service-fixture.js';

const url = 'https://example.com/';

test('FR-1: two links to the same address are two links', async (t) => {
  const { create } = await startForTest(t);
  const [one, two] = await Promise.all([create({ url }), create({ url })]);
  assert.notEqual((await one.json()).code, (await two.json()).code);
});

test('FR-2: the normal form of a target is what is stored', () => {
  assert.equal(checkTarget('HTTPS://EXAMPLE.com:443/%7Ea').value, 'https://example.com/%7Ea');
});

test('FR-3: an alias is told apart by case, a reserved one is not', () => {
  assert.equal(checkAlias('Docs').value, 'Docs');
  assert.equal(checkAlias('MeTrIcS').ok, false);
});

test('FR-4: a query behind a short link does not change where it leads', async (t) => {
  const { call, create } = await startForTest(t);
  await create({ url, alias: 'launch' });
  assert.equal((await call('/launch?utm=mail')).headers.get('location'), url);
});

test('FR-5: reading a link is not a visit', async (t) => {
  const { call, create } = await startForTest(t);
  await create({ url, alias: 'launch' });
  await call('/api/links/launch');
  assert.equal((await (await call('/api/links/launch/stats')).json()).clicks, 0);
});

test('FR-6: a deleted alias can be used again and begins without visits', async (t) => {
  const { call, create } = await startForTest(t);
  await create({ url, alias: 'launch' });
  await call('/launch');
  await call('/api/links/launch', { method: 'DELETE' });
  assert.equal((await (await create({ url: 'https://example.org/', alias: 'launch' })).json()).clicks, 0);
});

test('FR-7: the number of links falls when one is deleted', async (t) => {
  const { call, create } = await startForTest(t);
  await create({ url, alias: 'launch' });
  await call('/api/links/launch', { method: 'DELETE' });
  assert.match(await (await call('/metrics')).text(), /^links_total 0$/m);
});

test('FR-8: a crash in the middle of a write loses nothing that was confirmed', async (t) => {
  const folder = await mkdtemp(path.join(tmpdir(), 'crash-'));
  t.after(() => rm(folder, { recursive: true }));
  const first = await LinkStore.open(folder);
  await first.create({ url, alias: 'launch' });
  await first.close();
  await appendFile(path.join(folder, 'links.jsonl'), '{"type":"created","code":"half');
  const second = await LinkStore.open(folder);
  await second.create({ url, alias: 'again' });
  await second.close();
  const third = await LinkStore.open(folder);
  assert.deepEqual(third.list({ limit: 9, offset: 0 }).map(({ code }) => code), ['again', 'launch']);
  await third.close();
});

test('FR-9: every column of the export is a column of the schema', async (t) => {
  const { call, create } = await startForTest(t);
  await create({ url, alias: 'launch' });
  await call('/launch');
  const schema = await readFile(new URL('../../db/schema.sql', import.meta.url), 'utf8');
  const tables = new Map([...schema.matchAll(/CREATE TABLE (\w+) \(([\s\S]*?)\n\);/g)].map(([, name, body]) => [name, body]));
  const sql = await (await call('/api/export')).text();
  for (const [, table, columns] of sql.matchAll(/INSERT INTO (\w+) \(([^)]+)\)/g)) {
    for (const column of columns.split(', ')) assert.match(tables.get(table), new RegExp(`^  ${column} `, 'm'));
  }
});

test('FR-10: each refusal is a problem object with its own status', async (t) => {
  const { call, create } = await startForTest(t);
  for (const response of [await call('/nowhere'), await create({ url: 1 }), await call('/api/links', { method: 'PUT' })]) {
    const problem = await response.json();
    assert.deepEqual(Object.keys(problem), ['type', 'title', 'status', 'detail']);
    assert.equal(problem.status, response.status);
  }
});

test('FR-11: the page has every component of its specification', async (t) => {
  const { call } = await startForTest(t);
  const page = await (await call('/')).text();
  const specification = await readFile(new URL('../../docs/design/ui-components.yaml', import.meta.url), 'utf8');
  const names = [...specification.matchAll(/\[data-component="([^"]+)"\]/g)].map(([, name]) => name);
  assert.ok(names.length >= 10);
  for (const name of names) assert.ok(page.includes(`data-component="${name}"`), name);
});
