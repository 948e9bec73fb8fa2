import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkEntry, createLinkForm } from '../../src/frontend/create-form.js';
import { FakeDocument } from './fake-document.js';

function formWith(onCreate) {
  const document = new FakeDocument();
  const form = createLinkForm(document, onCreate);
  const field = (name) => document.querySelector(`#${name}`);
  return { document, form, url: field('url'), alias: field('alias'), urlError: field('url-error'), aliasError: field('alias-error') };
}

test('an address alone is a wish without an alias', () => {
  assert.deepEqual(checkEntry({ url: 'https://example.com', alias: '  ' }), {
    wish: { url: 'https://example.com/' },
    errors: { url: '', alias: '' },
  });
});

test('an alias is trimmed and kept', () => {
  assert.deepEqual(checkEntry({ url: 'https://example.com', alias: ' docs ' }).wish, {
    url: 'https://example.com/',
    alias: 'docs',
  });
});

test('both mistakes are told at once', () => {
  const { wish, errors } = checkEntry({ url: 'ftp://example.com', alias: '!' });
  assert.equal(wish, undefined);
  assert.match(errors.url, /Only http and https/);
  assert.match(errors.alias, /3 to 32/);
});

test('a mistake is shown at its field, and nothing is sent', async () => {
  const { form, url, urlError } = formWith(() => assert.fail('nothing must be created'));
  url.value = 'example';
  await form.submit();
  assert.match(urlError.textContent, /not a complete URL/);
  assert.equal(url.attributes['aria-invalid'], 'true');
  assert.equal(url.focused, 1);
});

test('a wrong alias takes the focus when the address is right', async () => {
  const { form, url, alias, aliasError } = formWith(() => assert.fail('nothing must be created'));
  url.value = 'https://example.com';
  alias.value = 'api';
  await form.submit();
  assert.match(aliasError.textContent, /reserved/);
  assert.equal(alias.focused, 1);
  assert.equal(url.attributes['aria-invalid'], 'false');
});

test('the button rests while a link is created, and the form is empty afterwards', async () => {
  let finish = () => {};
  const { document, form, url } = formWith(() => new Promise((resolve) => (finish = () => resolve(true))));
  const button = document.component('create-button');
  url.value = 'https://example.com';
  const submitted = form.submit();
  assert.equal(button.disabled, true);
  finish();
  await submitted;
  assert.equal(button.disabled, false);
  assert.equal(url.value, '');
});

test('what was entered stays when the link could not be created', async () => {
  const { form, url } = formWith(async () => false);
  url.value = 'https://example.com';
  await form.submit();
  assert.equal(url.value, 'https://example.com');
});

test('the browser does not send the form itself', () => {
  const { document } = formWith(async () => true);
  assert.equal(document.component('create-form').dispatch('submit'), true);
});
