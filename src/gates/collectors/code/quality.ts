import type { Finding } from '../../../shared/verdict.ts';
import type { LintMessage, LintReport } from './probe-reports.ts';
import { codeCollector, defusedCopy, directivesOf, lint, syntax } from './measurement.ts';
import { keepReport, notEvaluable } from './run-tool.ts';

const COMPLEX_FROM = 10;

export interface QualityParts {
  errors: number;
  warnings: number;
  /** Functions whose cyclomatic complexity is over 10. */
  complexFunctions: number;
  /** Share of lines that stand in the code twice, 0 to 1. */
  duplication: number;
  codeLines: number;
}

/**
 * code_quality_score, 0 to 10:
 * `10 - 2.0 x errors - 0.5 x warnings - 0.5 x functions over complexity 10 - 10 x duplicated share`,
 * where errors, warnings and functions are counted for each 100 lines of code (of at least 100 lines, so that one
 * warning in a very small project does not weigh more than it would in 100 lines).
 */
export function qualityScore(parts: QualityParts): number {
  const hundreds = Math.max(parts.codeLines, 100) / 100;
  const score =
    10 - (2 * parts.errors + 0.5 * parts.warnings + 0.5 * parts.complexFunctions) / hundreds - 10 * parts.duplication;
  return Math.round(Math.min(10, Math.max(0, score)) * 100) / 100;
}

export const lintFinding = (metric: string, message: LintMessage): Finding => ({
  metric,
  rule: `eslint/${message.rule}`,
  message: message.message,
  severity: message.severity,
  file: message.file,
  line: message.line,
  column: message.column,
});

/** The first file that lint could not read; what cannot be read has no quality. */
export const unparsable = (report: LintReport): string | undefined => {
  const fault = report.messages.find(({ rule }) => rule === 'unparsable');
  return fault && `${fault.file}:${fault.line} cannot be parsed: ${fault.message}`;
};

export const quality = codeCollector({
  id: 'quality',
  metrics: ['code_quality_score', 'component_complexity'],
  timeoutMs: 120_000,
  measure: async (context, scope) => {
    const copy = await defusedCopy(context, scope);
    const [{ report, evidence }, { report: tree }] = [
      await lint(context, scope, copy),
      await syntax(context, scope, copy),
    ];
    const fault = unparsable(report);
    const wanted = ['code_quality_score', 'component_complexity'];
    if (fault !== undefined) return notEvaluable(wanted, fault, [evidence]);
    if (report.filesLinted === 0 || tree.codeLines === 0)
      return notEvaluable(wanted, 'There is no line of code', [evidence]);
    if (report.duplication.sources === 0)
      return notEvaluable(wanted, 'The duplicate search looked at no file', [evidence]);

    const own = report.messages.filter(({ isSecurity }) => !isSecurity);
    const complex = report.complexities.filter(({ complexity }) => complexity > COMPLEX_FROM);
    const parts: QualityParts = {
      errors: own.filter(({ severity }) => severity === 'error').length,
      warnings: own.filter(({ severity }) => severity === 'warning').length,
      complexFunctions: complex.length,
      duplication: report.duplication.duplicatedLines / report.duplication.lines,
      codeLines: tree.codeLines,
    };
    const kept = await keepReport(context, 'quality.json', JSON.stringify({ parts, ...report }, null, 2));
    const summary =
      `${parts.errors} errors, ${parts.warnings} warnings, ${parts.complexFunctions} functions over complexity ${COMPLEX_FROM}, ` +
      `${(parts.duplication * 100).toFixed(1)}% duplicated in ${parts.codeLines} lines of ${report.filesLinted} files (${scope.description})`;
    const findings: Finding[] = [
      ...own.map((message) => lintFinding('code_quality_score', message)),
      ...complex.map(({ file, line, what, complexity }) => ({
        metric: 'component_complexity',
        rule: 'eslint/complexity',
        message: `${what} has a complexity of ${complexity}: split it`,
        severity: 'warning' as const,
        file,
        line,
      })),
      ...report.duplication.clones.map(({ file, line, endLine, otherFile, otherLine }) => ({
        metric: 'code_quality_score',
        rule: 'jscpd/duplicate',
        message: `Lines ${line} to ${endLine} stand again in ${otherFile}:${otherLine}`,
        severity: 'warning' as const,
        file,
        line,
      })),
      ...directivesOf(copy, scope.sources, ['tamper/eslint-disable', 'tamper/jscpd-ignore']).map((finding) => ({
        ...finding,
        metric: 'code_quality_score',
      })),
    ];
    const most = Math.max(0, ...report.complexities.map(({ complexity }) => complexity));
    return {
      values: {
        code_quality_score: { value: qualityScore(parts), examined: tree.codeLines },
        component_complexity:
          report.complexities.length > 0
            ? { value: most, examined: report.complexities.length }
            : { notEvaluable: 'There is no function whose complexity could be measured' },
      },
      findings,
      evidence: [{ ...evidence, summary, ...kept }],
    };
  },
});
