/**
 * Builds elements. Text is only ever set as text, never as markup: names and messages
 * come from models and from the files they wrote, and are hostile until proven otherwise.
 */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? '' : String(value));
  }
  element.append(...children.flat().filter(isShown));
  return element;
}

const isShown = (child) => child !== null && child !== undefined && child !== false;
export const count = (number, noun, plural = `${noun}s`) => `${number} ${number === 1 ? noun : plural}`;

const WORDS = { passed_with_warnings: 'passed, with warnings', not_gated: 'not gated', not_started: 'not started', awaiting_approval: 'awaiting approval', not_evaluable: 'not evaluable' };
export const words = (status) => WORDS[status] ?? status;

/** A status, told by word and sign, not by colour alone. */
const SIGNS = { passed: '✓', passed_with_warnings: '!', present: '✓', met: '✓', blocked: '✕', failed: '✕', missing: '✕', missed: '!', error: '?', running: '▶', awaiting_approval: '‖', cancelled: '■', bypassed: '↷' };
export const pill = (status) => h('span', { class: `pill ${status}` }, h('span', { 'aria-hidden': 'true' }, SIGNS[status] ?? '·'), ` ${words(status)}`);
export const simulatedMark = () => h('span', { class: 'mark', title: 'Not produced by a real model' }, 'simulated');

export function duration(startedAt, finishedAt) {
  if (startedAt === null) return '–';
  const seconds = Math.max(0, (finishedAt === null ? Date.now() : Date.parse(finishedAt)) - Date.parse(startedAt)) / 1000;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const minutes = Math.floor(seconds / 60);
  return minutes < 60 ? `${minutes} min ${Math.floor(seconds % 60)} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

export const when = (at) => (at === null ? '–' : h('time', { datetime: at, title: at }, new Date(at).toLocaleString()));
export const tokens = (usage) => (usage.inputTokens + usage.outputTokens + usage.cacheReadTokens + usage.cacheWriteTokens).toLocaleString();
export const cost = (usage) => (usage.costUsd === null ? 'unknown' : `$${usage.costUsd.toFixed(usage.costUsd > 0 && usage.costUsd < 0.01 ? 4 : 2)}`);

export function table(caption, head, rows) {
  return h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': caption },
    h('table', {},
      h('caption', {}, caption),
      h('thead', {}, h('tr', {}, head.map((cell) => h('th', { scope: 'col' }, cell)))),
      h('tbody', {}, rows)));
}
export const row = (...cells) => h('tr', {}, cells.map((cell) => h('td', {}, cell)));

/** Asks the service; throws the one line that a refusal says of itself. */
export async function ask(path, options = {}) {
  const response = await fetch(path, { headers: { accept: 'application/json', 'content-type': 'application/json' }, ...options });
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(body.detail ?? `HTTP ${response.status}`);
  return body;
}

export function notice(text) {
  const place = document.getElementById('notice');
  place.textContent = text;
  clearTimeout(notice.timer);
  notice.timer = setTimeout(() => (place.textContent = ''), 8000);
}

/** Replaces what is shown; keeps the focus, and what was opened or closed by hand. */
export function show(...content) {
  const main = document.getElementById('main');
  const focused = document.activeElement?.closest?.('[data-key]')?.dataset.key;
  const touched = new Map([...main.querySelectorAll('details[data-touched]')].map((item) => [item.dataset.key, item.open]));
  main.replaceChildren(...content.filter(isShown));
  for (const item of main.querySelectorAll('details[data-key]')) if (touched.has(item.dataset.key)) touch(item, touched.get(item.dataset.key));
  if (focused !== undefined) main.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
}

/** Opens or closes for good: what nobody touched follows the state of the run. */
export function touch(details, open) {
  details.dataset.touched = '';
  details.open = open;
}

document.addEventListener('click', ({ target }) => {
  const summary = target.closest?.('summary');
  if (summary) summary.parentElement.dataset.touched = '';
});
