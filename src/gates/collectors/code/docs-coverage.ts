import { codeCollector, defusedCopy, syntax } from './measurement.ts';
import { notEvaluable } from './run-tool.ts';
import { syntaxFault } from './stubs.ts';

/** documentation_coverage = exported functions and classes with a doc comment / all exported ones. */
export const docsCoverage = codeCollector({
  id: 'docs-coverage',
  metrics: ['documentation_coverage'],
  timeoutMs: 60_000,
  measure: async (context, scope) => {
    const { report, evidence } = await syntax(context, scope, await defusedCopy(context, scope));
    const fault = syntaxFault(report);
    if (fault !== undefined) return notEvaluable(['documentation_coverage'], fault, [evidence]);
    const all = report.exports;
    if (all.length === 0)
      return notEvaluable(['documentation_coverage'], `Nothing is exported in ${scope.description}`, [evidence]);
    const bare = all.filter(({ documented }) => !documented);
    const documented = all.length - bare.length;
    return {
      values: { documentation_coverage: { value: documented / all.length, examined: all.length } },
      findings: bare.map(({ file, line, column, name }) => ({
        metric: 'documentation_coverage',
        rule: 'docs/missing-comment',
        message: `${name} is exported and has no doc comment`,
        severity: 'warning' as const,
        file,
        line,
        column,
      })),
      evidence: [
        { ...evidence, summary: `${documented} of ${all.length} exported functions and classes have a doc comment` },
      ],
    };
  },
});
