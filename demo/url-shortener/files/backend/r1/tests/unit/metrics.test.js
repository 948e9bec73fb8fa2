import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Metrics } from '../../src/backend/metrics.js';

test('requests are counted by method, route and status', () => {
  const metrics = new Metrics();
  const request = { method: 'GET', route: '/{code}', status: 302, seconds: 0.02 };
  metrics.observe(request);
  metrics.observe(request);
  const text = metrics.render({ links: 7 });
  assert.match(text, /^links_total 7$/m);
  assert.match(text, /^http_requests_total\{method="GET",route="\/\{code\}",status="302"\} 2$/m);
});

test('durations fall into every bucket at or above them', () => {
  const metrics = new Metrics();
  metrics.observe({ method: 'GET', route: '/', status: 200, seconds: 0.05 });
  const text = metrics.render({ links: 0 });
  assert.match(text, /bucket\{le="0\.01"\} 0/);
  assert.match(text, /bucket\{le="0\.05"\} 1/);
  assert.match(text, /bucket\{le="\+Inf"\} 1/);
  assert.match(text, /_count 1\n$/);
});
