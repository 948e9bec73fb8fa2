import { codeCollector, defusedCopy, lint, syntax } from './measurement.ts';
import { unparsable } from './quality.ts';
import { notEvaluable } from './run-tool.ts';
import { declaredDependencies } from './scope.ts';
import { syntaxFault } from './stubs.ts';

const METRICS = ['lines_of_code', 'service_dependencies', 'defect_density'] as const;

/**
 * lines_of_code: lines with something other than blanks and comments.
 * service_dependencies: packages that package.json declares for running, each once.
 * defect_density: lint findings of error level (security included) for each 100 lines of code.
 */
export const size = codeCollector({
  id: 'size',
  metrics: METRICS,
  timeoutMs: 120_000,
  measure: async (context, scope) => {
    const copy = await defusedCopy(context, scope);
    const { report: tree, evidence } = await syntax(context, scope, copy);
    const fault = syntaxFault(tree);
    if (fault !== undefined || tree.codeLines === 0)
      return notEvaluable(METRICS, fault ?? 'There is no line of code', [evidence]);
    const dependencies = declaredDependencies(scope.manifest, 'run').length;
    const values = {
      lines_of_code: { value: tree.codeLines, examined: tree.files },
      service_dependencies: { value: dependencies, examined: 1 },
    };
    const facts = `${tree.codeLines} lines of code in ${tree.files} files, ${dependencies} dependencies (${scope.description})`;
    if (!('defect_density' in context.metrics))
      return { values, findings: [], evidence: [{ ...evidence, summary: facts }] };
    const { report, evidence: linted } = await lint(context, scope, copy);
    const lintFault = unparsable(report);
    const measured = new Set(scope.sources);
    const defects = report.messages.filter(({ severity, file }) => severity === 'error' && measured.has(file)).length;
    return {
      values: {
        ...values,
        defect_density:
          lintFault === undefined
            ? { value: defects / (tree.codeLines / 100), examined: tree.codeLines }
            : { notEvaluable: lintFault },
      },
      findings: [],
      evidence: [
        { ...evidence, summary: facts },
        { ...linted, summary: `${defects} lint findings of error level in ${tree.codeLines} lines` },
      ],
    };
  },
});
