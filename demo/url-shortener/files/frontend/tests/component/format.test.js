import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatCount, formatMoment, shorten } from '../../src/frontend/format.js';

test('one thing is singular, any other number plural', () => {
  assert.equal(formatCount(1, 'visit'), '1 visit');
  assert.equal(formatCount(0, 'visit'), '0 visits');
  assert.equal(formatCount(12345, 'visit'), '12,345 visits');
});

test('a moment is shown in UTC, and no moment as never', () => {
  assert.equal(formatMoment('2026-03-01T10:05:59.000Z'), '2026-03-01 10:05 UTC');
  assert.equal(formatMoment(null), 'never');
});

test('a long text loses its middle and nothing else', () => {
  assert.equal(shorten('abcdef', 6), 'abcdef');
  assert.equal(shorten('abcdefghij', 7), 'abc…hij');
});
