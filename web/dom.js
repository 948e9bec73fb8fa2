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

const WORDS = { passed_with_warnings: 'passed, with warnings', not_gated: 'not gated', not_started: 'not started', awaiting_approval: 'awaiting approval', not_evaluable: 'not evaluable', not_applicable: 'not applicable', not_needed: 'not needed', not_measured: 'not measured', not_supplied: 'not supplied', waiting_for_place: 'waits for a place' };
export const words = (status) => WORDS[status] ?? status;

/** A status, told by word and sign, not by colour alone. */
const SIGNS = { passed: '✓', passed_with_warnings: '!', present: '✓', met: '✓', blocked: '✕', failed: '✕', missing: '✕', missed: '!', error: '?', running: '▶', awaiting_approval: '‖', cancelled: '■', bypassed: '↷', skipped: '↷', not_started: '○', paused: '‖', waiting_for_place: '…', held: '✓', violated: '✕', contradicted: '✕', applied: '↷', refused: '✕', not_evaluable: '?' };
export const pill = (status) => h('span', { class: `pill ${status}` }, h('span', { 'aria-hidden': 'true' }, SIGNS[status] ?? '·'), ` ${words(status)}`);
export const simulatedMark = () => h('span', { class: 'mark', title: 'Not produced by a real model' }, 'simulated');

export function duration(startedAt, finishedAt) {
  if (startedAt === null) return '–';
  const seconds = Math.max(0, (finishedAt === null ? Date.now() : Date.parse(finishedAt)) - Date.parse(startedAt)) / 1000;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const minutes = Math.floor(seconds / 60);
  return minutes < 60 ? `${minutes} min ${Math.floor(seconds % 60)} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** How long it is until a time: `in 2 h 5 min`. */
export const until = (at) => `in ${duration(new Date().toISOString(), at)}`;

export const when = (at) => (at === null ? '–' : h('time', { datetime: at, title: at }, new Date(at).toLocaleString()));
export const tokens = (usage) => (usage.inputTokens + usage.outputTokens + usage.cacheReadTokens + usage.cacheWriteTokens).toLocaleString();
export const cost = (usage) => (usage.costUsd === null ? 'unknown' : `$${usage.costUsd.toFixed(usage.costUsd > 0 && usage.costUsd < 0.01 ? 4 : 2)}`);

export function table(caption, head, rows) {
  return h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': caption, 'data-scroll': caption },
    h('table', {},
      h('caption', {}, caption),
      h('thead', {}, h('tr', {}, head.map((cell) => h('th', { scope: 'col' }, cell)))),
      h('tbody', {}, rows.map((line) => named(line, head)))));
}
/** On a narrow screen a row is shown as a card, and each of its cells says what it is. */
function named(line, head) {
  [...line.cells].forEach((cell, index) => (cell.dataset.label = head[index]));
  return line;
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

/** Replaces what is shown; keeps the focus, what was typed where, and how far things were scrolled. */
export function show(...content) {
  const main = document.getElementById('main');
  const active = document.activeElement;
  const focused = active?.closest?.('[data-key]')?.dataset.key;
  const caret = active instanceof HTMLInputElement ? [active.selectionStart, active.selectionEnd] : undefined;
  const scrolled = [...main.querySelectorAll('[data-scroll]')].map((place) => [place.dataset.scroll, place.scrollLeft, place.scrollTop]);
  main.replaceChildren(...content.filter(isShown));
  for (const [name, left, top] of scrolled) main.querySelector(`[data-scroll="${CSS.escape(name)}"]`)?.scrollTo({ left, top, behavior: 'instant' });
  if (focused === undefined) return;
  const place = main.querySelector(`[data-key="${CSS.escape(focused)}"]`);
  place?.focus({ preventScroll: true });
  if (caret !== undefined && place instanceof HTMLInputElement) place.setSelectionRange(...caret);
}
