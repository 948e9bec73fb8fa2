import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, test } from 'node:test';
import { makeServer } from '../../src/backend/server.js';

const server = makeServer();
let origin = '';

before(async () => {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  assert.ok(address && typeof address === 'object');
  origin = `http://127.0.0.1:${address.port}`;
});
after(() => {
  server.close();
  server.closeAllConnections();
});

/** @param {string} body */
const post = (body) => fetch(`${origin}/links`, { method: 'POST', body });

test('a link is made, read, followed and forgotten', async () => {
  const response = await post('{"url":"https://example.com/a"}');
  assert.equal(response.status, 201);
  const path = response.headers.get('location') ?? '';
  assert.equal((await fetch(origin + path)).status, 200);
  const followed = await fetch(origin + path.replace('/links/', '/r/'), { redirect: 'manual' });
  assert.equal(followed.headers.get('location'), 'https://example.com/a');
  assert.equal((await fetch(origin + path, { method: 'DELETE' })).status, 204);
  assert.equal((await fetch(origin + path)).status, 404);
});

test('a wrong body is refused', async () => {
  assert.equal((await post('{')).status, 400);
  assert.equal((await post('{"url":"no"}')).status, 422);
});

test('the page, its script and the measurements are served', async () => {
  for (const path of ['/', '/app.js', '/health', '/metrics']) {
    assert.equal((await fetch(origin + path)).status, 200);
  }
});
