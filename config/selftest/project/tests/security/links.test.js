import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isAddress } from '../../src/backend/links.js';

test('security: a script is no address', () => {
  assert.equal(isAddress('javascript:alert(1)'), false);
});
