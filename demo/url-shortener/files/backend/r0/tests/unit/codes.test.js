import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CODE_LENGTH, newCode } from '../../src/backend/codes.js';

test('a code has eight letters or digits', () => {
  assert.match(newCode(), new RegExp(`^[A-Za-z0-9]{${CODE_LENGTH}}$`));
});

test('a thousand codes are all different', () => {
  assert.equal(new Set(Array.from({ length: 1000 }, () => newCode())).size, 1000);
});

test('every character of the alphabet can be picked', () => {
  assert.equal(newCode(() => 0), 'A'.repeat(CODE_LENGTH));
  assert.equal(newCode((exclusiveMax) => exclusiveMax - 1), '9'.repeat(CODE_LENGTH));
});
