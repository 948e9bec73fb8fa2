import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createStatsPanel, toBars } from '../../src/frontend/stats-panel.js';
import { FakeDocument } from './fake-document.js';

const daily = [
  { day: '2026-03-01', clicks: 1 },
  { day: '2026-03-02', clicks: 4 },
];

test('bars are measured against the busiest day', () => {
  assert.deepEqual(toBars(daily).map(({ share }) => share), [0.25, 1]);
  assert.deepEqual(toBars([]), []);
});

test('the panel shows the sum and each day', () => {
  const document = new FakeDocument();
  createStatsPanel(document).show({ code: 'docs', clicks: 5, lastAccessedAt: '2026-03-02T08:00:00.000Z', daily });
  const content = document.component('stats-content');
  assert.match(content.textContent, /^docs: 5 visits, last visit 2026-03-02 08:00 UTC\./);
  assert.equal(content.all('li').length, 2);
  assert.equal(content.all('meter')[0].attributes['aria-label'], '2026-03-01: 1 visit');
});

test('a cleared panel says how to fill it', () => {
  const document = new FakeDocument();
  createStatsPanel(document).clear();
  assert.match(document.component('stats-content').textContent, /Choose “Statistics”/);
});
