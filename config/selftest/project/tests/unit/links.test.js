import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Links, isAddress } from '../../src/backend/links.js';
import { made } from '../../src/frontend/app.js';

test('a code leads back to its address until it is forgotten', () => {
  const links = new Links();
  const code = links.add('https://example.com');
  assert.equal(links.find(code), 'https://example.com');
  assert.equal(links.remove(code), true);
  assert.equal(links.find(code), undefined);
});

test('an address begins with http or https', () => {
  assert.equal(isAddress('https://example.com'), true);
  assert.equal(isAddress('file:///etc'), false);
});

test('a made link is named', () => {
  assert.equal(made('abc'), 'Your link is /r/abc');
});
