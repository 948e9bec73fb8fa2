import { ask, count, h, pill, row, simulatedMark, table, when } from '/dom.js';
import { fold } from '/fold.js';
import { takingAt } from '/model.js';

const number = (value) => String(Math.round(value * 1e4) / 1e4);
const text = (content) => h('span', { class: 'text' }, content);
const valueOf = ({ value, source, simulated }) => h('span', {}, value === null ? 'no value' : number(value), ' ', h('span', { class: 'muted' }, `(${source})`), simulated && ' ', simulated && simulatedMark());
const label = (name, severity) => h('span', {}, h('strong', {}, name), severity === 'WARNING' && h('span', { class: 'muted' }, ' (warning)'));
const HEAD = ['Outcome', 'Name', 'Required', 'Measured', 'Message'];

/** What each kind of judged thing shows, as rows. */
const ROWS = {
  Gates: ({ gates }) => gates.map((gate) => row(pill(gate.outcome), label(gate.gate, gate.severity), h('code', {}, gate.condition),
    h('div', {}, Object.entries(gate.values).map(([metric, value]) => h('div', {}, `${metric} = `, valueOf(value)))), text(gate.message))),
  Criteria: ({ criteria }) => criteria.map((each) => row(pill(each.outcome), label(each.criterion, each.severity),
    each.threshold === null ? 'not worse than the baseline' : h('code', {}, `${each.direction === 'min' ? '≥' : '≤'} ${each.threshold}`), valueOf(each), text(each.message))),
  Contracts: ({ contracts = [] }) => contracts.map((each) => row(pill(each.outcome),
    h('span', {}, label(each.name, each.severity), h('div', { class: 'muted' }, `${each.kind} of ${each.persona}`)), h('code', {}, each.required), each.metric === null ? '–' : h('div', {}, `${each.metric} = `, valueOf(each)), text(each.message))),
  Artifacts: ({ artifacts }) => artifacts.map((each) => row(pill(each.outcome), h('strong', {}, each.artifact), each.required ? 'required' : 'optional', text(each.files.join(', ')), text(each.message))),
  Targets: ({ targets }) => targets.map((each) => row(pill(each.outcome), h('strong', {}, each.metric), h('code', {}, each.condition), each.value === null ? '–' : number(each.value), text(each.message))),
  Bypasses: ({ bypasses = [] }) => bypasses.map((each) => row(pill(each.outcome), h('strong', {}, each.gate), `approval by ${each.role}`,
    h('div', {}, h('div', {}, `asked by ${each.requestedBy}`), h('div', {}, each.approvedBy === null ? 'not approved' : `approved by ${each.approvedBy}`), h('div', { class: 'muted' }, 'until ', when(each.until))), text(`${each.message}\n${each.reason}`))),
};
const HEADS = { Artifacts: ['Outcome', 'Name', 'Need', 'Files', 'Message'], Bypasses: ['Outcome', 'Gate', 'Needs', 'Who', 'Message'] };

/** One round of a phase: everything it was judged by, and what that rests on. */
export function roundOf(view, record, entry, isLast) {
  const { round, verdict, at, findings } = entry;
  const { phase } = record;
  const key = `round-${phase}-${round}`;
  const taking = view.takings.length === 0 ? '' : ` · taking-up ${takingAt(view.takings, at)}`;
  const summary = [
    `Round ${round + 1} `, pill(verdict.verdict), verdict.simulated && ' ', verdict.simulated && simulatedMark(),
    h('span', { class: 'muted' }, ` policy ${verdict.policy}${verdict.fallback ? ' (fallback)' : ''}, ${count(findings, 'finding')}${taking} · `, when(at)),
  ];
  return fold(view.touched, { key, kind: 'round', isOpen: isLast }, summary, () => [
    verdict.brokenBypassLog !== undefined && h('p', { class: 'banner bad' }, `No bypass counts: the log is broken: ${verdict.brokenBypassLog}`),
    ...Object.entries(ROWS).map(([name, rowsOf]) => [name, rowsOf(verdict)]).filter(([, rows]) => rows.length > 0).map(([name, rows]) => table(`${name} of ${phase}, round ${round + 1}`, HEADS[name] ?? HEAD, rows)),
    verdict.errors.length > 0 && table(`Not evaluable in ${phase}, round ${round + 1}`, ['Metric', 'For', 'Reason'], verdict.errors.map((each) =>
      row(h('strong', {}, each.metric), each.gate ?? each.criterion ?? (each.persona === undefined ? '–' : `contract of ${each.persona}`), text(each.reason)))),
    baselineLine(verdict),
    fold(view.touched, { key: `evidence-${phase}-${round}`, kind: 'evidence' }, ['Integrity, claims and evidence'], () => [evidence(view, entry.evidence, `${phase}, round ${round + 1}`)]),
  ]);
}

const baselineLine = ({ baseline }) => {
  if (baseline === undefined) return false;
  return h('p', { class: 'muted' }, ...(baseline === null ? ['There was no baseline to compare with.'] : [`Compared with ${baseline.source}, files ${baseline.tree.slice(0, 12)}, of `, when(baseline.at), '.']));
};

/** What a round rests on is large, so it is fetched when somebody opens it, and once. */
function evidence(view, ref, of) {
  const known = view.evidence.get(ref);
  if (known === undefined) {
    view.evidence.set(ref, { state: 'asked' });
    ask(`/api/runs/${view.runId}/blobs/${ref}`).then(
      (found) => view.evidence.set(ref, { state: 'here', found }),
      (err) => view.evidence.set(ref, { state: 'missing', message: err.message }),
    ).finally(view.draw);
  }
  if (known?.state === 'missing') return h('p', { class: 'banner bad' }, `The evidence cannot be read: ${known.message}`);
  if (known?.state !== 'here') return h('p', { class: 'muted' }, 'Loading…');
  return evidenceOf(known.found, of);
}

const INTEGRITY = { tests_mean_something: 'the tests mean something', handed_down_tests: 'tests that were handed down still stand', measurement_untouched: 'nobody touched the measuring', claims_hold: 'what was claimed holds' };

function evidenceOf({ integrity = [], claims = [], measurements, reviews = [], tree, commit, sandbox }, of) {
  return h('div', {},
    h('p', { class: 'muted' }, 'Measured on commit ', h('code', {}, commit.slice(0, 12)), ', files ', h('code', {}, tree.slice(0, 12)), `, sandbox ${sandbox}.`),
    integrity.length > 0
      ? table(`Integrity of ${of}`, ['Outcome', 'Check', 'Examined', 'Message'], integrity.map((check) => row(pill(check.outcome), h('strong', {}, INTEGRITY[check.check] ?? check.check), String(check.examined), h('div', {}, text(check.message), trail(check.evidence)))))
      : h('p', { class: 'muted' }, 'No checks of integrity were made in this round.'),
    claims.length > 0 && table(`Claims in ${of}`, ['Outcome', 'Who', 'Claimed', 'Measured'], claims.map((claim) => row(pill(claim.contradicted ? 'contradicted' : 'held'), claim.persona, text(claim.claim), text(claim.measured)))),
    measurements.length > 0 && table(`Measurements of ${of}`, ['Metric', 'Value', 'Collector', 'Rests on'], measurements.map((each) => row(
      h('strong', {}, each.metric),
      each.status === 'measured' ? h('div', {}, valueOf(each), h('div', { class: 'muted' }, `${each.examined} examined`)) : h('div', {}, pill('not_evaluable'), h('div', { class: 'text' }, each.reason)),
      `${each.collector} ${each.collectorVersion}`, trail(each.evidence)))),
    reviews.length > 0 && h('p', { class: 'muted' }, `Reviewed by ${reviews.map(({ reviewer, simulated }) => `${reviewer}${simulated ? ' (simulated)' : ''}`).join(', ')}.`));
}

const trail = (entries) => h('ul', { class: 'trail' }, entries.map(({ summary, command, exitCode, tool, toolVersion }) =>
  h('li', {}, text(summary), command !== undefined && h('code', { class: 'command' }, command), (exitCode !== undefined || tool !== undefined) && h('span', { class: 'muted' }, [tool === undefined ? '' : `${tool} ${toolVersion ?? ''}`.trim(), exitCode === undefined ? '' : `exit code ${exitCode ?? 'none'}`].filter((part) => part !== '').join(', ')))));
