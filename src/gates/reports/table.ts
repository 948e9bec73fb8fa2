import type { Finding } from '../../shared/verdict.ts';
import { widthOf, wrapTo } from './columns.ts';
import { isAddressed } from '../owners/address-findings.ts';
import {
  type PhaseReport,
  type ReportRow,
  originNotes,
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
  contract: 'Persona contracts',
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

/** Where less than this is left beside a name, a message stands below it. */
const LEAST_COLUMNS = 30;

/** The report for a terminal. Lines are broken only where its width is known: in a file, each entry is one line. */
export function tableReport(report: PhaseReport, colors: Colors, columns = Number.POSITIVE_INFINITY): string {
  const { verdict } = report;
  const paint = paints(colors);
  const words = verdictWords[verdict.verdict];
  const origin = originNotes(verdict).flatMap((note) => wrapTo(note, columns).map((line) => colors.yellow(line)));
  const [first = '', ...more] = wrapTo(`${words}  ${visible(policyLine(verdict))}`, columns);
  const lines = [`${paint[verdict.verdict](colors.bold(words))}${first.slice(words.length)}`, ...more, ...origin];
  const note = wrapTo(visible(integrityLine(report) ?? ''), columns).filter((line) => line !== '');
  lines.push(...note.map((line) => (report.integrity === undefined ? colors.yellow(line) : line)));
  const rows = rowsOfReport(report);
  const width = Math.max(0, ...rows.map((row) => row.name.length));
  for (const kind of ['gate', 'criterion', 'artifact', 'target', 'contract', 'bypass', 'integrity'] as const) {
    const own = rows.filter((row) => row.kind === kind);
    if (own.length > 0) lines.push('', colors.bold(HEADINGS[kind]));
    for (const row of own) {
      const mark = paint[row.outcome](MARKS[row.outcome].padEnd(10));
      const source = row.source === '' ? '' : `[${visible(row.source)}]`;
      const isBelow = columns - width - 15 < LEAST_COLUMNS;
      const indent = isBelow ? 6 : width + 15;
      const [beside = '', ...below] = broken(visible(row.message), source, columns - indent, colors.dim);
      lines.push(
        ...(isBelow ? [`  ${mark} ${row.name}`] : [`  ${mark} ${row.name.padEnd(width)}  ${beside}`]),
        ...(isBelow ? [beside, ...below] : below).map((line) => `${' '.repeat(indent)}${line}`),
      );
    }
  }
  lines.push(...findingLines(report, colors, columns));
  if (origin.length > 0) lines.push('', ...origin);
  return `${lines.join('\n')}\n`;
}

/** A message with what stands after it in another colour, in lines of at most so many columns. */
function broken(message: string, after: string, columns: number, paint: Paint): string[] {
  const lines = wrapTo(message, columns);
  if (after === '') return lines;
  const last = lines.at(-1) ?? '';
  if (widthOf(last) + 2 + widthOf(after) <= columns) return [...lines.slice(0, -1), `${last}  ${paint(after)}`];
  return [...lines, ...wrapTo(after, columns).map(paint)];
}

function findingLines({ findings }: PhaseReport, colors: Colors, columns: number): string[] {
  if (findings.length === 0) return [];
  const line = (finding: Finding, indent: string): string => {
    const place = placeOf(finding);
    const text = `${place === '' ? '' : `${visible(place)}: `}${visible(finding.message)}`;
    const lines = broken(text, visible(finding.rule), columns - indent.length - 2, colors.dim);
    return lines.map((each, index) => `${indent}${index === 0 ? '' : '  '}${each}`).join('\n');
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
