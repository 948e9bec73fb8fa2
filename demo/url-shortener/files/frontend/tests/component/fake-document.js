import { readFileSync } from 'node:fs';

/** The markup that is really served; components are looked for in it. */
export const markup = readFileSync(new URL('../../src/frontend/index.html', import.meta.url), 'utf8');

/** As much of an element as the page uses. */
export class FakeElement {
  /** @param {string} tag */
  constructor(tag) {
    this.tag = tag;
    this.value = '';
    this.disabled = false;
    this.focused = 0;
    /** @type {Record<string, string>} */
    this.attributes = {};
    /** @type {(FakeElement | string)[]} */
    this.children = [];
    /** @type {Record<string, ((event: object) => void)[]>} */
    this.listeners = {};
  }

  get textContent() {
    return this.children.map((child) => (typeof child === 'string' ? child : child.textContent)).join('');
  }

  set textContent(text) {
    this.children = [text];
  }

  setAttribute(name, value) {
    this.attributes[name] = value;
  }

  append(...children) {
    this.children.push(...children);
  }

  replaceChildren(...children) {
    this.children = children;
  }

  addEventListener(type, listener) {
    (this.listeners[type] ??= []).push(listener);
  }

  focus() {
    this.focused += 1;
  }

  /** Calls the listeners as a browser would, and says whether the default was prevented. */
  dispatch(type) {
    let isPrevented = false;
    for (const listener of this.listeners[type] ?? []) listener({ preventDefault: () => (isPrevented = true) });
    return isPrevented;
  }

  /** Every element below this one with a tag. */
  all(tag) {
    return this.children.flatMap((child) =>
      typeof child === 'string' ? [] : [...(child.tag === tag ? [child] : []), ...child.all(tag)],
    );
  }
}

/** A document that has an element for every id and component of the real markup. */
export class FakeDocument {
  constructor() {
    /** @type {Map<string, FakeElement>} */
    this.elements = new Map();
    for (const [, name] of markup.matchAll(/data-component="([^"]+)"/g)) this.add(`[data-component="${name}"]`);
    for (const [, id] of markup.matchAll(/ id="([^"]+)"/g)) this.add(`#${id}`);
  }

  /** @param {string} selector */
  add(selector) {
    this.elements.set(selector, new FakeElement('div'));
  }

  createElement(tag) {
    return new FakeElement(tag);
  }

  querySelector(selector) {
    return this.elements.get(selector) ?? null;
  }

  /** @param {string} name */
  component(name) {
    const element = this.elements.get(`[data-component="${name}"]`);
    if (element === undefined) throw new Error(`no component ${name} in index.html`);
    return element;
  }
}

/** @param {Partial<import('../../src/frontend/api-client.js').LinkView>} [changes] */
export function link(changes = {}) {
  const code = changes.code ?? 'docs';
  return {
    code,
    url: 'https://example.com/',
    shortUrl: `http://127.0.0.1/${code}`,
    createdAt: '2026-03-01T10:00:00.000Z',
    clicks: 3,
    lastAccessedAt: null,
    ...changes,
  };
}

/**
 * A fetch that answers from a table of `METHOD path` and remembers the calls.
 *
 * @param {Record<string, () => Response>} answers
 */
export function fakeFetch(answers) {
  /** @type {{ call: string, body: unknown }[]} */
  const calls = [];
  const fetch = async (path, { method = 'GET', body } = {}) => {
    const call = `${method} ${path}`;
    calls.push({ call, body: body === undefined ? undefined : JSON.parse(body) });
    const answer = answers[call];
    if (answer === undefined) throw new TypeError(`no answer for ${call}`);
    return answer();
  };
  return { fetch, calls };
}

export const json = (value, status = 200) => () => Response.json(value, { status });

export const problem = (status, detail) => () =>
  new Response(JSON.stringify({ status, detail }), { status, headers: { 'content-type': 'application/problem+json' } });
