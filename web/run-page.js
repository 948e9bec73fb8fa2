import { EVENT_TYPES, Log, activity, takingsTable } from '/activity.js';
import { ask, cost, duration, h, notice, pill, row, show, simulatedMark, table, tokens, until, when, words } from '/dom.js';
import { graph } from '/graph.js';
import { treeOf } from '/model.js';
import { phaseSections } from '/phases.js';

const REFRESH_MS = 300;
const PAGE = 100;
/** Sub-workflows of runs up to this size are shown with their phases; of larger ones, as one card each. */
const MOST_OPEN = 40;

/** Shows one run and keeps it live. Returns the function that stops it. */
export function runPage(id) {
  const state = { detail: undefined, log: new Log(), form: { role: '', by: '', note: '' } };
  let timer;
  let stopped = false;
  let source;
  // A large run takes long to fetch and to draw; then it is fetched less often.
  let tookMs = 0;
  const refresh = async () => {
    const began = performance.now();
    try {
      state.detail = await ask(`/api/runs/${encodeURIComponent(id)}`);
    } catch (err) {
      source?.close();
      if (!stopped) show(h('h1', {}, 'Run'), h('p', { class: 'banner bad' }, err.message));
      return;
    }
    draw();
    tookMs = performance.now() - began;
  };
  const draw = () => !stopped && state.detail !== undefined && render(state, view, refresh);
  const view = viewOf(id, state, draw);
  let isBehind = false;
  const soon = () => {
    isBehind = true;
    timer ??= setTimeout(async () => {
      isBehind = false;
      await refresh();
      timer = undefined;
      // What happened while it was fetched may not be in it.
      if (isBehind && !stopped) soon();
    }, Math.max(REFRESH_MS, 3 * tookMs));
  };
  const clock = setInterval(() => {
    if (state.detail?.run.finishedAt === null && document.visibilityState === 'visible') tick(state.detail);
  }, 1000);
  void refresh().then(() => {
    if (stopped || state.detail === undefined) return;
    source = new EventSource(`/api/runs/${encodeURIComponent(id)}/events`);
    for (const type of EVENT_TYPES)
      source.addEventListener(type, ({ data }) => {
        state.log.add(JSON.parse(data));
        soon();
      });
  });
  return () => {
    stopped = true;
    clearTimeout(timer);
    clearInterval(clock);
    source?.close();
  };
}

/** What somebody who looks at the run has opened, closed and searched for, and how to change it. */
function viewOf(runId, state, draw) {
  const view = {
    runId, draw,
    touched: new Map(), opened: new Map(), evidence: new Map(),
    filter: { text: '', status: '' }, most: PAGE,
    get takings() { return state.log.takings; },
    get canBeTakenUp() { return state.detail.run.finishedAt !== null && !state.detail.archived; },
    isOpen: (node) => view.opened.get(node.id) ?? (node.kind === 'part' && state.detail.plan.length <= MOST_OPEN),
    toggle: (node) => { view.opened.set(node.id, !view.isOpen(node)); draw(); },
    search: (change) => { Object.assign(view.filter, change); view.most = PAGE; draw(); },
    showMore: (more) => { view.most += more; draw(); },
    jumpTo: (phase) => jumpTo(view, phase),
  };
  return view;
}

/** Opens what is known of a phase, wherever it stands in the list. */
function jumpTo(view, phase) {
  view.touched.set(`gates-${phase}`, true);
  view.draw();
  const find = () => document.querySelector(`details[data-key="gates-${CSS.escape(phase)}"]`);
  if (find() === null) view.search({ text: phase, status: '' });
  const place = find();
  place?.scrollIntoView({ block: 'start', behavior: matchMedia('(prefers-reduced-motion: reduce)').matches ? 'auto' : 'smooth' });
  place?.querySelector('summary').focus({ preventScroll: true });
}

function tick({ run, phases }) {
  const records = new Map([['run', run], ...phases.map((phase) => [phase.phase, phase])]);
  for (const place of document.querySelectorAll('[data-clock]')) {
    const { startedAt, finishedAt } = records.get(place.dataset.clock) ?? run;
    if (finishedAt === null) place.textContent = duration(startedAt, finishedAt);
  }
}

function render(state, view, refresh) {
  const { run, plan, phases, approvals, inputs, waits, archived, startAt } = state.detail;
  document.title = `${words(run.status)} · ${run.workflow} · Maestro Fleet`;
  const actions = actionsOf(run, refresh);
  const tree = treeOf(plan, phases, waits);
  const [toolbar, picture, drawEdges] = graph(tree, view);
  const isDelayed = run.status === 'queued' && startAt !== null && Date.parse(startAt) > Date.now();
  show(
    h('p', { class: 'crumb' }, h('a', { href: '#/' }, 'Runs'), ' / ', h('code', {}, run.runId)),
    h('div', { class: 'title' }, h('h1', {}, run.workflow), pill(run.status), run.simulated && simulatedMark(), archived && h('span', { class: 'pill archived' }, 'archived'), h('div', { class: 'buttons wrap' }, controls(run, archived, actions))),
    archived && h('p', { class: 'banner' }, h('strong', {}, 'Archived. '), 'This run has left Redis. It can be read, and not be changed; start a new one to go on.'),
    isDelayed && h('p', { class: 'banner' }, h('strong', {}, 'Waits for its time. '), 'It starts ', when(startAt), ` (${until(startAt)}).`),
    run.simulated && h('p', { class: 'banner simulated' }, h('strong', {}, 'Simulated. '), run.provider === 'scripted' ? 'No real model had a part in this run: a script played the personas and spoke their judgements. Values from collectors were measured on the files.' : 'A script stood in for a model or a person in a part of this run.'),
    run.reason !== '' && h('p', { class: `banner ${run.status}` }, run.reason),
    facts(state.detail, phases),
    takingsTable(state.log, run),
    ...phases.filter(({ status }) => status === 'awaiting_approval' && !archived).map((record) => approvalForm(state, record, refresh)),
    h('h2', {}, 'Phases'),
    toolbar, picture,
    ...phaseSections(tree, view, actions),
    approvals.length > 0 && approvalTable(approvals),
    h('h2', {}, 'Activity'),
    activity(state.log),
  );
  drawEdges?.();
}

function facts({ run, inputs, startAt, budget }, phases) {
  const fact = (name, value) => h('div', {}, h('dt', {}, name), h('dd', {}, value));
  const { usd, tokens: most } = run.budget ?? budget;
  const faults = phases.reduce((sum, phase) => sum + phase.faults, 0);
  return h('dl', { class: 'facts' },
    run.startedAt === null && startAt !== null ? fact('Starts', when(startAt)) : fact('Started', when(run.startedAt)),
    fact('Time', h('span', { 'data-clock': 'run' }, duration(run.startedAt, run.finishedAt))),
    fact('Phases', `${phases.filter(({ finishedAt }) => finishedAt !== null).length} of ${phases.length} ended`),
    run.generation > 0 && fact('Taken up again', run.generation === 1 ? 'once' : `${run.generation} times`),
    faults > 0 && fact('Faults', String(faults)),
    fact('Provider', run.provider),
    fact('Tokens', `${tokens(run.usage)}${most === undefined ? '' : ` of ${most.toLocaleString()}`}`),
    fact('Cost', `${run.simulated ? 'none (simulated)' : cost(run.usage)}${usd === undefined ? '' : ` of $${usd}`}`),
    ...Object.entries(inputs).map(([name, value]) => h('div', { class: 'wide' }, h('dt', {}, `input: ${name}`), h('dd', { class: 'text' }, String(value)))));
}

function actionsOf(run, refresh) {
  const post = async (action, done, body = {}) => {
    await attempt(() => ask(`/api/runs/${run.runId}/${action}`, { method: 'POST', body: JSON.stringify({ reason: `${action} in the run viewer`, ...body }) }), done);
    await refresh();
  };
  return { post, retry: (what, done) => post('retry', done, what) };
}

/** What can be done to the run now: the server refuses the rest, and says why. */
function controls(run, archived, { post }) {
  if (archived) return [];
  const button = (key, label, onclick, kind) => h('button', { 'class': kind ?? '', 'data-key': key, onclick }, label);
  const cancelling = button('cancel', 'Cancel run', () => confirm('Cancel this run? Its work stops everywhere.') && post('cancel', 'Cancelled'), 'danger');
  if (run.status === 'paused') return [button('resume', 'Resume', () => post('resume', 'The run goes on'), 'primary'), cancelling];
  if (run.finishedAt === null) return [button('pause', 'Pause', () => post('pause', 'Paused: nothing new starts')), cancelling];
  if (run.status === 'passed' || run.status === 'passed_with_warnings') return [];
  return [button('resume', 'Resume', () => post('resume', 'What did not pass is run again'), 'primary')];
}

async function attempt(work, done) {
  try {
    await work();
    notice(done);
  } catch (err) {
    notice(err.message);
  }
}

function approvalForm(state, record, refresh) {
  const { form, detail } = state;
  const role = state.log.asked.get(record.phase) ?? '';
  const field = (name, label) => h('label', {}, label, h('input', {
    'name': name,
    'value': form[name] || (name === 'role' ? role : ''),
    'data-key': `${record.phase}-${name}`,
    'required': name !== 'note',
    'oninput': ({ target }) => (form[name] = target.value),
  }));
  return h('form', {
    class: 'approval',
    onsubmit: async (event) => {
      event.preventDefault();
      const values = Object.fromEntries(new FormData(event.target));
      const decision = event.submitter?.value ?? 'approved';
      await attempt(() => ask(`/api/runs/${detail.run.runId}/approvals/${record.phase}`, { method: 'POST', body: JSON.stringify({ ...values, decision, round: record.round }) }), 'Decision recorded');
      await refresh();
    },
  },
  h('h2', {}, `${record.phase} waits for a decision`),
  field('role', 'Role'), field('by', 'Your name'), field('note', 'Note'),
  h('div', { class: 'buttons' },
    h('button', { 'value': 'approved', 'class': 'primary', 'data-key': `${record.phase}-approve` }, 'Approve'),
    h('button', { 'value': 'rejected', 'data-key': `${record.phase}-reject` }, 'Reject')));
}

function approvalTable(approvals) {
  return table('Approvals', ['Decision', 'Phase', 'Round', 'Role', 'By', 'Note', 'When'], approvals.map((approval) =>
    row(pill(approval.decision === 'approved' ? 'passed' : 'blocked'), approval.phase, String(approval.round + 1), approval.role, h('span', {}, approval.by, ' ', approval.simulated && simulatedMark()), h('span', { class: 'text' }, approval.note), when(approval.at))));
}
