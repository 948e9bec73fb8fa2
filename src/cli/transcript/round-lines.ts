import { wrapTo } from '../../gates/reports/columns.ts';
import type { RoundRecord } from '../../shared/run-record.ts';
import type { Finding } from '../../shared/verdict.ts';
import { count, cutTo, oneLine } from '../text.ts';
import { paintStatus, statusText, verdictProblems } from '../words.ts';
import { type Page, excerpt } from './markdown.ts';
import { rule } from './render.ts';

/** How many of each are shown. */
const MOST = 6;
/** How many lines one of them may take. */
const LINES = 2;

/** What the gates said of a round: the verdict, what of it did not pass, and the first findings, the worst before others. */
export function roundLines(
  phase: string,
  { round, verdict, at }: Pick<RoundRecord, 'round' | 'verdict' | 'at'>,
  findings: readonly Finding[],
  page: Page,
): string[] {
  const { colors } = page;
  const word = statusText(verdict.verdict);
  const after = round === 0 ? '' : `, rework ${round}`;
  const worst = ['error', 'warning', 'info'].flatMap((severity) => findings.filter((one) => one.severity === severity));
  return [
    paintStatus(
      colors,
      verdict.verdict,
      rule('━', `${oneLine(phase)}: gates${after} · ${word} · ${at.slice(11, 19)}`, page),
    ),
    ...listed(verdictProblems(verdict).map(oneLine), page),
    ...(findings.length === 0
      ? []
      : [colors.bold(`  ${count(findings.length, 'finding')}`), ...listed(worst.map(findingText), page)]),
  ];
}

function listed(texts: readonly string[], page: Page): string[] {
  const columns = Math.max(1, page.columns - 4);
  const items = texts.map((text) =>
    wrapTo(page.isFull ? text : cutTo(text, columns * LINES - 10), columns)
      .map((line, index) => `${index === 0 ? '  ' : '    '}${line}`)
      .join('\n'),
  );
  return excerpt(items, MOST, page);
}

function findingText({ file, line, rule: raised, message, persona }: Finding): string {
  const place = file === undefined ? '' : `${file}${line === undefined ? '' : `:${line}`}: `;
  return oneLine(`${place}${message} (${raised}${persona === undefined ? '' : `, for ${persona}`})`);
}
