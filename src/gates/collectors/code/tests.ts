import { isAbsolute } from 'node:path';
import type { Evidence, Finding } from '../../../shared/verdict.ts';
import type { CollectContext, CollectedValue } from '../../collector.ts';
import { codeCollector, defusedCopy, directivesOf } from './measurement.ts';
import { CoverageReport } from './probe-reports.ts';
import { type TestRun, failureFindings, junit, runTests } from './run-tests.ts';
import { INSIDE, freshFolder, keepReport, notEvaluable, runProbe, toolVersion } from './run-tool.ts';
import { lineRanges } from './line-ranges.ts';
import type { CodeScope } from './scope.ts';

const METRICS = ['test_pass_rate', 'test_coverage', 'test_count', 'total_test_cases'] as const;

export const hasTypeScript = (scope: CodeScope): boolean =>
  [...scope.sources, ...scope.tests].some((path) => /\.(?:[cm]?ts|tsx)$/.test(path));

/**
 * test_pass_rate = passed / (passed + failed + skipped + todo), over tests that have no tests below them.
 * test_coverage = covered lines / all lines, over every file of the scope, whether a test loaded it or not.
 */
export const tests = codeCollector({
  id: 'tests',
  metrics: METRICS,
  timeoutMs: 240_000,
  measure: async (context, scope) => {
    if (scope.tests.length === 0)
      return notEvaluable(METRICS, `There is no test file for ${scope.description} (tests/**/*.test.js)`);
    const rawFolder = await freshFolder(context, 'raw');
    const run = await runTests(context, scope.tests, {
      what: 'tests',
      hasTypeScript: hasTypeScript(scope),
      rawCoverage: { host: rawFolder, inside: INSIDE.raw, writable: true },
    });
    if ('notEvaluable' in run)
      return { ...notEvaluable(METRICS, run.notEvaluable, run.evidence), findings: run.findings };
    const kept = await keepReport(context, 'junit.xml', junit(run, scope.description));
    const total = run.cases.length;
    const count = { value: total, examined: scope.tests.length };
    const coverage = await coverageOf(context, scope, run, rawFolder);
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
  scope: CodeScope,
  run: TestRun,
  rawFolder: string,
): Promise<{ value: CollectedValue; findings: Finding[]; evidence: Evidence[] }> {
  const copy = await defusedCopy(context, scope);
  const { report, evidence: command } = await runProbe(context, {
    name: 'code-coverage',
    project: copy.folder,
    input: { sources: scope.sources, ranIn: run.ranIn },
    report: CoverageReport,
    args: [INSIDE.raw],
    mounts: [{ host: rawFolder, inside: INSIDE.raw, writable: false }],
  });
  const evidence = { ...command, tool: 'c8', toolVersion: toolVersion('c8') };
  const refuse = (reason: string): { value: CollectedValue; findings: Finding[]; evidence: Evidence[] } => ({
    value: { notEvaluable: reason },
    findings: [],
    evidence: [evidence],
  });
  if (report.implausible[0] !== undefined)
    return refuse(`The raw coverage was not written by Node alone: ${report.implausible[0]}`);
  if (report.rawFiles === 0) return refuse('The test processes left no coverage record');
  const files = Object.entries(report.summary);
  const stray = files.find(([file]) => isAbsolute(file) || !scope.sources.includes(file));
  if (stray) return refuse(`The coverage report speaks of ${stray[0]}, which is not in the scope`);
  const missing = scope.sources.find((file) => report.summary[file] === undefined);
  if (missing !== undefined) return refuse(`The coverage report says nothing of ${missing}`);
  const lines = files.reduce((sum, [, file]) => sum + file.lines, 0);
  const covered = files.reduce((sum, [, file]) => sum + file.covered, 0);
  if (lines === 0) return refuse('There is no line to cover');
  const kept = await keepReport(context, 'lcov.info', report.lcov);
  const summary = `${covered} of ${lines} lines of ${files.length} files covered, ${report.loaded.length} of them loaded by a test (${scope.description})`;
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
      ...directivesOf(copy, scope.sources, ['tamper/coverage-ignore', 'tamper/source-map', 'tamper/source-url']).map(
        (finding) => ({ ...finding, metric: 'test_coverage' }),
      ),
    ],
    evidence: [{ ...evidence, summary, ...kept }],
  };
}
