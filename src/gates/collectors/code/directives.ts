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

const IN_COMMENT = /\/\/|\/\*|^\s*\*/;

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
    result = result.replace(directive.pattern, (match, ...rest) => {
      const offset = rest.find((value) => typeof value === 'number') ?? 0;
      const before = text.slice(0, offset);
      const lineStart = before.lastIndexOf('\n') + 1;
      if (
        kind === 'text' ||
        IN_COMMENT.test(text.slice(lineStart, offset + match.length)) ||
        before.lastIndexOf('/*') > before.lastIndexOf('*/')
      )
        findings.push({
          rule: directive.rule,
          message: 'A comment that switches a measuring tool off has no effect here; remove it and mend what it hides',
          severity: 'warning',
          file,
          line: before.split('\n').length,
          column: offset - lineStart + 1,
        });
      return directive.replacement;
    });
  }
  return { text: result, changed: result !== text, findings };
}
