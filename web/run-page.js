import { ask, cost, count, duration, h, notice, pill, row, show, simulatedMark, table, tokens, touch, when, words } from '/dom.js';

const EVENT_TYPES = ['run.queued', 'run.status', 'run.resumed', 'phase.status', 'persona.turn', 'persona.done', 'persona.fault', 'gate.verdict', 'rework.requested', 'approval.requested', 'approval.recorded', 'run.finished'];
const MOST_EVENTS_SHOWN = 300;
const REFRESH_MS = 300;

/** Shows one run and keeps it live. Returns the function that stops it. */
export function runPage(id) {
  const state = { detail: undefined, events: [], form: { role: '', by: '', note: '' } };
  let timer;
  let stopped = false;
  let source;
  const refresh = async () => {
    timer = undefined;
    try {
      state.detail = await ask(`/api/runs/${encodeURIComponent(id)}`);
    } catch (err) {
      source?.close();
      if (!stopped) show(h('h1', {}, 'Run'), h('p', { class: 'banner bad' }, err.message));
      return;
    }
    if (!stopped) render(state, refresh);
  };
  const soon = () => (timer ??= setTimeout(refresh, REFRESH_MS));
  const clock = setInterval(() => {
    if (state.detail?.run.finishedAt === null && document.visibilityState === 'visible') tick(state.detail);
  }, 1000);
  refresh().then(() => {
    if (stopped || state.detail === undefined) return;
    source = new EventSource(`/api/runs/${encodeURIComponent(id)}/events`);
    for (const type of EVENT_TYPES)
      source.addEventListener(type, ({ data }) => {
        state.events.push(JSON.parse(data));
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

function tick({ run, phases }) {
  for (const [key, record] of [['run', run], ...phases.map((phase) => [phase.phase, phase])])
    for (const place of document.querySelectorAll(`[data-clock="${CSS.escape(key)}"]`)) place.textContent = duration(record.startedAt, record.finishedAt);
}

function render(state, refresh) {
  const { run, plan, phases, approvals, inputs } = state.detail;
  document.title = `${words(run.status)} · ${run.workflow} · Maestro Fleet`;
  show(
    h('p', { class: 'crumb' }, h('a', { href: '#/' }, 'Runs'), ' / ', h('code', {}, run.runId)),
    h('div', { class: 'title' }, h('h1', {}, run.workflow), pill(run.status), run.simulated && simulatedMark(), ...controls(run, refresh)),
    run.simulated && h('p', { class: 'banner simulated' }, h('strong', {}, 'Simulated. '), run.provider === 'scripted' ? 'No real model had a part in this run: a script played the personas and spoke their judgements. Values from collectors were measured on the files.' : 'A script stood in for a model or a person in a part of this run.'),
    run.reason !== '' && h('p', { class: `banner ${run.status}` }, run.reason),
    facts(run, inputs),
    ...phases.filter(({ status }) => status === 'awaiting_approval').map((record) => approvalForm(state, record, refresh)),
    h('h2', {}, 'Phases'),
    graph(plan, phases),
    phaseTable(plan, phases, run, refresh),
    h('h2', {}, 'Gates'),
    ...phases.map((record) => gates(record, plan.find(({ name }) => name === record.phase))),
    approvals.length > 0 && approvalTable(approvals),
    h('h2', {}, 'Activity'),
    activity(state.events),
  );
  drawEdges(plan);
}

function facts(run, inputs) {
  const fact = (name, value) => h('div', {}, h('dt', {}, name), h('dd', {}, value));
  return h('dl', { class: 'facts' },
    fact('Started', when(run.startedAt)),
    fact('Time', h('span', { 'data-clock': 'run' }, duration(run.startedAt, run.finishedAt))),
    fact('Provider', run.provider),
    fact('Tokens', tokens(run.usage)),
    fact('Cost', run.simulated ? 'none (simulated)' : cost(run.usage)),
    ...Object.entries(inputs).map(([name, value]) => h('div', { class: 'wide' }, h('dt', {}, `input: ${name}`), h('dd', { class: 'text' }, String(value)))));
}

/** What can be done to the run now: the server refuses the rest, and says why. */
function controls(run, refresh) {
  const post = (action, done, body = {}) => async () => {
    await attempt(() => ask(`/api/runs/${run.runId}/${action}`, { method: 'POST', body: JSON.stringify({ reason: `${action} in the run viewer`, ...body }) }), done);
    await refresh();
  };
  const button = (key, label, onclick, kind) => h('button', { 'class': kind ?? '', 'data-key': key, onclick }, label);
  const cancel = post('cancel', 'Cancelled');
  const cancelling = button('cancel', 'Cancel run', () => confirm('Cancel this run? Its work stops everywhere.') && cancel(), 'danger');
  if (run.status === 'paused') return [button('resume', 'Resume', post('resume', 'The run goes on')), cancelling];
  if (run.finishedAt === null) return [button('pause', 'Pause', post('pause', 'Paused: nothing new starts')), cancelling];
  if (run.status === 'passed' || run.status === 'passed_with_warnings') return [];
  return [button('resume', 'Resume', post('resume', 'What did not pass is run again'))];
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
  const asked = state.events.findLast((event) => event.type === 'approval.requested' && event.phase === record.phase);
  const field = (name, label) => h('label', {}, label, h('input', {
    'name': name,
    'value': form[name] || (name === 'role' ? (asked?.role ?? '') : ''),
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

/** Levels from left to right; a phase stands one level after the last of those it needs. */
function levelsOf(plan) {
  const level = new Map();
  for (const { name, needs } of plan) level.set(name, Math.max(-1, ...needs.map((need) => level.get(need) ?? 0)) + 1);
  const levels = [];
  for (const phase of plan) (levels[level.get(phase.name)] ??= []).push(phase);
  return levels;
}

function graph(plan, phases) {
  const record = new Map(phases.map((phase) => [phase.phase, phase]));
  const card = ({ name, personas }) => {
    const { status, round, startedAt, finishedAt } = record.get(name);
    return h('button', { 'class': `card ${status}`, 'data-phase': name, 'data-key': `card-${name}`, 'onclick': () => jumpTo(name) },
      h('strong', {}, name), pill(status),
      h('span', { class: 'muted' }, personas.join(', ')),
      h('span', { class: 'muted' }, h('span', { 'data-clock': name }, duration(startedAt, finishedAt)), round > 0 && ` · rework ${round}`));
  };
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  svg.setAttribute('aria-hidden', 'true');
  return h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': 'Phases as a graph' },
    h('div', { class: 'graph' }, svg, levelsOf(plan).map((level) => h('div', { class: 'level' }, level.map(card)))));
}

function jumpTo(phase) {
  const place = document.querySelector(`details[data-key="gates-${CSS.escape(phase)}"]`);
  if (place === null) return;
  touch(place, true);
  place.scrollIntoView({ block: 'start', behavior: matchMedia('(prefers-reduced-motion: reduce)').matches ? 'auto' : 'smooth' });
  place.querySelector('summary').focus({ preventScroll: true });
}

function drawEdges(plan) {
  const box = document.querySelector('.graph');
  const svg = box.querySelector('svg');
  const cards = new Map([...box.querySelectorAll('.card')].map((card) => [card.dataset.phase, card]));
  svg.setAttribute('width', box.scrollWidth);
  svg.setAttribute('height', box.scrollHeight);
  svg.replaceChildren();
  for (const { name, needs } of plan) {
    for (const need of needs) {
      const [from, to] = [cards.get(need), cards.get(name)];
      const [x1, y1] = [from.offsetLeft + from.offsetWidth, from.offsetTop + from.offsetHeight / 2];
      const [x2, y2] = [to.offsetLeft, to.offsetTop + to.offsetHeight / 2];
      const path = document.createElementNS('http://www.w3.org/2000/svg', 'path');
      const bend = (x2 - x1) / 2;
      path.setAttribute('d', `M${x1} ${y1} C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`);
      svg.append(path);
    }
  }
}

function phaseTable(plan, phases, run, refresh) {
  const planned = new Map(plan.map((phase) => [phase.name, phase]));
  return table('Phases', ['Phase', 'Status', 'Personas', 'Policy', 'Rounds', 'Time', 'Tokens', 'Why'], phases.map((record) => {
    const { personas, policy, policyFallback } = planned.get(record.phase);
    return row(
      h('strong', {}, record.phase),
      h('span', { class: 'nowrap' }, pill(record.status), ' ', record.simulated && record.startedAt !== null && simulatedMark()),
      personas.join(', '),
      policy === null ? 'not gated' : `${policy}${policyFallback ? ' (fallback)' : ''}`,
      String(record.rounds.length),
      h('span', { 'data-clock': record.phase }, duration(record.startedAt, record.finishedAt)),
      tokens(record.usage),
      h('div', {}, h('span', { class: 'text' }, record.reason), ' ', retryButton(run, record, refresh)));
  }));
}

function retryButton(run, { phase, status }, refresh) {
  if (run.finishedAt === null || !['blocked', 'failed', 'cancelled'].includes(status)) return false;
  const retry = async () => {
    await attempt(() => ask(`/api/runs/${run.runId}/retry`, { method: 'POST', body: JSON.stringify({ phase, reason: 'retry in the run viewer' }) }), `${phase} is run again`);
    await refresh();
  };
  return h('button', { 'data-key': `retry-${phase}`, 'aria-label': `Retry ${phase}`, 'onclick': retry }, 'Retry');
}

function gates(record, { policy }) {
  const last = record.rounds.at(-1)?.verdict;
  const isOpen = last !== undefined && last.verdict === 'blocked';
  const summary = h('summary', {}, h('strong', {}, record.phase), ' ', last === undefined ? h('span', { class: 'muted' }, policy === null ? 'not gated' : `not judged yet, policy ${policy}`) : pill(last.verdict), last !== undefined && h('span', { class: 'muted' }, ` ${count(last.gates.length, 'gate')}, ${count(last.criteria.length, 'criterion', 'criteria')}, ${last.errors.length} not evaluable`));
  const rounds = record.rounds.map((round, index) => roundOf(record, round, index === record.rounds.length - 1)).toReversed();
  return h('details', { 'class': 'phase', 'data-key': `gates-${record.phase}`, 'open': isOpen }, summary, ...rounds);
}

function roundOf(record, { round, verdict, at, findings }, isLast) {
  const { phase } = record;
  const valueOf = ({ value, source, simulated }) => h('span', {}, value === null ? 'no value' : String(Math.round(value * 1e4) / 1e4), ' ', h('span', { class: 'muted' }, `(${source})`), simulated && ' ', simulated && simulatedMark());
  const label = (result) => h('span', {}, h('strong', {}, result.gate ?? result.criterion), result.severity === 'WARNING' && h('span', { class: 'muted' }, ' (warning)'));
  const gateRows = verdict.gates.map((gate) => row(pill(gate.outcome), label(gate), h('code', {}, gate.condition),
    h('div', {}, Object.entries(gate.values).map(([metric, value]) => h('div', {}, `${metric} = `, valueOf(value)))), h('span', { class: 'text' }, gate.message)));
  const criterionRows = verdict.criteria.map((criterion) => row(pill(criterion.outcome), label(criterion), h('code', {}, `${criterion.direction === 'min' ? '≥' : '≤'} ${criterion.threshold}`), valueOf(criterion), h('span', { class: 'text' }, criterion.message)));
  const artifactRows = verdict.artifacts.map((artifact) => row(pill(artifact.outcome), h('strong', {}, artifact.artifact), artifact.required ? 'required' : 'optional', h('span', { class: 'text' }, artifact.files.join(', ')), h('span', { class: 'text' }, artifact.message)));
  const targetRows = verdict.targets.map((target) => row(pill(target.outcome), h('strong', {}, target.metric), h('code', {}, target.condition), target.value === null ? '–' : String(target.value), h('span', { class: 'text' }, target.message)));
  const head = ['Outcome', 'Name', 'Required', 'Measured', 'Message'];
  return h('details', { 'class': 'round', 'data-key': `round-${phase}-${round}`, 'open': isLast },
    h('summary', {}, `Round ${round + 1} `, pill(verdict.verdict), h('span', { class: 'muted' }, ` policy ${verdict.policy}${verdict.fallback ? ' (fallback)' : ''}, ${count(findings, 'finding')}, `), when(at), verdict.simulated && ' ', verdict.simulated && simulatedMark()),
    gateRows.length > 0 && table(`Gates of ${phase}, round ${round + 1}`, head, gateRows),
    criterionRows.length > 0 && table(`Criteria of ${phase}, round ${round + 1}`, head, criterionRows),
    artifactRows.length > 0 && table(`Artifacts of ${phase}, round ${round + 1}`, ['Outcome', 'Name', 'Need', 'Files', 'Message'], artifactRows),
    targetRows.length > 0 && table(`Targets of ${phase}, round ${round + 1}`, head, targetRows));
}

function approvalTable(approvals) {
  return table('Approvals', ['Decision', 'Phase', 'Round', 'Role', 'By', 'Note', 'When'], approvals.map((approval) =>
    row(pill(approval.decision === 'approved' ? 'passed' : 'blocked'), approval.phase, String(approval.round + 1), approval.role, h('span', {}, approval.by, ' ', approval.simulated && simulatedMark()), h('span', { class: 'text' }, approval.note), when(approval.at))));
}

function activity(events) {
  const tell = {
    'run.queued': () => 'run queued',
    'run.status': ({ status, reason }) => `run ${words(status)} ${reason}`,
    'run.resumed': ({ phases, reason }) => `run taken up again: ${phases.join(', ')} ${reason}`,
    'phase.status': ({ phase, status, reason }) => `${phase}: ${words(status)} ${reason}`,
    'persona.turn': ({ phase, persona, turn, tools }) => `${phase}: ${persona}, turn ${turn}${tools.length > 0 ? `: ${tools.join(', ')}` : ''}`,
    'persona.done': ({ phase, persona, kind, summary }) => `${phase}: ${persona} finished ${kind}: ${summary.slice(0, 300)}${summary.length > 300 ? '…' : ''}`,
    'persona.fault': ({ phase, persona, attempt, message, final }) => `${phase}: ${persona}, attempt ${attempt} failed${final ? ' for good' : ''}: ${message}`,
    'gate.verdict': ({ phase, round, verdict }) => `${phase}: round ${round + 1} ${words(verdict.verdict)}`,
    'rework.requested': ({ phase, findings, headline }) => `${phase}: back for rework with ${count(findings, 'finding')}: ${headline}`,
    'approval.requested': ({ phase, role }) => `${phase}: waits for a decision of ${role}`,
    'approval.recorded': ({ approval }) => `${approval.phase}: ${approval.decision} by ${approval.by} (${approval.role})`,
    'run.finished': ({ status, reason }) => `run finished: ${words(status)} ${reason}`,
  };
  const shown = events.slice(-MOST_EVENTS_SHOWN).toReversed();
  return h('ol', { class: 'activity' }, shown.map((event) => h('li', {}, h('time', { datetime: event.at }, new Date(event.at).toLocaleTimeString()), ' ', h('span', { class: 'text' }, tell[event.type]?.(event) ?? event.type))));
}
