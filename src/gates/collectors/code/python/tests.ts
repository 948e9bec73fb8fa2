import type { Evidence, Finding } from '../../../../shared/verdict.ts';
import type { CollectContext, CollectedValue } from '../../../collector.ts';
import { failureFindings, junit } from '../run-tests.ts';
import { keepReport, notEvaluable } from '../run-tool.ts';
import { lineRanges } from '../line-ranges.ts';
import { analyse, directiveFindings, pythonCollector, runPythonProbe } from './probe.ts';
import { StatementsReport } from './reports.ts';
import { type PytestRun, runPytest } from './run-pytest.ts';
import type { PythonScope } from './scope.ts';

const METRICS = ['test_pass_rate', 'test_coverage', 'test_count', 'total_test_cases'] as const;

/**
 * test_pass_rate = passed / (passed + failed + skipped + expected to fail).
 * test_coverage = statements that ran / all statements (as coverage.py counts them), over every file of the scope,
 * whether a test loaded it or not.
 */
export const pythonTests = pythonCollector({
  id: 'tests',
  metrics: METRICS,
  timeoutMs: 240_000,
  measure: async (context, scope) => {
    if (scope.tests.length === 0)
      return notEvaluable(METRICS, `There is no test file for ${scope.description} (tests/**/test_*.py)`);
    const run = await runPytest(context, scope, scope.tests, { what: 'tests', coverage: true });
    if ('notEvaluable' in run)
      return { ...notEvaluable(METRICS, run.notEvaluable, run.evidence), findings: run.findings };
    const kept = await keepReport(context, 'junit.xml', junit(run, scope.description));
    const total = run.cases.length;
    const count = { value: total, examined: scope.tests.length };
    const coverage = await coverageOf(context, scope, run);
    return {
      values: {
        test_pass_rate: { value: run.passed / total, examined: total },
        test_count: count,
        total_test_cases: count,
        test_coverage: coverage.value,
      },
      findings: [...failureFindings('test_pass_rate', run), ...coverage.findings],
      evidence: [{ ...run.evidence, ...kept }, ...coverage.evidence],
    };
  },
});

async function coverageOf(
  context: CollectContext,
  scope: PythonScope,
  run: PytestRun,
): Promise<{ value: CollectedValue; findings: Finding[]; evidence: Evidence[] }> {
  const { report, evidence: command } = await runPythonProbe(context, {
    name: 'statements',
    input: { sources: scope.sources, ran: run.lines },
    report: StatementsReport,
  });
  const evidence = { ...command, tool: 'coverage', toolVersion: report.coverage };
  const refuse = (reason: string): { value: CollectedValue; findings: Finding[]; evidence: Evidence[] } => ({
    value: { notEvaluable: reason },
    findings: [],
    evidence: [evidence],
  });
  const [broken] = report.unparsable;
  if (broken) return refuse(`${broken.file} cannot be parsed: ${broken.message}`);
  const missing = scope.sources.find((file) => report.summary[file] === undefined);
  if (missing !== undefined) return refuse(`The coverage report says nothing of ${missing}`);
  const files = Object.entries(report.summary);
  const lines = files.reduce((sum, [, file]) => sum + file.lines, 0);
  const covered = files.reduce((sum, [, file]) => sum + file.covered, 0);
  if (lines === 0) return refuse('There is no statement to cover');
  if (Object.keys(run.lines).length === 0) return refuse('No test loaded any source file, so no coverage was recorded');
  const kept = await keepReport(context, 'lcov.info', lcov(report));
  const summary = `${covered} of ${lines} statements of ${files.length} files covered, ${Object.keys(run.lines).length} of them loaded by a test (${scope.description})`;
  const { report: syntax } = await analyse(context, scope.sources);
  return {
    value: { value: covered / lines, examined: lines },
    findings: [
      ...files.flatMap(([file, { uncovered }]) =>
        lineRanges(uncovered).map(([from, to]) => ({
          metric: 'test_coverage',
          rule: 'coverage/uncovered',
          message: from === to ? `Line ${from} is not covered` : `Lines ${from} to ${to} are not covered`,
          severity: 'warning' as const,
          file,
          line: from,
        })),
      ),
      ...directiveFindings(syntax, 'test_coverage', ['tamper/coverage-ignore']),
    ],
    evidence: [{ ...evidence, summary, ...kept }],
  };
}

function lcov(report: StatementsReport): string {
  return Object.entries(report.summary)
    .map(([file, { statements, uncovered, lines, covered }]) => {
      const missed = new Set(uncovered);
      const counts = statements.map((line) => `DA:${line},${missed.has(line) ? 0 : 1}`);
      return ['TN:', `SF:${file}`, ...counts, `LF:${lines}`, `LH:${covered}`, 'end_of_record', ''].join('\n');
    })
    .join('');
}
