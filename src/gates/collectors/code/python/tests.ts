import type { CollectContext } from '../../../collector.ts';
import { notEvaluable } from '../run-tool.ts';
import { type CoverageReading, TEST_METRICS, testReadings } from '../test-metrics.ts';
import { analyse, directiveFindings, pythonCollector, runPythonProbe } from './probe.ts';
import { StatementsReport } from './reports.ts';
import { type PytestRun, runPytest } from './run-pytest.ts';
import type { PythonScope } from './scope.ts';

/** Tests under pytest, where one that is expected to fail counts as todo; coverage as coverage.py counts statements. */
export const pythonTests = pythonCollector({
  id: 'tests',
  metrics: TEST_METRICS,
  timeoutMs: 240_000,
  measure: async (context, scope) => {
    if (scope.tests.length === 0)
      return notEvaluable(TEST_METRICS, `There is no test file for ${scope.description} (tests/**/test_*.py)`);
    const run = await runPytest(context, scope, scope.tests, { what: 'tests', coverage: true });
    if ('notEvaluable' in run)
      return { ...notEvaluable(TEST_METRICS, run.notEvaluable, run.evidence), findings: run.findings };
    return testReadings(context, scope, run, await coverageOf(context, scope, run));
  },
});

async function coverageOf(context: CollectContext, scope: PythonScope, run: PytestRun): Promise<CoverageReading> {
  const { report, evidence: command } = await runPythonProbe(context, {
    name: 'statements',
    input: { sources: scope.sources, ran: run.lines },
    report: StatementsReport,
  });
  const evidence = { ...command, tool: 'coverage', toolVersion: report.coverage };
  const [broken] = report.unparsable;
  if (broken) return { evidence, fault: `${broken.file} cannot be parsed: ${broken.message}` };
  const loaded = Object.keys(run.lines).length;
  if (loaded === 0) return { evidence, fault: 'No test loaded any source file, so no coverage was recorded' };
  const { report: syntax } = await analyse(context, scope.sources);
  return {
    evidence,
    unit: 'statement',
    summary: report.summary,
    loaded,
    lcov: lcov(report),
    directives: directiveFindings(syntax, 'test_coverage', ['tamper/coverage-ignore']),
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
