import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ApiError, createApiClient, messageOf } from '../../src/frontend/api-client.js';
import { fakeFetch, json, link, problem } from './fake-document.js';

test('a link is created with a JSON body', async () => {
  const { fetch, calls } = fakeFetch({ 'POST /api/links': json(link(), 201) });
  const wish = { url: 'https://example.com/', alias: 'docs' };
  assert.equal((await createApiClient(fetch).createLink(wish)).code, 'docs');
  assert.deepEqual(calls, [{ call: 'POST /api/links', body: wish }]);
});

test('a code is encoded in the path', async () => {
  const { fetch, calls } = fakeFetch({ 'GET /api/links/a%2Fb/stats': json({}), 'DELETE /api/links/a%2Fb': json({}) });
  await createApiClient(fetch).getLinkStats('a/b');
  await createApiClient(fetch).deleteLink('a/b');
  assert.equal(calls.length, 2);
});

test('the reason of a problem is what people read', async () => {
  const { fetch } = fakeFetch({ 'POST /api/links': problem(409, 'The alias is taken.') });
  await assert.rejects(createApiClient(fetch).createLink({ url: 'https://example.com/' }), {
    name: 'ApiError',
    message: 'The alias is taken.',
  });
});

test('an answer that is no problem object is told by its status', async () => {
  const { fetch } = fakeFetch({ 'GET /healthz': () => new Response('down', { status: 502 }) });
  await assert.rejects(createApiClient(fetch).getHealth(), { message: 'The service answered 502.' });
});

test('a service that is away is told as such', async () => {
  const { fetch } = fakeFetch({});
  await assert.rejects(createApiClient(fetch).listLinks(), { message: 'The service cannot be reached.' });
});

test('only errors of the service are turned into messages', () => {
  assert.equal(messageOf(new ApiError('No.')), 'No.');
  assert.throws(() => messageOf(new RangeError('a fault')), RangeError);
});
