import type { Finding, PhaseVerdict } from '../../shared/verdict.ts';
import { isAddressed } from '../owners/address-findings.ts';
import { escapeMarkdown } from './markup.ts';
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

const MAX_FINDINGS = 200;

const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;

/** A Markdown table; every cell is escaped. */
export function markdownTable(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  if (rows.length === 0) return [];
  return [line(head), line(head.map(() => '---')), ...rows.map((row) => line(row.map(escapeMarkdown))), ''];
}

/** Gates, criteria, artifacts and targets of a verdict. */
export const verdictTable = (verdict: PhaseVerdict): string[] => rowsTable(rowsOf(verdict));

const rowsTable = (rows: readonly ReportRow[]): string[] =>
  markdownTable(
    ['what', 'name', 'outcome', 'severity', 'measured', 'source'],
    rows.map((row) => [row.kind, row.name, row.outcome, row.severity, row.message, row.source]),
  );

export function findingsTable(findings: readonly Finding[]): string[] {
  const shown = findings.slice(0, MAX_FINDINGS);
  const more = findings.length - shown.length;
  const isFor = isAddressed(findings);
  return [
    ...markdownTable(
      ['severity', 'place', ...(isFor ? ['for'] : []), 'rule', 'message'],
      shown.map((finding) => [
        finding.severity,
        placeOf(finding),
        ...(isFor ? [finding.persona ?? ''] : []),
        finding.rule,
        finding.message,
      ]),
    ),
    ...(more > 0 ? [`... and ${more} more.`, ''] : []),
  ];
}

/** What stands at the head and the foot of a report, when no model gave the answers now. */
export const bannerOf = (origin: Origin): string[] => originNotes(origin).flatMap((note) => [`> **${note}**`, '']);

/** The report of one phase, for pull requests and wikis. */
export function markdownReport(report: PhaseReport): string {
  const { verdict, findings, tree } = report;
  const note = integrityLine(report);
  const banner = bannerOf(verdict);
  return [
    `# ${verdictWords[verdict.verdict]}: ${escapeMarkdown(verdict.phase)}`,
    '',
    ...banner,
    `${escapeMarkdown(policyLine(verdict))}${tree === undefined ? '' : `, files \`${tree}\``}`,
    '',
    ...(note === undefined ? [] : [escapeMarkdown(note), '']),
    ...rowsTable(rowsOfReport(report)),
    ...(findings.length > 0 ? ['## Findings', '', ...findingsTable(findings)] : []),
    ...banner,
  ].join('\n');
}
