import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLinkTable, describeCount, filterLinks } from '../../src/frontend/link-table.js';
import { FakeDocument, link } from './fake-document.js';

const links = [link({ code: 'docs' }), link({ code: 'news', url: 'https://example.org/Daily' })];

function tableIn(document) {
  const pressed = [];
  const note = (what) => (of) => pressed.push(`${what} ${of.code}`);
  const table = createLinkTable(document, { onCopy: note('copy'), onStats: note('stats'), onDelete: note('delete') });
  return { table, pressed };
}

test('links are filtered by code and address in any case', () => {
  assert.equal(filterLinks(links, ' ').length, 2);
  assert.deepEqual(filterLinks(links, 'DAILY').map(({ code }) => code), ['news']);
  assert.deepEqual(filterLinks(links, 'doc').map(({ code }) => code), ['docs']);
});

test('the count says how many are shown of how many', () => {
  assert.equal(describeCount({ shown: 0, total: 0 }), 'No links yet.');
  assert.equal(describeCount({ shown: 1, total: 1 }), '1 link.');
  assert.equal(describeCount({ shown: 1, total: 5 }), '1 of 5 links.');
});

test('each link is a row with its address, visits and actions', () => {
  const document = new FakeDocument();
  const { table, pressed } = tableIn(document);
  table.show(links, { total: 2, filter: '' });
  const rows = document.component('link-rows');
  assert.equal(rows.all('tr').length, 2);
  assert.equal(rows.all('a')[0].attributes.href, 'http://127.0.0.1/docs');
  for (const button of rows.all('button').slice(0, 3)) button.dispatch('click');
  assert.deepEqual(pressed, ['copy docs', 'stats docs', 'delete docs']);
});

test('an empty table says why it is empty', () => {
  const document = new FakeDocument();
  const { table } = tableIn(document);
  table.show([], { total: 0, filter: '' });
  assert.match(document.component('link-rows').textContent, /appear here/);
  table.show(links, { total: 2, filter: 'nothing like it' });
  assert.match(document.component('link-rows').textContent, /No link matches/);
});
