import { junit, failureFindings } from '../run-tests.ts';
import { PRD, BUGS, guardedIds } from '../regression.ts';
import { keepReport, notEvaluable } from '../run-tool.ts';
import { pythonCollector } from './probe.ts';
import { runPytest } from './run-pytest.ts';

const METRIC = 'regression_test_coverage';

/**
 * The same metric as for JavaScript. A test names an id in its name or in the first line of its docstring:
 * `test_fr_1_...` and `"""FR-1: ..."""` name FR-1; `test_fr_12` does not.
 */
export const pythonRegression = pythonCollector({
  id: 'regression',
  metrics: [METRIC],
  timeoutMs: 180_000,
  measure: async (context, scope) => {
    const ids = await guardedIds(context, scope);
    if ('fault' in ids) return notEvaluable([METRIC], ids.fault);
    if (ids.length === 0)
      return notEvaluable([METRIC], `There is no FR id in ${PRD} and no fixed bug in ${BUGS} to guard`);
    const files = scope.allTests.filter((path) => /(?:^|\/)tests?\/(?:regression|acceptance)\//.test(path));
    if (files.length === 0)
      return notEvaluable([METRIC], 'There is no test file in tests/regression or tests/acceptance');
    const run = await runPytest(context, scope, files, { what: 'regression tests', coverage: false });
    if ('notEvaluable' in run)
      return { ...notEvaluable([METRIC], run.notEvaluable, run.evidence), findings: run.findings };
    const bare = ids.filter(
      (id) => !run.cases.some(({ outcome }, index) => outcome === 'passed' && names(run.titles[index] ?? '', id)),
    );
    const kept = await keepReport(context, 'junit.xml', junit(run, 'regression'));
    const summary = `${ids.length - bare.length} of ${ids.length} ids are named by a passing test; ${run.evidence.summary}`;
    return {
      values: { [METRIC]: { value: (ids.length - bare.length) / ids.length, examined: ids.length } },
      findings: [
        ...failureFindings(METRIC, run),
        ...bare.map((id) => ({
          metric: METRIC,
          rule: 'regression/unguarded',
          message: `No passing test in tests/regression or tests/acceptance names ${id}`,
          severity: 'error' as const,
          file: id.startsWith('FR-') ? PRD : BUGS,
        })),
      ],
      evidence: [{ ...run.evidence, summary, ...kept }],
    };
  },
});

/** Python names cannot hold a hyphen, so an underscore stands for it there. */
function names(title: string, id: string): boolean {
  const pattern = id.replaceAll(/[^\w-]/g, String.raw`\$&`).replaceAll('-', '[-_]');
  return new RegExp(`(?<![a-z0-9])${pattern}(?![a-z0-9]|\\.\\d)`, 'i').test(title);
}
