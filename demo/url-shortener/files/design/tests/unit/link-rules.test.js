import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkAlias, checkTarget, MAX_TARGET_LENGTH, RESERVED_ALIASES } from '../../src/shared/link-rules.js';

test('a complete http or https address is accepted in its normal form', () => {
  assert.deepEqual(checkTarget('https://example.com'), { ok: true, value: 'https://example.com/' });
  assert.deepEqual(checkTarget('  HTTP://Example.com/A?b=1#c '), { ok: true, value: 'http://example.com/A?b=1#c' });
});

for (const [what, address, reason] of [
  ['nothing', '', /Enter the address/],
  ['a number', 42, /Enter the address/],
  ['a relative path', '/just/a/path', /not a complete URL/],
  ['a script', 'javascript:alert(1)', /Only http and https/],
  ['a file', 'file:///etc/passwd', /Only http and https/],
  ['a user name', 'https://someone@example.com/', /user name or password/],
]) {
  test(`${what} is refused as a target`, () => {
    const result = checkTarget(address);
    assert.equal(result.ok, false);
    assert.match(result.reason, reason);
  });
}

test('a target may have exactly the greatest length, and not one character more', () => {
  const base = 'https://example.com/';
  const longest = base + 'a'.repeat(MAX_TARGET_LENGTH - base.length);
  assert.equal(checkTarget(longest).ok, true);
  assert.equal(checkTarget(`${longest}a`).ok, false);
});

test('an alias of letters, digits, hyphens and underscores is accepted', () => {
  for (const alias of ['abc', 'Launch-Notes_2', 'x'.repeat(32)]) assert.deepEqual(checkAlias(alias), { ok: true, value: alias });
});

test('an alias that is too short, too long or has other characters is refused', () => {
  for (const alias of ['ab', 'x'.repeat(33), 'a b c', 'a/b', 'straße', undefined]) assert.equal(checkAlias(alias).ok, false);
});

test('the names of the service itself are refused as aliases, in any case', () => {
  for (const name of RESERVED_ALIASES) {
    assert.match(checkAlias(name).reason, /reserved/);
    assert.match(checkAlias(name.toUpperCase()).reason, /reserved/);
  }
});
