import { ask, cost, duration, h, pill, row, show, simulatedMark, table, tokens, when, words } from '/dom.js';
import { runPage } from '/run-page.js';

const STATUSES = ['queued', 'running', 'awaiting_approval', 'paused', 'passed', 'passed_with_warnings', 'blocked', 'failed', 'cancelled'];
const REFRESH_MS = 4000;

/** The list of runs, kept fresh while it is looked at. Returns the function that stops it. */
function listPage() {
  const state = { status: '', runs: [], next: null, pages: 1 };
  let stopped = false;
  document.title = 'Runs · Maestro Fleet';
  const load = async () => {
    const filter = state.status === '' ? '' : `&status=${state.status}`;
    try {
      const runs = [];
      let next = null;
      for (let page = 0; page < state.pages; page += 1) {
        const answer = await ask(`/api/runs?limit=50${filter}${next === null ? '' : `&cursor=${next}`}`);
        runs.push(...answer.runs);
        next = answer.next;
        if (next === null) break;
      }
      Object.assign(state, { runs, next });
    } catch (err) {
      if (!stopped) show(h('h1', {}, 'Runs'), h('p', { class: 'banner bad' }, err.message));
      return;
    }
    if (!stopped) render();
  };
  const render = () =>
    show(
      h('div', { class: 'title' }, h('h1', {}, 'Runs'),
        h('label', { class: 'filter' }, 'Status ',
          h('select', { 'data-key': 'status', 'onchange': ({ target }) => { Object.assign(state, { status: target.value, pages: 1 }); void load(); } },
            ['', ...STATUSES].map((status) => h('option', { value: status, selected: status === state.status }, status === '' ? 'all' : words(status)))))),
      state.runs.length === 0
        ? h('div', { class: 'empty' }, h('p', {}, state.status === '' ? 'No runs yet.' : `No run is ${words(state.status)}.`), h('p', {}, 'Start one with ', h('code', {}, 'maestro run WORKFLOW'), ' or ', h('code', {}, 'POST /api/workflows/NAME/execute'), '.'))
        : table('Runs, newest first', ['Status', 'Workflow', 'Run', 'Started', 'Time', 'Tokens', 'Cost', 'Why'], state.runs.map(rowOf)),
      state.next !== null && h('p', {}, h('button', { 'data-key': 'more', 'onclick': () => { state.pages += 1; void load(); } }, 'Show more')),
    );
  void load();
  const timer = setInterval(() => document.visibilityState === 'visible' && void load(), REFRESH_MS);
  return () => {
    stopped = true;
    clearInterval(timer);
  };
}

function rowOf(run) {
  return row(
    h('span', { class: 'nowrap' }, pill(run.status), ' ', run.simulated && simulatedMark()),
    run.workflow,
    h('a', { 'href': `#/runs/${run.runId}`, 'data-key': run.runId }, h('code', {}, run.runId)),
    when(run.startedAt ?? run.createdAt),
    h('span', { class: 'nowrap' }, duration(run.startedAt, run.finishedAt)),
    tokens(run.usage),
    run.simulated ? '–' : cost(run.usage),
    h('span', { class: 'text' }, run.reason));
}

let stop = () => {};
function route() {
  stop();
  const id = /^#\/runs\/([0-9A-Z]{26})$/.exec(location.hash)?.[1];
  stop = id === undefined ? listPage() : runPage(id);
}
document.querySelector('[data-skip]').addEventListener('click', (event) => {
  event.preventDefault();
  document.getElementById('main').focus();
});
addEventListener('hashchange', () => {
  route();
  document.getElementById('main').focus({ preventScroll: true });
  scrollTo(0, 0);
});
route();
