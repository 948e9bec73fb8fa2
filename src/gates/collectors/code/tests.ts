import type { CollectContext } from '../../collector.ts';
import { codeCollector, defusedCopy, directivesOf } from './measurement.ts';
import { readRawCoverage } from './raw-coverage.ts';
import { type TestRun, runTests } from './run-tests.ts';
import { INSIDE, freshFolder, notEvaluable, toolVersion } from './run-tool.ts';
import type { CodeScope } from './scope.ts';
import { type CoverageReading, TEST_METRICS, testReadings } from './test-metrics.ts';

export const hasTypeScript = (scope: CodeScope): boolean =>
  [...scope.sources, ...scope.tests].some((path) => /\.(?:[cm]?ts|tsx)$/.test(path));

/** Tests under `node --test`; coverage as c8 counts lines. */
export const tests = codeCollector({
  id: 'tests',
  metrics: TEST_METRICS,
  timeoutMs: 240_000,
  measure: async (context, scope) => {
    if (scope.tests.length === 0)
      return notEvaluable(TEST_METRICS, `There is no test file for ${scope.description} (tests/**/*.test.js)`);
    const rawFolder = await freshFolder(context, 'raw');
    const run = await runTests(context, scope.tests, {
      what: 'tests',
      hasTypeScript: hasTypeScript(scope),
      rawCoverage: { host: rawFolder, inside: INSIDE.raw, writable: true },
    });
    if ('notEvaluable' in run)
      return { ...notEvaluable(TEST_METRICS, run.notEvaluable, run.evidence), findings: run.findings };
    return testReadings(context, scope, run, await coverageOf(context, scope, run, rawFolder));
  },
});

async function coverageOf(
  context: CollectContext,
  scope: CodeScope,
  run: TestRun,
  rawFolder: string,
): Promise<CoverageReading> {
  const copy = await defusedCopy(context, scope);
  const { sources, files } = scope;
  const read = await readRawCoverage(context, { project: copy.folder, sources, files, run, raw: rawFolder });
  const evidence = { ...read.evidence, tool: 'c8', toolVersion: toolVersion('c8') };
  if ('fault' in read) return { evidence, fault: read.fault };
  const { report } = read;
  if (report.rawFiles === 0) return { evidence, fault: 'The test processes left no coverage record' };
  return {
    evidence,
    unit: 'line',
    summary: report.summary,
    loaded: report.loaded.length,
    lcov: report.lcov,
    directives: directivesOf(copy, sources, ['tamper/coverage-ignore', 'tamper/source-map', 'tamper/source-url']),
  };
}
