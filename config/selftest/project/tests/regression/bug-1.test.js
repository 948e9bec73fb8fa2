import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isAddress } from '../../src/backend/links.js';

test('BUG-1: an address without a scheme is refused', () => {
  assert.equal(isAddress('example.com'), false);
});
