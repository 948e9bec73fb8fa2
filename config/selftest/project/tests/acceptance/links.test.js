import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Links, isAddress } from '../../src/backend/links.js';

test('US-1: an address gets a code (FR-1)', () => {
  assert.match(new Links().add('https://example.com'), /^[a-z0-9]+$/);
});

test('US-2: a code leads to its address (FR-2)', () => {
  const links = new Links();
  assert.equal(links.find(links.add('https://example.com')), 'https://example.com');
});

test('US-1: other addresses are refused (FR-3)', () => {
  assert.equal(isAddress('ftp://example.com'), false);
});
