import assert from 'node:assert/strict';
import { test } from 'node:test';
import { make, makeButton, requireComponent } from '../../src/frontend/elements.js';
import { FakeDocument } from './fake-document.js';

test('an element is made with its attributes and children', () => {
  const element = make(new FakeDocument(), 'p', { class: 'note' }, 'Hello ', 'there');
  assert.equal(element.tag, 'p');
  assert.equal(element.attributes.class, 'note');
  assert.equal(element.textContent, 'Hello there');
});

test('markup in a text stays text', () => {
  const element = make(new FakeDocument(), 'td', {}, '<b>bold</b>');
  assert.deepEqual(element.children, ['<b>bold</b>']);
});

test('a button has a label of its own and calls back', () => {
  let presses = 0;
  const button = makeButton(new FakeDocument(), { text: 'Copy', label: 'Copy docs', onPress: () => (presses += 1) });
  button.dispatch('click');
  assert.equal(presses, 1);
  assert.equal(button.attributes['aria-label'], 'Copy docs');
  assert.equal(button.attributes.type, 'button');
});

test('a component missing from the page is named', () => {
  assert.throws(() => requireComponent(new FakeDocument(), 'sidebar'), /no element \[data-component="sidebar"\]/);
});
