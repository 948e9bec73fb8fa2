import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { test } from 'node:test';
import { CODE_LENGTH, newCode } from '../../src/backend/codes.js';
import { MAX_BODY_BYTES } from '../../src/backend/json-messages.js';
import { toSql } from '../../src/backend/sql-export.js';
import { startForTest } from '../integration/service-fixture.js';

/** Sends bytes as they are: a client library would mend the path. */
function sendRaw(port, text) {
  return new Promise((resolve, reject) => {
    let answer = '';
    const socket = connect(port, '127.0.0.1', () => socket.write(text));
    socket.on('data', (bytes) => (answer += bytes)).on('end', () => resolve(answer)).on('error', reject);
  });
}

test('security: T-1 no target can run a script or hide its host', async (t) => {
  const { create } = await startForTest(t);
  for (const target of [
    'javascript:alert(1)',
    ' JaVaScRiPt:alert(1)',
    'data:text/html,<script>alert(1)</script>',
    'file:///etc/passwd',
    'https://bank.example@evil.example/',
  ]) {
    assert.equal((await create({ url: target })).status, 422, target);
  }
});

test('security: T-1 a line break in a target cannot add a header to the redirect', async (t) => {
  const { call, create } = await startForTest(t);
  await create({ url: 'https://example.com/\r\nSet-Cookie: a=b', alias: 'split' });
  const response = await call('/split');
  assert.equal(response.headers.get('set-cookie'), null);
});

test('security: T-2 codes have at least 47 bits', () => {
  assert.ok(CODE_LENGTH * Math.log2(62) >= 47);
  assert.equal(new Set(Array.from({ length: 5000 }, () => newCode())).size, 5000);
});

test('security: T-3 the policy of the page allows no inline script', async (t) => {
  const { call } = await startForTest(t);
  const page = await call('/');
  const policy = page.headers.get('content-security-policy') ?? '';
  assert.match(policy, /script-src 'self'/);
  assert.doesNotMatch(policy, /unsafe/);
  assert.doesNotMatch(await page.text(), /<script(?![^>]*src=)|\son\w+=/);
});

test('security: T-4 a body over the limit is refused before it is read to its end', async (t) => {
  const { create } = await startForTest(t);
  assert.equal((await create({ url: `https://example.com/${'a'.repeat(MAX_BODY_BYTES)}` })).status, 413);
});

test('security: T-4 a request target over the limit is refused', async (t) => {
  const { call } = await startForTest(t);
  assert.equal((await call(`/${'a'.repeat(5000)}`)).status, 414);
});

test('security: T-5 no path reaches a file outside the page', async (t) => {
  const { host } = await startForTest(t);
  for (const target of ['/../backend/service.js', '/%2e%2e/backend/service.js', '/shared/../../package.json', '/shared/settings.js', '//']) {
    const answer = await sendRaw(host.port, `GET ${target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n`);
    assert.match(answer, /^HTTP\/1\.1 404 /, target);
  }
});

test('security: T-6 a quote in a target cannot end a text of the export', () => {
  const row = { code: "a'b", url: "https://example.com/'); DROP TABLE links; --", createdAt: 't', clicks: 0, lastAccessedAt: null };
  const [, statement] = toSql([{ ...row, daily: new Map() }]).split('\n');
  assert.equal(statement.replaceAll("''", '').split("'").length, 7);
});

test('security: T-7 an error shows nothing of the inside', async (t) => {
  const { call } = await startForTest(t);
  const text = await (await call('/api/links?limit=x')).text();
  assert.doesNotMatch(text, /src\/|node:|at \w+/);
});

test('security: T-8 the page cannot be framed', async (t) => {
  const { call } = await startForTest(t);
  const { headers } = await call('/');
  assert.equal(headers.get('x-frame-options'), 'DENY');
  assert.match(headers.get('content-security-policy') ?? '', /frame-ancestors 'none'/);
});

test('security: the service listens on the loopback interface only', async (t) => {
  const { host } = await startForTest(t);
  assert.match(host.url, /^http:\/\/127\.0\.0\.1:\d+$/);
});
