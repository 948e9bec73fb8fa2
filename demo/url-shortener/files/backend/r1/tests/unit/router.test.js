import assert from 'node:assert/strict';
import { test } from 'node:test';
import { matchRoute } from '../../src/backend/router.js';

const handle = () => {};
const routes = [
  { method: 'GET', path: '/healthz', handle },
  { method: 'GET', path: '/links/{code}', handle },
  { method: 'DELETE', path: '/links/{code}', handle },
  { method: 'GET', path: '/{code}', handle },
];

test('a fixed path wins over a code when it is listed first', () => {
  assert.equal(matchRoute(routes, 'GET', '/healthz').route.path, '/healthz');
});

test('the code is taken from the path', () => {
  const match = matchRoute(routes, 'DELETE', '/links/abc');
  assert.equal(match.kind, 'found');
  assert.equal(match.code, 'abc');
});

test('HEAD is answered by the GET route', () => {
  assert.equal(matchRoute(routes, 'HEAD', '/abc').route.path, '/{code}');
});

test('a known path with another method names the methods it has', () => {
  assert.deepEqual(matchRoute(routes, 'PUT', '/links/abc'), { kind: 'wrong-method', allow: 'GET, DELETE' });
});

test('a longer path and an empty code are unknown', () => {
  assert.deepEqual(matchRoute(routes, 'GET', '/links/abc/more'), { kind: 'unknown' });
  assert.deepEqual(matchRoute(routes, 'GET', '/links/'), { kind: 'unknown' });
});
