import type { Evidence, Finding } from '../../../../shared/verdict.ts';
import type { CollectContext } from '../../../collector.ts';
import { copyProject } from '../project-files.ts';
import { DuplicationReport } from '../probe-reports.ts';
import { type QualityParts, qualityScore } from '../quality.ts';
import { freshFolder, keepReport, notEvaluable, runProbe } from '../run-tool.ts';
import { analyse, directiveFindings, pythonCollector, unparsable } from './probe.ts';
import type { AnalysisReport } from './reports.ts';
import type { PythonScope } from './scope.ts';

const METRICS = ['code_quality_score', 'component_complexity'] as const;
const COMPLEX_FROM = 10;

/** The same formula as for JavaScript, over what pyflakes, radon and jscpd say. */
export const pythonQuality = pythonCollector({
  id: 'quality',
  metrics: METRICS,
  timeoutMs: 120_000,
  measure: async (context, scope) => {
    const { report, evidence } = await analyse(context, scope.sources);
    const fault = unparsable(report);
    if (fault !== undefined) return notEvaluable(METRICS, fault, [evidence]);
    if (report.files === 0 || report.codeLines === 0)
      return notEvaluable(METRICS, 'There is no line of code', [evidence]);
    const copies = await duplication(context, scope);
    if (copies.report.sources === 0)
      return notEvaluable(METRICS, 'The duplicate search looked at no file', [evidence, copies.evidence]);
    const complex = report.complexities.filter(({ complexity }) => complexity > COMPLEX_FROM);
    const parts: QualityParts = {
      errors: report.messages.filter(({ severity }) => severity === 'error').length,
      warnings: report.messages.filter(({ severity }) => severity === 'warning').length,
      complexFunctions: complex.length,
      duplication: copies.report.duplicatedLines / copies.report.lines,
      codeLines: report.codeLines,
    };
    const kept = await keepReport(
      context,
      'quality.json',
      JSON.stringify({ parts, ...report, duplication: copies.report }, null, 2),
    );
    const summary =
      `${parts.errors} errors, ${parts.warnings} warnings, ${parts.complexFunctions} functions over complexity ${COMPLEX_FROM}, ` +
      `${(parts.duplication * 100).toFixed(1)}% duplicated in ${parts.codeLines} lines of ${report.files} files (${scope.description})`;
    return {
      values: {
        code_quality_score: { value: qualityScore(parts), examined: report.codeLines },
        component_complexity:
          report.complexities.length > 0
            ? {
                value: Math.max(...report.complexities.map(({ complexity }) => complexity)),
                examined: report.complexities.length,
              }
            : { notEvaluable: 'There is no function whose complexity could be measured' },
      },
      findings: findingsOf(report, copies.report),
      evidence: [{ ...evidence, summary, ...kept }, copies.evidence],
    };
  },
});

async function duplication(
  context: CollectContext,
  scope: PythonScope,
): Promise<{ report: DuplicationReport; evidence: Evidence }> {
  const copy = await copyProject(context.root, scope.sources, {
    folder: await freshFolder(context, 'copy'),
    plain: true,
  });
  const { report, evidence } = await runProbe(context, {
    name: 'python-duplication',
    project: copy.folder,
    input: { files: scope.sources },
    report: DuplicationReport,
  });
  const summary = `${report.duplicatedLines} of ${report.lines} lines stand more than once in ${report.sources} files`;
  return { report, evidence: { ...evidence, tool: 'jscpd', toolVersion: report.version, summary } };
}

const findingsOf = (report: AnalysisReport, copies: DuplicationReport): Finding[] => [
  ...report.messages.map(({ rule, ...message }) => ({
    ...message,
    metric: 'code_quality_score',
    rule: `pyflakes/${rule}`,
  })),
  ...report.complexities
    .filter(({ complexity }) => complexity > COMPLEX_FROM)
    .map(({ file, line, what, complexity }) => ({
      metric: 'component_complexity',
      rule: 'radon/complexity',
      message: `${what} has a complexity of ${complexity}: split it`,
      severity: 'warning' as const,
      file,
      line,
    })),
  ...copies.clones.map(({ file, line, endLine, otherFile, otherLine }) => ({
    metric: 'code_quality_score',
    rule: 'jscpd/duplicate',
    message: `Lines ${line} to ${endLine} stand again in ${otherFile}:${otherLine}`,
    severity: 'warning' as const,
    file,
    line,
  })),
  ...directiveFindings(report, 'code_quality_score', ['tamper/noqa', 'tamper/pylint-disable', 'tamper/jscpd-ignore']),
];
