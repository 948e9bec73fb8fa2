import type { Finding } from '../../shared/verdict.ts';
import { isAddressed } from '../owners/address-findings.ts';
import {
  type PhaseReport,
  type ReportRow,
  SIMULATED,
  integrityLine,
  placeOf,
  policyLine,
  rowsOfReport,
  verdictWords,
  visible,
} from './phase-report.ts';

type Paint = (text: string) => string;
/** The colours that are used; `picocolors` has them. */
export interface Colors {
  bold: Paint;
  dim: Paint;
  red: Paint;
  green: Paint;
  yellow: Paint;
}

const HEADINGS: Readonly<Record<ReportRow['kind'], string>> = {
  gate: 'Gates',
  criterion: 'Success criteria',
  artifact: 'Artifacts',
  target: 'Metric targets',
  bypass: 'Bypasses',
  integrity: 'Integrity',
};
const MARKS: Readonly<Record<ReportRow['outcome'], string>> = {
  passed: '✓ passed',
  failed: '✗ failed',
  error: '✗ error',
  warning: '! warning',
  bypassed: '» bypassed',
  not_supplied: '- none',
};
const MAX_FINDINGS = 25;

/** The report for a terminal. */
export function tableReport(report: PhaseReport, colors: Colors): string {
  const { verdict } = report;
  const paint = paints(colors);
  const lines: string[] = [
    `${paint[verdict.verdict](colors.bold(verdictWords[verdict.verdict]))}  ${visible(policyLine(verdict))}`,
  ];
  if (verdict.simulated) lines.push(colors.yellow(SIMULATED));
  const note = integrityLine(report);
  if (note !== undefined) lines.push(report.integrity === undefined ? colors.yellow(note) : visible(note));
  const rows = rowsOfReport(report);
  const width = Math.max(0, ...rows.map((row) => row.name.length));
  for (const kind of ['gate', 'criterion', 'artifact', 'target', 'bypass', 'integrity'] as const) {
    const own = rows.filter((row) => row.kind === kind);
    if (own.length > 0) lines.push('', colors.bold(HEADINGS[kind]));
    for (const row of own) {
      const source = row.source === '' ? '' : colors.dim(`  [${visible(row.source)}]`);
      const mark = paint[row.outcome](MARKS[row.outcome].padEnd(10));
      lines.push(`  ${mark} ${row.name.padEnd(width)}  ${visible(row.message)}${source}`);
    }
  }
  lines.push(...findingLines(report, colors));
  if (verdict.simulated) lines.push('', colors.yellow(SIMULATED));
  return `${lines.join('\n')}\n`;
}

function findingLines({ findings }: PhaseReport, colors: Colors): string[] {
  if (findings.length === 0) return [];
  const line = (finding: Finding, indent: string): string => {
    const place = placeOf(finding);
    return `${indent}${place === '' ? '' : `${visible(place)}: `}${visible(finding.message)} ${colors.dim(visible(finding.rule))}`;
  };
  const isFor = isAddressed(findings);
  const names = [...new Set(findings.map(({ persona }) => persona ?? ''))].toSorted((a, b) =>
    a === '' || b === '' ? Number(a === '') - Number(b === '') : Number(a > b) - Number(a < b),
  );
  const groups = names.map((name) => ({ name, own: findings.filter(({ persona = '' }) => persona === name) }));
  const shown = groups.flatMap(({ name, own }) => {
    const most = Math.ceil(MAX_FINDINGS / groups.length);
    const more = own.length - most;
    const indent = isFor ? '    ' : '  ';
    return [
      ...(isFor ? [`  ${name === '' ? 'for nobody in particular' : `for ${visible(name)}`}`] : []),
      ...own.slice(0, most).map((finding) => line(finding, indent)),
      ...(more > 0 ? [`${indent}... and ${more} more`] : []),
    ];
  });
  return ['', colors.bold(`Findings (${findings.length})`), ...shown];
}

const paints = (colors: Colors): Record<ReportRow['outcome'] | PhaseReport['verdict']['verdict'], Paint> => ({
  passed: colors.green,
  passed_with_warnings: colors.yellow,
  blocked: colors.red,
  not_gated: colors.yellow,
  failed: colors.red,
  error: colors.red,
  warning: colors.yellow,
  bypassed: colors.yellow,
  not_supplied: colors.dim,
});
