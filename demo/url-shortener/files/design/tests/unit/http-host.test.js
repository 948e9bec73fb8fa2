import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hostHttp } from '../../src/shared/http-host.js';

test('a request in flight is answered before the server stops', async () => {
  let arrived = () => {};
  const inFlight = new Promise((resolve) => (arrived = resolve));
  const host = await hostHttp((_request, response) => {
    arrived();
    setTimeout(() => response.end('done'), 20);
  }, { port: 0 });
  const answer = fetch(host.url, { headers: { connection: 'close' } }).then((response) => response.text());
  await inFlight;
  await Promise.all([host.stop(), host.stop()]);
  assert.equal(await answer, 'done');
  await assert.rejects(fetch(host.url));
});

test('a connection that never ends is cut after the grace period', async () => {
  const host = await hostHttp((_request, response) => response.write('…'), { port: 0, graceMs: 10 });
  const response = await fetch(host.url);
  await host.stop();
  await assert.rejects(response.text());
});

test('a port in use is refused', async () => {
  const first = await hostHttp((_request, response) => response.end(), { port: 0 });
  await assert.rejects(hostHttp((_request, response) => response.end(), { port: first.port }), { code: 'EADDRINUSE' });
  await first.stop();
});
