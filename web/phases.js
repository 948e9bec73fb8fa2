import { count, duration, h, pill, row, simulatedMark, table, tokens, words } from '/dom.js';
import { fold, groupToggle } from '/fold.js';
import { tallyText } from '/graph.js';
import { listed, phasesBelow, reworkOf, statusOf, tally } from '/model.js';
import { roundOf } from '/rounds.js';

const PAGE = 100;
/** From here on a list is worth searching. */
const SEARCH_FROM = 15;

/** The phases that are shown: all, with closed groups as one; or those that were searched for, wherever they are. */
function shownOf(tree, view) {
  const { text, status } = view.filter;
  if (text === '' && status === '') return listed(tree.roots, view.isOpen);
  const wanted = text.toLowerCase();
  return [...tree.nodes.values()]
    .filter(({ id, record, wait }) => record !== undefined && (wait === undefined ? record.status : 'waiting_for_place').startsWith(status) && `${id} ${record.reason}`.toLowerCase().includes(wanted))
    .map((node) => ({ node, depth: 0 }));
}

/** The list of phases and what is known of each, of one page of them. */
export function phaseSections(tree, view, actions) {
  const all = shownOf(tree, view);
  const page = all.slice(0, view.most);
  const phases = page.map(({ node }) => node).filter(({ record }) => record !== undefined);
  return [
    tree.nodes.size >= SEARCH_FROM && search(tree, view, all.length),
    phaseTable(page, view, actions),
    all.length > page.length && h('p', {}, h('button', { 'data-key': 'more-phases', 'onclick': () => view.showMore(PAGE) }, `Show ${Math.min(PAGE, all.length - page.length)} more of ${all.length}`)),
    h('h2', {}, 'Phase by phase'),
    ...phases.map((node) => detailsOf(node, view, actions)),
  ];
}

function search(tree, view, found) {
  const { filter } = view;
  const phases = [...tree.nodes.values()].filter(({ record }) => record !== undefined);
  const options = [['', `all (${phases.length})`], ...tally(phases).map(([status, number]) => [status, `${words(status)} (${number})`])];
  return h('div', { class: 'filter', role: 'search', 'aria-label': 'Phases' },
    h('label', {}, 'Phase or reason ', h('input', { 'type': 'search', 'data-key': 'filter-text', 'value': filter.text, 'oninput': ({ target }) => view.search({ text: target.value }) })),
    h('label', {}, 'Status ', h('select', { 'data-key': 'filter-status', 'onchange': ({ target }) => view.search({ status: target.value }) }, options.map(([value, name]) => h('option', { value, selected: value === filter.status }, name)))),
    h('span', { class: 'muted' }, `${found} listed`));
}

function phaseTable(page, view, actions) {
  return table('Phases', ['Phase', 'Status', 'Personas', 'Policy', 'Rounds', 'Faults', 'Time', 'Tokens', 'Why'], page.map(({ node, depth }) => (node.kind === 'part' ? partRow(node, depth, view) : phaseRow(node, depth, view, actions))));
}

const nameOf = (node, depth, view, text) => h('div', { class: `name depth-${Math.min(depth, 3)}` }, h('strong', {}, node.kind === 'part' || depth > 0 ? node.label : node.id), text !== undefined && h('div', {}, groupToggle(view, node, text, 'table')));

function partRow(node, depth, view) {
  const below = phasesBelow(node);
  return row(nameOf(node, depth, view, count(below.length, 'phase')), pill(statusOf(node)), 'sub-workflow', '', '', '', '', '', tallyText(below));
}

function phaseRow(node, depth, view, actions) {
  const { record, planned, children, kind, wait } = node;
  const instances = kind === 'repeated' && children.length > 0 ? count(children.length, 'instance') : undefined;
  return row(
    nameOf(node, depth, view, instances),
    h('span', { class: 'nowrap' }, pill(wait === undefined ? record.status : 'waiting_for_place'), ' ', record.simulated && record.startedAt !== null && simulatedMark()),
    planned.personas.join(', '),
    planned.policy === null ? 'not gated' : `${planned.policy}${planned.policyFallback ? ' (fallback)' : ''}`,
    record.rounds.length === 0 && record.round === 0 ? '' : h('span', {}, String(record.rounds.length), reworkOf(record) > 0 && h('span', { class: 'muted' }, ` (rework ${reworkOf(record)} of ${planned.rework})`)),
    record.faults === 0 ? '' : String(record.faults),
    record.startedAt === null ? '' : h('span', { 'class': 'nowrap', 'data-clock': record.phase }, duration(record.startedAt, record.finishedAt)),
    record.usage.calls === 0 ? '' : tokens(record.usage),
    whyOf(node, view, actions));
}

/** Why it stands as it stands, and what can be done; empty when there is nothing to say. */
function whyOf(node, view, actions) {
  const { record, children, kind, wait } = node;
  const retry = retryButton(node, view, actions);
  const hasInstances = kind === 'repeated' && children.length > 0;
  if (!hasInstances && record.reason === '' && wait === undefined && retry === false) return '';
  return h('div', {}, hasInstances && h('div', {}, tallyText(children)), h('span', { class: 'text' }, record.reason), wait !== undefined && waitText(view, wait), ' ', retry);
}

/** What a phase waits for that has its place. */
function waitText(view, { group, limit, holders, ahead }) {
  const isParallel = group.startsWith(`${view.runId}.g`);
  const holder = ({ runId, phase }) => [runId === view.runId ? (phase ?? 'this run') : h('span', {}, 'run ', h('a', { href: `#/runs/${runId}` }, h('code', {}, runId)), phase === null ? '' : ` (${phase})`), '; '];
  const shown = holders.slice(0, 5).flatMap(holder).slice(0, -1);
  return h('div', {},
    isParallel ? `At most ${limit} of these at a time. ` : `Waits for a place in group ${group} (${limit} at a time). `,
    holders.length === 0 ? '' : 'Held by ', ...shown, holders.length > 5 && ` and ${holders.length - 5} more`, holders.length === 0 ? '' : '. ',
    ahead === 0 ? 'It is next.' : `${ahead} before it.`);
}

function retryButton({ id, record: { status } }, view, actions) {
  if (!view.canBeTakenUp || !['blocked', 'failed', 'cancelled'].includes(status)) return false;
  return h('button', { 'data-key': `retry-${id}`, 'aria-label': `Retry ${id}`, 'onclick': () => actions.retry({ phase: id }, `${id} is run again`) }, 'Retry');
}

function detailsOf(node, view, actions) {
  const { record, planned, wait } = node;
  const last = record.rounds.at(-1)?.verdict;
  const judged = last === undefined
    ? h('span', { class: 'muted' }, planned.policy === null ? ' not gated' : ` not judged${record.finishedAt === null ? ' yet' : ''}, policy ${planned.policy}`)
    : h('span', { class: 'muted' }, ` ${count(last.gates.length, 'gate')}, ${count(last.criteria.length, 'criterion', 'criteria')}${last.contracts === undefined ? '' : `, ${count(last.contracts.length, 'line')} of contracts`}, ${last.errors.length} not evaluable`);
  const summary = [h('strong', {}, node.id), ' ', pill(wait === undefined ? record.status : 'waiting_for_place'), judged];
  return fold(view.touched, { key: `gates-${record.phase}`, kind: 'phase', isOpen: last?.verdict === 'blocked' }, summary, () => [
    factsOf(node, view, actions),
    ...record.rounds.map((round, index) => roundOf(view, record, round, index === record.rounds.length - 1)).toReversed(),
  ]);
}

function factsOf({ id, record, planned, wait, parent }, view, actions) {
  const { conditions = [], repeat, instance, concurrency, needs } = planned;
  const fact = (name, ...value) => h('div', {}, h('dt', {}, name), h('dd', { class: 'text' }, ...value));
  const code = (text) => h('code', {}, text);
  const goal = view.canBeTakenUp && record.status !== 'not_started' && instance === undefined;
  const isSure = () => confirm(`Run ${id} and everything after it again, from the beginning?`);
  return h('div', {},
    record.reason !== '' && h('p', { class: `banner ${record.status}` }, record.reason),
    wait !== undefined && h('div', { class: 'banner' }, waitText(view, wait)),
    h('dl', { class: 'facts plain' },
      needs.length > 0 && fact('Needs', needs.join(', ')),
      conditions.length > 0 && fact('Only if', ...conditions.flatMap(({ text }, index) => [index > 0 ? ' and ' : '', code(text)])),
      repeat !== undefined && fact(repeat.isMatrix ? 'For each combination of' : 'For each of', ...Object.entries(repeat.lists).flatMap(([name, list], index) => [index > 0 ? ', ' : '', repeat.isMatrix && `${name}: `, code(typeof list === 'string' ? list : JSON.stringify(list))]), repeat.parallel !== null && `, ${repeat.parallel} at a time`),
      instance !== undefined && fact(`Instance of ${instance.of} for`, code(typeof instance.item === 'object' ? JSON.stringify(instance.item) : String(instance.item))),
      instance === undefined && parent !== undefined && fact('Part of', parent.id),
      concurrency !== undefined && fact('Group', `${concurrency.group}, ${concurrency.limit} at a time`),
      fact('Rework', `${reworkOf(record)} of ${planned.rework}${view.takings.length > 0 ? ', counted since it was taken up' : ''}`),
      fact('Faults', `${record.faults}; ${count(planned.attempts, 'attempt')} for each job`),
      planned.description !== '' && h('div', { class: 'wide' }, h('dt', {}, 'About'), h('dd', { class: 'text' }, planned.description))),
    goal && h('p', {}, h('button', { 'data-key': `from-${id}`, 'onclick': () => isSure() && actions.retry({ from: id }, `Runs again from ${id}`) }, 'Run again from here')));
}
