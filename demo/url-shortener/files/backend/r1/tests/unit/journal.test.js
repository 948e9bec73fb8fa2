import assert from 'node:assert/strict';
import { appendFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { Journal } from '../../src/backend/journal.js';

const created = { type: 'created', code: 'abc', url: 'https://example.com/', at: '2026-01-01T00:00:00.000Z' };
let folder = '';
let file = '';

beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'journal-'));
  file = path.join(folder, 'links.jsonl');
});
afterEach(() => rm(folder, { recursive: true }));

test('a new folder has an empty journal', async () => {
  const { journal, entries } = await Journal.open(path.join(folder, 'deep', 'down'));
  assert.deepEqual(entries, []);
  await journal.close();
});

test('entries are read back in the order in which they were appended', async () => {
  const { journal } = await Journal.open(folder);
  const removed = { type: 'removed', code: 'abc', at: created.at };
  await Promise.all([journal.append(created, { durable: true }), journal.append(removed, { durable: false })]);
  await journal.close();
  const again = await Journal.open(folder);
  assert.deepEqual(again.entries, [created, removed]);
  await again.journal.close();
});

test('half a line left by a crash is cut off, and the journal goes on behind it', async () => {
  await writeFile(file, `${JSON.stringify(created)}\n{"type":"cre`);
  const { journal, entries } = await Journal.open(folder);
  assert.deepEqual(entries, [created]);
  await journal.append({ ...created, code: 'next' }, { durable: true });
  await journal.close();
  assert.equal((await readFile(file, 'utf8')).split('\n').length, 3);
});

test('a damaged line in the middle is refused with its place', async () => {
  await writeFile(file, `${JSON.stringify(created)}\nnot json\n`);
  await appendFile(file, `${JSON.stringify(created)}\n`);
  await assert.rejects(Journal.open(folder), /links\.jsonl:2 is damaged/);
});

test('a failed append is told to its caller', async () => {
  const { journal } = await Journal.open(folder);
  await journal.close();
  await assert.rejects(journal.append(created, { durable: true }));
});
