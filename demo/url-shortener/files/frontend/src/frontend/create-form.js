import { checkAlias, checkTarget } from '../shared/link-rules.js';
import { requireComponent, requireElement } from './elements.js';

/** @typedef {{ url: string, alias?: string }} Wish */

/**
 * Checks what was entered with the rules that the service has, so that people learn of a mistake at once.
 *
 * @param {{ url: string, alias: string }} entered
 * @returns {{ wish: Wish | undefined, errors: { url: string, alias: string } }}
 */
export function checkEntry({ url, alias }) {
  const target = checkTarget(url);
  const name = alias.trim() === '' ? undefined : checkAlias(alias.trim());
  const errors = { url: reasonOf(target), alias: name === undefined ? '' : reasonOf(name) };
  if ('reason' in target) return { wish: undefined, errors };
  if (name === undefined) return { wish: { url: target.value }, errors };
  if ('reason' in name) return { wish: undefined, errors };
  return { wish: { url: target.value, alias: name.value }, errors };
}

/** @param {import('../shared/link-rules.js').RuleResult} result */
const reasonOf = (result) => ('reason' in result ? result.reason : '');

/**
 * The form that creates a link (US-1, US-2). The button rests while a link is being created.
 *
 * @param {import('./elements.js').PageDocument} document
 * @param {(wish: Wish) => Promise<boolean>} onCreate whether the link was created
 */
export function createLinkForm(document, onCreate) {
  const form = requireComponent(document, 'create-form');
  const button = requireComponent(document, 'create-button');
  const fields = {
    url: { input: requireElement(document, '#url'), error: requireElement(document, '#url-error') },
    alias: { input: requireElement(document, '#alias'), error: requireElement(document, '#alias-error') },
  };

  /** @param {{ url: string, alias: string }} errors */
  function showErrors(errors) {
    for (const name of /** @type {const} */ (['url', 'alias'])) {
      fields[name].error.textContent = errors[name];
      fields[name].input.setAttribute('aria-invalid', String(errors[name] !== ''));
    }
    if (errors.url !== '') fields.url.input.focus?.();
    else if (errors.alias !== '') fields.alias.input.focus?.();
  }

  async function submit() {
    const { wish, errors } = checkEntry({ url: fields.url.input.value ?? '', alias: fields.alias.input.value ?? '' });
    showErrors(errors);
    if (wish === undefined) return;
    button.disabled = true;
    try {
      if (await onCreate(wish)) clear();
    } finally {
      button.disabled = false;
    }
  }

  function clear() {
    fields.url.input.value = '';
    fields.alias.input.value = '';
    fields.url.input.focus?.();
  }

  form.addEventListener('submit', (event) => {
    event.preventDefault();
    void submit();
  });
  return { submit };
}
