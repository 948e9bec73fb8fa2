import assert from 'node:assert/strict';
import { test } from 'node:test';
import { toSql } from '../../src/backend/sql-export.js';

const link = {
  code: 'docs',
  url: "https://example.com/?q='; DROP TABLE links; --",
  createdAt: '2026-03-01T10:00:00.000Z',
  clicks: 2,
  lastAccessedAt: null,
  daily: new Map([['2026-03-01', 2]]),
};

test('no links are an empty transaction', () => {
  assert.equal(toSql([]), 'BEGIN;\nCOMMIT;\n');
});

test('a link and its days become one statement each', () => {
  const lines = toSql([link]).split('\n');
  assert.equal(lines.length, 5);
  assert.match(lines[1], /^INSERT INTO links \(code, url, created_at, clicks, last_accessed_at\) VALUES \('docs', /);
  assert.match(lines[1], /, 2, NULL\);$/);
  assert.equal(lines[2], "INSERT INTO daily_clicks (code, day, clicks) VALUES ('docs', '2026-03-01', 2);");
});

test('a quote in an address cannot end the text', () => {
  assert.match(toSql([link]), /'https:\/\/example\.com\/\?q=''; DROP TABLE links; --'/);
});
