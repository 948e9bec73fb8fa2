import type { Finding } from '../../../shared/verdict.ts';

interface Directive {
  rule: string;
  pattern: RegExp;
  /** Same length as what it replaces. */
  replacement: string;
}

/** Comments by which an author could switch off the very tool that measures the work. */
const DIRECTIVES: readonly Directive[] = [
  { rule: 'tamper/eslint-disable', pattern: /\beslint-(?=disable|enable)/g, replacement: 'eslint_' },
  { rule: 'tamper/ts-nocheck', pattern: /@(?=ts-nocheck\b)/g, replacement: '_' },
  { rule: 'tamper/ts-ignore', pattern: /@(?=ts-(?:ignore|expect-error)\b)/g, replacement: '_' },
  {
    rule: 'tamper/coverage-ignore',
    pattern: /(?<=(?:[cv|]8|node:coverage|istanbul))[ \t](?=[ \t]*(?:ignore|disable))/g,
    replacement: '_',
  },
  { rule: 'tamper/jscpd-ignore', pattern: /(?<=jscpd):(?=ignore)/g, replacement: '_' },
  { rule: 'tamper/secretlint-disable', pattern: /(?<=secretlint)-(?=disable)/g, replacement: '_' },
  // A source map of the author's own would let covered lines be drawn from another text.
  { rule: 'tamper/source-map', pattern: /(?<=[#@]\s?source)M(?=appingURL\s*=)/g, replacement: '_' },
  { rule: 'tamper/source-url', pattern: /(?<=[#@]\s?source)U(?=RL\s*=)/g, replacement: '_' },
];

/** How a line of a block comment begins. */
const STAR = /[^\S\n]*\*/y;

/** The text without effective tool switches, of equal length, and a finding for each that stood in a comment. */
export function defuse(
  text: string,
  file: string,
  kind: 'code' | 'text',
): { text: string; changed: boolean; findings: Finding[] } {
  const findings: Finding[] = [];
  let result = text;
  for (const directive of DIRECTIVES) {
    if (kind === 'text' && directive.rule !== 'tamper/secretlint-disable') continue;
    const place = placesIn(text);
    result = result.replace(directive.pattern, (_match, ...rest) => {
      const offset = rest.find((value) => typeof value === 'number') ?? 0;
      const { line, lineStart, isInComment } = place(offset);
      if (kind === 'text' || isInComment)
        findings.push({
          rule: directive.rule,
          message: 'A comment that switches a measuring tool off has no effect here; remove it and mend what it hides',
          severity: 'warning',
          file,
          line,
          column: offset - lineStart + 1,
        });
      return directive.replacement;
    });
  }
  return { text: result, changed: result !== text, findings };
}

/**
 * Tells where places in a text lie, when asked for one after the other: what was walked through once is not walked
 * through again, because a hostile file has such places by the hundred thousand.
 */
function placesIn(text: string): (offset: number) => { line: number; lineStart: number; isInComment: boolean } {
  const newline = lastBefore(text, '\n');
  const rest = lastBefore(text, '//');
  const opened = lastBefore(text, '/*');
  const closed = lastBefore(text, '*/');
  let starred = { lineStart: -1, end: -1 };
  return (offset) => {
    const { count, at } = newline(offset);
    const lineStart = at + 1;
    if (starred.lineStart !== lineStart) {
      STAR.lastIndex = lineStart;
      starred = { lineStart, end: STAR.test(text) ? STAR.lastIndex : Number.POSITIVE_INFINITY };
    }
    const block = opened(offset).at;
    const isInComment =
      rest(offset).at >= lineStart || block >= lineStart || starred.end <= offset || block > closed(offset).at;
    return { line: count + 1, lineStart, isInComment };
  };
}

/** How many of a mark end before an offset, and where the last of them begins; offsets may only grow. */
function lastBefore(text: string, mark: string): (offset: number) => { count: number; at: number } {
  let [count, at, next] = [0, -1, text.indexOf(mark)];
  return (offset) => {
    while (next !== -1 && next + mark.length <= offset) {
      count += 1;
      at = next;
      next = text.indexOf(mark, next + 1);
    }
    return { count, at };
  };
}
