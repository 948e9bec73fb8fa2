import type { Handoff } from '../../shared/handoff.ts';
import type { RoundEvidence } from '../../shared/round-evidence.ts';
import {
  type PhaseRecord,
  type RoundRecord,
  type RunRecord,
  type Usage,
  originWords,
} from '../../shared/run-record.ts';
import { type BypassRate, rateLine } from '../bypass/bypass-rate.ts';
import { findingsHtml, htmlPage, htmlTable, measurementsHtml, statusHtml, verdictBadge, verdictHtml } from './html.ts';
import { bannerOf, findingsTable, markdownTable, verdictTable } from './markdown.ts';
import { escapeMarkdown, escapeMarkup as esc } from './markup.ts';
import { type Origin, policyLine, verdictWords } from './phase-report.ts';

export interface RunReportInput {
  run: RunRecord;
  phases: readonly PhaseRecord[];
  /** Evidence of rounds by its blob; a round without it is shown by its verdict alone. */
  evidence?: ReadonlyMap<string, RoundEvidence>;
  /** Handoffs by their blob: what personas said of their work. */
  handoffs?: ReadonlyMap<string, Handoff>;
  /** How much was bypassed lately in the whole fleet. */
  bypassRate?: BypassRate;
}

interface Claim {
  persona: string;
  handoff: Handoff;
}

const originOf = ({ run, phases }: RunReportInput): Origin => ({
  simulated:
    run.simulated || phases.some((phase) => phase.simulated || phase.rounds.some((round) => round.verdict.simulated)),
  replayed: run.replayed,
});

/** The phase's own words: what begins in a replayed run is replayed. */
const phaseOrigin = ({ run }: RunReportInput, { simulated }: PhaseRecord): string =>
  originWords({ simulated, replayed: run.replayed }).join(', ');
const roundOrigin = ({ verdict }: RoundRecord): string =>
  originWords(verdict)
    .map((word) => `, ${word}`)
    .join('');

function usageCells(usage: Usage): string[] {
  const tokens = usage.inputTokens + usage.cacheReadTokens + usage.cacheWriteTokens;
  const cost = usage.costUsd === null ? 'unknown' : usage.costUsd === 0 ? '$0' : `$${usage.costUsd.toFixed(4)}`;
  return [usage.calls, tokens, usage.outputTokens].map((number) => number.toLocaleString('en')).concat(cost);
}

const overview = (input: RunReportInput): { head: string[]; rows: string[][] } => ({
  head: ['phase', 'status', 'rounds', 'model calls', 'tokens in', 'tokens out', 'cost', 'reason'],
  rows: [
    ...input.phases.map((phase) => [
      phase.phase,
      phase.status,
      String(phase.rounds.length),
      ...usageCells(phase.usage),
      phase.reason,
    ]),
    ['whole run', input.run.status, '', ...usageCells(input.run.usage), input.run.reason],
  ],
});

const claimsOf = (input: RunReportInput, phase: PhaseRecord): Claim[] =>
  Object.entries(phase.handoffs).flatMap(([persona, blob]) => {
    const handoff = input.handoffs?.get(blob);
    return handoff ? [{ persona, handoff }] : [];
  });

/** Gates and criteria that a bypass let through, and bypasses that did not count, in the last round of every phase. */
const bypassesOf = (input: RunReportInput): string[][] =>
  input.phases.flatMap((phase) => {
    const last = phase.rounds.at(-1)?.verdict;
    const results = [
      ...(last?.gates ?? []).map((gate) => ({ ...gate, name: gate.gate })),
      ...(last?.criteria ?? []).map((criterion) => ({ ...criterion, name: criterion.criterion })),
      ...(last?.contracts ?? []).map((result) => ({ ...result, name: `${result.persona}.${result.name}` })),
    ];
    const refused = (last?.bypasses ?? []).filter((bypass) => bypass.outcome === 'refused');
    return [
      ...results
        .filter((result) => result.outcome === 'bypassed')
        .map((result) => [phase.phase, result.name, result.message]),
      ...refused.map((bypass) => [phase.phase, bypass.gate, `${bypass.id} ${bypass.message}`]),
      ...(last?.brokenBypassLog === undefined
        ? []
        : [[phase.phase, 'none', `no bypass counts: the log is broken: ${last.brokenBypassLog}`]]),
    ];
  });

/** What was measured in the last round, in one line beside what was claimed. */
function measuredLine(phase: PhaseRecord): string {
  const last = phase.rounds.at(-1)?.verdict;
  if (!last) return 'nothing was measured';
  const bad = last.gates.filter((gate) => gate.outcome !== 'passed').map((gate) => `${gate.gate}: ${gate.message}`);
  const passed = last.gates.length - bad.length;
  return [`${passed} of ${last.gates.length} gates passed`, ...bad].join('; ');
}

/** `2026-11-23 15:36:20 UTC`. */
const timeOf = (iso: string): string => iso.replace('T', ' ').replace(/(\.\d+)?Z$/, ' UTC');

const titleOf = ({ run }: RunReportInput): string => `${run.workflow}: ${run.status.replaceAll('_', ' ')}`;

/** The report of a whole run as one page that needs nothing else: every round of every phase, with what it rests on. */
export function renderRunHtml(input: RunReportInput): string {
  const { run } = input;
  const { head, rows } = overview(input);
  const bypasses = bypassesOf(input);
  const times = `started ${timeOf(run.startedAt ?? 'never')}, finished ${timeOf(run.finishedAt ?? 'not yet')}`;
  const parts = [
    `<h1>${esc(run.workflow)}: ${statusHtml(run.status)}</h1>`,
    `<p class="soft">run <code>${esc(run.runId)}</code>, provider ${esc(run.provider)}, ${esc(times)}</p>`,
    htmlTable(
      head,
      rows.map((row, index) => {
        const [name = '', , ...rest] = row.map(esc);
        return [name, statusHtml(input.phases[index]?.status ?? run.status), ...rest];
      }),
    ),
    bypasses.length > 0 ? '<h2>Bypassed gates</h2>' : '<p class="soft">No gate was bypassed.</p>',
    htmlTable(
      ['phase', 'gate', 'why'],
      bypasses.map((row) => row.map(esc)),
    ),
    input.bypassRate === undefined
      ? ''
      : `<p${input.bypassRate.isAlert ? ' class="banner" role="alert"' : ' class="soft"'}>${esc(rateLine(input.bypassRate))}</p>`,
    ...input.phases.map((phase) => phaseHtml(input, phase)),
  ];
  return htmlPage(titleOf(input), originOf(input), parts.join('\n'));
}

/** The claims of a round, each beside what stands against it; what was found contradicted first. */
const claimRows = (evidence: RoundEvidence | undefined): string[][] =>
  (evidence?.claims ?? [])
    .toSorted((a, b) => Number(b.contradicted) - Number(a.contradicted))
    .map(({ persona, claim, measured, contradicted, blocks }) => [
      persona,
      claim,
      measured,
      blocks ? 'contradicted: not done' : contradicted ? 'contradicted' : '',
    ]);
const CLAIM_HEAD = ['persona', 'claimed', 'measured', ''];

const INTEGRITY_WORDS = {
  held: 'held',
  violated: 'violated: blocks',
  error: 'not evaluable: blocks',
  not_applicable: '',
};
const integrityRows = (evidence: RoundEvidence | undefined): string[][] =>
  (evidence?.integrity ?? []).map(({ check, outcome, message }) => [
    check.replaceAll('_', ' '),
    INTEGRITY_WORDS[outcome],
    message,
  ]);
const INTEGRITY_HEAD = ['the fleet checked', '', 'what was seen'];

function phaseHtml(input: RunReportInput, phase: PhaseRecord): string {
  const origin = phaseOrigin(input, phase);
  const claims = claimsOf(input, phase).map(({ persona, handoff }) => [
    esc(persona),
    `${esc(handoff.summary)}${handoff.claims.map((claim) => `<br>“${esc(claim)}”`).join('')}`,
    esc(measuredLine(phase)),
  ]);
  return [
    `<h2>${esc(phase.phase)} ${statusHtml(phase.status)}${origin === '' ? '' : ` <span class="soft">${origin}</span>`}</h2>`,
    phase.reason === '' ? '' : `<p>${esc(phase.reason)}</p>`,
    phase.rounds.length === 0 ? '<p class="soft">No round was judged.</p>' : '',
    ...phase.rounds.map((round, index) => roundHtml(input, round, index === phase.rounds.length - 1)),
    claims.length === 0 ? '' : '<h3>Claimed beside measured</h3>',
    htmlTable(['persona', 'claimed, and not believed', 'measured'], claims),
  ].join('\n');
}

const escaped = (rows: readonly string[][]): string[][] => rows.map((row) => row.map(esc));

function roundHtml(input: RunReportInput, round: RoundRecord, isLast: boolean): string {
  const evidence = input.evidence?.get(round.evidence);
  const findings = evidence?.findings ?? [];
  const more = evidence
    ? `${htmlTable(INTEGRITY_HEAD, escaped(integrityRows(evidence)))}${htmlTable(CLAIM_HEAD, escaped(claimRows(evidence)))}${findings.length > 0 ? `<details><summary>Findings (${findings.length})</summary>${findingsHtml(findings)}</details>` : ''}
<details><summary>Evidence, files <code>${esc(evidence.tree)}</code></summary>${measurementsHtml(evidence.measurements)}</details>`
    : `<p class="soft">${round.findings} findings; evidence <code>${esc(round.evidence)}</code></p>`;
  return `<details${isLast ? ' open' : ''}><summary>Round ${round.round}: ${verdictBadge(round.verdict.verdict)}
<span class="soft">${esc(timeOf(round.at))}${roundOrigin(round)}, ${esc(policyLine(round.verdict))}</span></summary>
${verdictHtml(round.verdict)}${more}</details>`;
}

/** The same in Markdown. */
export function renderRunMarkdown(input: RunReportInput): string {
  const { run } = input;
  const { head, rows } = overview(input);
  const banner = bannerOf(originOf(input));
  const bypasses = bypassesOf(input);
  return [
    `# ${escapeMarkdown(titleOf(input))}`,
    '',
    ...banner,
    `Run \`${run.runId}\`, provider ${run.provider}, started ${run.startedAt ?? 'never'}, finished ${run.finishedAt ?? 'not yet'}.`,
    '',
    ...markdownTable(head, rows),
    ...(bypasses.length > 0 ? ['## Bypassed gates', '', ...markdownTable(['phase', 'gate', 'why'], bypasses)] : []),
    ...(input.bypassRate === undefined ? [] : [escapeMarkdown(rateLine(input.bypassRate)), '']),
    ...input.phases.flatMap((phase) => phaseMarkdown(input, phase)),
    ...banner,
  ].join('\n');
}

function phaseMarkdown(input: RunReportInput, phase: PhaseRecord): string[] {
  const origin = phaseOrigin(input, phase);
  const claims = claimsOf(input, phase).map(({ persona, handoff }) => [
    persona,
    [handoff.summary, ...handoff.claims].join('; '),
    measuredLine(phase),
  ]);
  return [
    `## ${escapeMarkdown(phase.phase)}: ${escapeMarkdown(phase.status)}${origin === '' ? '' : ` (${origin})`}`,
    '',
    ...(phase.reason === '' ? [] : [escapeMarkdown(phase.reason), '']),
    ...phase.rounds.flatMap((round) => [
      `### Round ${round.round}: ${verdictWords[round.verdict.verdict]}`,
      '',
      `${escapeMarkdown(policyLine(round.verdict))}, ${round.at}${roundOrigin(round)}`,
      '',
      ...verdictTable(round.verdict),
      ...markdownTable(INTEGRITY_HEAD, integrityRows(input.evidence?.get(round.evidence))),
      ...markdownTable(CLAIM_HEAD, claimRows(input.evidence?.get(round.evidence))),
      ...findingsTable(input.evidence?.get(round.evidence)?.findings ?? []),
    ]),
    ...(claims.length === 0 ? [] : markdownTable(['persona', 'claimed, and not believed', 'measured'], claims)),
  ];
}
