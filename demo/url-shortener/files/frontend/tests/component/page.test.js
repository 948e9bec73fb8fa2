import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startPage } from '../../src/frontend/page.js';
import { FakeDocument, fakeFetch, json, link, problem } from './fake-document.js';

const list = (...links) => json({ links, total: links.length });

async function pageWith(answers, copy = async () => {}) {
  const document = new FakeDocument();
  const { fetch, calls } = fakeFetch({
    'GET /healthz': json({ status: 'ok', links: 1 }),
    'GET /api/links?limit=100': list(link()),
    ...answers,
  });
  const page = await startPage({ document, fetch, copy });
  const text = (name) => document.component(name).textContent;
  const press = async (label) => {
    const button = document.component('link-rows').all('button').find(({ attributes }) => attributes['aria-label'] === label);
    button.dispatch('click');
    await new Promise((resolve) => setTimeout(resolve, 5));
  };
  return { document, page, calls, text, press };
}

test('the page shows the links and the state of the service at once', async () => {
  const { text } = await pageWith({});
  assert.equal(text('service-state'), 'Service is up, 1 link.');
  assert.equal(text('link-count'), '1 link.');
  assert.match(text('link-rows'), /docs/);
});

test('without the service the page says so and stays usable', async () => {
  const document = new FakeDocument();
  await startPage({ document, fetch: fakeFetch({}).fetch, copy: async () => {} });
  assert.equal(document.component('service-state').textContent, 'The service cannot be reached.');
  assert.equal(document.component('status-message').attributes['data-kind'], 'error');
});

test('a created link appears in the list', async () => {
  const { document, page, calls, text } = await pageWith({ 'POST /api/links': json(link({ code: 'new' }), 201) });
  document.querySelector('#url').value = 'https://example.com';
  await page.form.submit();
  assert.equal(text('status-message'), 'http://127.0.0.1/new now leads to https://example.com/');
  assert.equal(calls.filter(({ call }) => call.startsWith('GET /api/links')).length, 2);
});

test('a refused link is told with the reason of the service', async () => {
  const { document, page, text } = await pageWith({ 'POST /api/links': problem(409, 'The alias is taken.') });
  document.querySelector('#url').value = 'https://example.com';
  await page.form.submit();
  assert.equal(text('status-message'), 'The alias is taken.');
});

test('statistics are shown and a deleted link takes them away', async () => {
  const stats = { code: 'docs', clicks: 2, lastAccessedAt: null, daily: [] };
  const { text, press } = await pageWith({
    'GET /api/links/docs/stats': json(stats),
    'DELETE /api/links/docs': json(link()),
  });
  await press('Statistics of docs');
  assert.match(text('stats-content'), /^docs: 2 visits/);
  await press('Delete docs');
  assert.match(text('stats-content'), /Choose/);
  assert.equal(text('status-message'), 'docs is deleted.');
});

test('copying is confirmed, and a refusal of the browser is told', async () => {
  const copied = [];
  const good = await pageWith({}, async (text) => void copied.push(text));
  await good.press('Copy docs');
  assert.deepEqual(copied, ['http://127.0.0.1/docs']);
  assert.match(good.text('status-message'), /is copied/);
  const bad = await pageWith({}, async () => Promise.reject(new Error('denied')));
  await bad.press('Copy docs');
  assert.match(bad.text('status-message'), /did not allow/);
});

test('the filter narrows the list while typing, and refresh loads it again', async () => {
  const { document, calls, text } = await pageWith({ 'GET /api/links?limit=100': list(link(), link({ code: 'news' })) });
  document.component('filter-field').value = 'news';
  document.component('filter-field').dispatch('input');
  assert.equal(text('link-count'), '1 of 2 links.');
  document.component('refresh-button').dispatch('click');
  assert.equal(calls.filter(({ call }) => call.startsWith('GET /api/links')).length, 2);
});

test('the page starts with what the browser has', async (t) => {
  const document = new FakeDocument();
  const { fetch } = globalThis;
  t.after(() => {
    globalThis.fetch = fetch;
    Reflect.deleteProperty(globalThis, 'document');
  });
  globalThis.document = document;
  globalThis.fetch = fakeFetch({ 'GET /healthz': json({ links: 0 }), 'GET /api/links?limit=100': list() }).fetch;
  await import('../../src/frontend/main.js');
  assert.equal(document.component('service-state').textContent, 'Service is up, 0 links.');
});
