import type { PhaseStatus, RunStatus } from '../../shared/run-record.ts';
import type { Finding, Measurement, PhaseVerdict } from '../../shared/verdict.ts';
import { isAddressed } from '../owners/address-findings.ts';
import { escapeMarkup as esc } from './markup.ts';
import {
  type PhaseReport,
  type ReportRow,
  type Origin,
  originNotes,
  integrityLine,
  placeOf,
  policyLine,
  rowsOf,
  rowsOfReport,
  verdictWords,
} from './phase-report.ts';

const STYLE = `
:root { color-scheme: light dark; --bg: #fff; --fg: #1c2024; --soft: #60646c; --line: #e0e3e8; --card: #f7f8fa;
  --good: #187a3d; --bad: #c0262d; --warn: #8a5a00; }
@media (prefers-color-scheme: dark) { :root { --bg: #14171a; --fg: #e8eaed; --soft: #a2a8b0; --line: #2d3238;
  --card: #1c2024; --good: #5fd38d; --bad: #ff8589; --warn: #f0c04f; } }
* { box-sizing: border-box } body { margin: 0 auto; max-width: 76rem; padding: 1.5rem; background: var(--bg);
  color: var(--fg); font: 15px/1.5 system-ui, sans-serif } h1 { font-size: 1.6rem } h2 { margin-top: 2.2rem }
h1, h2, h3 { line-height: 1.25 } .soft { color: var(--soft) } .scroll { overflow-x: auto }
table { border-collapse: collapse; width: 100%; margin: .6rem 0 } th, td { text-align: left; vertical-align: top;
  padding: .35rem .9rem .35rem 0; border-bottom: 1px solid var(--line); overflow-wrap: break-word }
th { color: var(--soft); font-weight: 600; white-space: nowrap } td:last-child { overflow-wrap: anywhere; min-width: 9rem } code, pre { font: 13px/1.5 ui-monospace, monospace }
pre { white-space: pre-wrap; background: var(--card); padding: .8rem; border-radius: .4rem; margin: .4rem 0 }
.banner { border: 2px solid var(--warn); color: var(--warn); border-radius: .4rem; padding: .6rem .9rem; font-weight: 600 }
.badge { font-weight: 700 } .good { color: var(--good) } .bad { color: var(--bad) } .warn { color: var(--warn) }
p code, summary code { overflow-wrap: anywhere } @media (max-width: 60rem) { .scroll table { min-width: 54rem } }
.wide { min-width: 21rem } details { margin: .5rem 0 } summary { cursor: pointer }
`;

const TONES: Readonly<Record<ReportRow['outcome'] | PhaseVerdict['verdict'] | 'cancelled', string>> = {
  passed: 'good',
  passed_with_warnings: 'warn',
  blocked: 'bad',
  not_gated: 'warn',
  failed: 'bad',
  error: 'bad',
  warning: 'warn',
  bypassed: 'warn',
  not_supplied: 'soft',
  cancelled: 'bad',
};

/** The status of a run or a phase, in its colour. */
export const statusHtml = (status: PhaseStatus | RunStatus): string =>
  `<span class="badge ${new Map(Object.entries(TONES)).get(status) ?? 'soft'}">${status.replaceAll('_', ' ')}</span>`;

/** One page that needs nothing else: no script, no font, no picture, nothing from anywhere. */
export function htmlPage(title: string, origin: Origin, body: string): string {
  const banner = originNotes(origin)
    .map((note) => `<p class="banner" role="note">${note}</p>\n`)
    .join('');
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>${esc(title)}</title><style>${STYLE}</style></head>
<body>
${banner}<main>
${body}
</main>
${banner}</body></html>
`;
}

/** A table; cells are HTML, so what goes in must be escaped. */
export const htmlTable = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  rows.length === 0
    ? ''
    : `<div class="scroll"><table><thead><tr>${head.map((cell) => `<th>${esc(cell)}</th>`).join('')}</tr></thead><tbody>
${rows.map((row) => `<tr>${row.map((cell) => `<td>${cell}</td>`).join('')}</tr>`).join('\n')}
</tbody></table></div>`;

export const verdictBadge = (verdict: PhaseVerdict['verdict']): string =>
  `<span class="badge ${TONES[verdict]}">${verdictWords[verdict]}</span>`;

/** Gates, criteria, artifacts and targets of a verdict. */
export const verdictHtml = (verdict: PhaseVerdict): string => rowsHtml(rowsOf(verdict));

const rowsHtml = (rows: readonly ReportRow[]): string =>
  htmlTable(
    ['', 'name', 'outcome', 'severity', 'measured', 'source'],
    rows.map((row) => [
      `<span class="soft">${row.kind}</span>`,
      `<code>${esc(row.name)}</code>`,
      `<span class="badge ${TONES[row.outcome]}">${row.outcome.replace('_', ' ')}</span>`,
      row.severity,
      `<div class="wide">${esc(row.message)}</div>`,
      esc(row.source),
    ]),
  );

export function findingsHtml(findings: readonly Finding[]): string {
  const isFor = isAddressed(findings);
  return htmlTable(
    ['severity', 'place', ...(isFor ? ['for'] : []), 'rule', 'message'],
    findings.map((finding) => [
      finding.severity,
      `<code>${esc(placeOf(finding))}</code>`,
      ...(isFor ? [esc(finding.persona ?? '')] : []),
      `<code>${esc(finding.rule)}</code>`,
      esc(finding.message),
    ]),
  );
}

/** What each value rests on: collector, count examined, commands and reports. */
export const measurementsHtml = (measurements: readonly Measurement[]): string =>
  htmlTable(
    ['metric', 'value', 'examined', 'by', 'evidence'],
    measurements.map((each) => [
      `<code>${esc(each.metric)}</code>`,
      each.status === 'measured' ? String(each.value) : `<span class="bad">not evaluable</span>: ${esc(each.reason)}`,
      each.status === 'measured' ? String(each.examined) : '',
      esc(
        `${each.collector} ${each.collectorVersion}${each.status === 'measured' && each.simulated ? ', simulated' : ''}`,
      ),
      each.evidence
        .map((item) => {
          const more = [
            item.command,
            item.exitCode === undefined ? undefined : `exit ${item.exitCode}`,
            item.tool && `${item.tool} ${item.toolVersion ?? ''}`.trim(),
            item.report,
            item.sandbox && `sandbox ${item.sandbox}`,
          ].filter((part) => part !== undefined && part !== '');
          return `${esc(item.summary)}${more.length > 0 ? `<br><code class="soft">${esc(more.join(' · '))}</code>` : ''}`;
        })
        .join('<br>'),
    ]),
  );

/** The report of one phase as a page. */
export function htmlReport(report: PhaseReport): string {
  const { verdict, measurements, findings, tree } = report;
  const note = integrityLine(report);
  const parts = [
    `<h1>${esc(verdict.phase)}: ${verdictBadge(verdict.verdict)}</h1>`,
    `<p class="soft">${esc(policyLine(verdict))}${tree === undefined ? '' : `<br>files <code>${esc(tree)}</code>`}</p>`,
    note === undefined ? '' : `<p${report.integrity === undefined ? ' class="warn"' : ''}>${esc(note)}</p>`,
    rowsHtml(rowsOfReport(report)),
    findings.length > 0 ? `<h2>Findings (${findings.length})</h2>${findingsHtml(findings)}` : '',
    measurements.length > 0 ? `<h2>Evidence</h2>${measurementsHtml(measurements)}` : '',
  ];
  return htmlPage(`${verdictWords[verdict.verdict]}: ${verdict.phase}`, verdict, parts.join('\n'));
}
