import { codeCollector, defusedCopy, syntax } from './measurement.ts';
import type { AstReport } from './probe-reports.ts';
import { keepReport, notEvaluable } from './run-tool.ts';

export const syntaxFault = (report: AstReport): string | undefined => {
  const [fault] = report.unparsable;
  return fault && `${fault.file}:${fault.line} cannot be parsed: ${fault.message}`;
};

/** stub_rate = stubs / (functions + texts that a person sees). */
export const stubs = codeCollector({
  id: 'stubs',
  metrics: ['stub_rate'],
  timeoutMs: 60_000,
  measure: async (context, scope) => {
    const { report, evidence } = await syntax(context, scope, await defusedCopy(context, scope));
    const fault = syntaxFault(report);
    if (fault !== undefined) return notEvaluable(['stub_rate'], fault, [evidence]);
    const examined = report.functions + report.uiTexts;
    if (examined === 0)
      return notEvaluable(['stub_rate'], `There is no function and no text in ${scope.description}`, [evidence]);
    const kept = await keepReport(context, 'stubs.json', JSON.stringify(report.stubs, null, 2));
    const summary = `${report.stubs.length} stubs among ${report.functions} functions and ${report.uiTexts} texts (${scope.description})`;
    return {
      values: { stub_rate: { value: Math.min(1, report.stubs.length / examined), examined } },
      findings: report.stubs.map((stub) => ({ ...stub, metric: 'stub_rate', severity: 'error' as const })),
      evidence: [{ ...evidence, summary, ...kept }],
    };
  },
});
