import assert from 'node:assert/strict';
import { test } from 'node:test';
import { markup } from './fake-document.js';

test('every field of the page has a label', () => {
  for (const [, id] of markup.matchAll(/<input id="([^"]+)"/g)) assert.match(markup, new RegExp(`<label for="${id}">`));
});

test('the page names its language and its title', () => {
  assert.match(markup, /<html lang="en">/);
  assert.match(markup, /<title>[^<]+<\/title>/);
});

test('every table has a caption and every heading its section', () => {
  assert.equal(markup.match(/<table/g)?.length, markup.match(/<caption>/g)?.length);
  for (const [, id] of markup.matchAll(/aria-labelledby="([^"]+)"/g)) assert.ok(markup.includes(`id="${id}"`), id);
});
