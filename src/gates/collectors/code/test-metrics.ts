import { isAbsolute } from 'node:path';
import { errorMessage } from '../../../shared/errors.ts';
import type { Evidence, Finding } from '../../../shared/verdict.ts';
import { parseYaml } from '../../../shared/yaml-file.ts';
import { z } from 'zod';
import type { CollectContext, Collected, CollectedValue } from '../../collector.ts';
import { lineRanges } from './line-ranges.ts';
import { readProjectText } from './project-files.ts';
import { type TestReading, type TestRun, failureFindings, junit } from './run-tests.ts';
import { keepReport, notEvaluable } from './run-tool.ts';

/** What the cases of a test run say of the metrics, whatever the language they are written in. */

export const TEST_METRICS = ['test_pass_rate', 'test_coverage', 'test_count', 'total_test_cases'] as const;

interface Tested {
  description: string;
  /** Every regular file of the project. */
  files: readonly string[];
  sources: readonly string[];
  tests: readonly string[];
}

/** What ran of each source file, as the tool of the stack tells it, or why nothing can be said of it. */
export type CoverageReading = { evidence: Evidence } & (
  | { fault: string }
  | {
      unit: 'line' | 'statement';
      summary: Readonly<Record<string, { lines: number; covered: number; uncovered: readonly number[] }>>;
      /** How many of the files a test loaded. */
      loaded: number;
      lcov: string;
      /** Comments that would have left lines out. */
      directives: readonly Finding[];
    }
);

/**
 * test_pass_rate = passed / (passed + failed + skipped + todo), over tests that have no tests below them.
 * test_coverage = covered / all, over every file of the scope, whether a test loaded it or not.
 */
export async function testReadings(
  context: CollectContext,
  scope: Tested,
  run: TestRun,
  coverage: CoverageReading,
): Promise<Collected> {
  const mute = await asserting(context, scope);
  if (mute) return { ...notEvaluable(TEST_METRICS, mute.message, [run.evidence]), findings: [mute] };
  const kept = await keepReport(context, 'junit.xml', junit(run, scope.description));
  const total = run.cases.length;
  const count = { value: total, examined: scope.tests.length };
  const covered = await coverageReadings(context, scope, coverage);
  return {
    values: {
      test_pass_rate: { value: run.passed / total, examined: total },
      test_count: count,
      total_test_cases: count,
      test_coverage: covered.value,
    },
    findings: [...failureFindings('test_pass_rate', run), ...covered.findings],
    evidence: [{ ...run.evidence, ...kept }, covered.evidence],
  };
}

const ASSERTS =
  /\b(?:assert\w*|expect\w*|should|must|verify\w*|check\w*|ensure\w*|\w*equals?|throws\w*|rejects\w*|raises\w*|warns|fail\w*|ok|is|same|not|matchSnapshot|toMatch\w*)\s*[.(]|\b(?:throw|raise)\s|^\s*assert\b(?!.*\bfrom\b)/m;
const IS_TEST = /(?:[.-]test\.[cm]?[jt]sx?|(?:^|\/)test\.[cm]?[jt]sx?|(?:^|\/)test_[^/]*\.py|_test\.py)$/;
const IN_TESTS = /^tests?\/.*\.(?:[cm]?[jt]sx?|py)$/;

/**
 * Nothing, where any test, or anything beside the tests, could find something wrong; otherwise what to say of tests
 * that pass whatever the code does. How much the single test finds is a matter of tests that mean something.
 */
async function asserting(context: CollectContext, scope: Tested): Promise<Finding | undefined> {
  const files = new Set([...scope.tests, ...scope.files.filter((path) => IN_TESTS.test(path))]);
  for (const file of files) if (await asserts(context, file)) return undefined;
  return {
    metric: 'test_pass_rate',
    rule: ASSERTS_NOTHING,
    message: 'No test asserts anything, so all of them pass whatever the code does: say what is expected',
    severity: 'error',
    ...(scope.tests[0] === undefined ? {} : { file: scope.tests[0] }),
  };
}

const ASSERTS_NOTHING = 'tests/asserts-nothing';
const asserts = async (context: CollectContext, file: string): Promise<boolean> =>
  ASSERTS.test(await readProjectText(context.root, file));

/**
 * The test files that can find nothing wrong, where what they prove is counted by the single test: neither they nor
 * anything beside the tests asserts.
 */
export async function mutedTests(
  context: CollectContext,
  metric: string,
  { tests, files }: Pick<Tested, 'tests' | 'files'>,
): Promise<Finding[]> {
  const helpers = files.filter((path) => IN_TESTS.test(path) && !tests.includes(path) && !IS_TEST.test(path));
  for (const helper of helpers) if (await asserts(context, helper)) return [];
  const muted: Finding[] = [];
  for (const file of tests) {
    if (await asserts(context, file)) continue;
    const message = 'Nothing here asserts anything, so it passes whatever the code does: say what is expected';
    muted.push({ metric, rule: ASSERTS_NOTHING, message, severity: 'error', file });
  }
  return muted;
}

async function coverageReadings(
  context: CollectContext,
  scope: Tested,
  reading: CoverageReading,
): Promise<{ value: CollectedValue; findings: Finding[]; evidence: Evidence }> {
  const { evidence } = reading;
  const refuse = (reason: string): { value: CollectedValue; findings: Finding[]; evidence: Evidence } => ({
    value: { notEvaluable: reason },
    findings: [],
    evidence,
  });
  if ('fault' in reading) return refuse(reading.fault);
  const { summary, unit, loaded } = reading;
  const files = Object.entries(summary);
  const stray = files.find(([file]) => isAbsolute(file) || !scope.sources.includes(file));
  if (stray) return refuse(`The coverage report speaks of ${stray[0]}, which is not in the scope`);
  const missing = scope.sources.find((file) => summary[file] === undefined);
  if (missing !== undefined) return refuse(`The coverage report says nothing of ${missing}`);
  const lines = files.reduce((sum, [, file]) => sum + file.lines, 0);
  const covered = files.reduce((sum, [, file]) => sum + file.covered, 0);
  if (lines === 0) return refuse(`There is no ${unit} to cover`);
  const kept = await keepReport(context, 'lcov.info', reading.lcov);
  const said = `${covered} of ${lines} ${unit}s of ${files.length} files covered, ${loaded} of them loaded by a test (${scope.description})`;
  const uncovered = files.flatMap(([file, counted]) =>
    lineRanges(counted.uncovered).map(([from, to]) => ({
      metric: 'test_coverage',
      rule: 'coverage/uncovered',
      message: from === to ? `Line ${from} is not covered` : `Lines ${from} to ${to} are not covered`,
      severity: 'warning' as const,
      file,
      line: from,
    })),
  );
  return {
    value: { value: covered / lines, examined: lines },
    findings: [...uncovered, ...reading.directives.map((finding) => ({ ...finding, metric: 'test_coverage' }))],
    evidence: { ...evidence, summary: said, ...kept },
  };
}

export const REGRESSION_METRIC = 'regression_test_coverage';
const BUGS = 'docs/testing/bugs.yaml';
const PRD = 'docs/requirements/prd.md';
const Bugs = z.object({
  bugs: z.array(z.object({ id: z.string().min(1), status: z.enum(['open', 'fixed']) })),
});

/** Ids that a regression test must guard: functional requirements of the PRD and bugs that are said to be fixed. */
async function guardedIds(context: CollectContext, files: readonly string[]): Promise<string[] | { fault: string }> {
  const ids = new Set<string>();
  if (files.includes(PRD)) {
    const text = await readProjectText(context.root, PRD);
    for (const [, id] of text.matchAll(/^\s*[-*]\s+(?:\*\*|__)?(FR-\d+)\b/gm)) if (id !== undefined) ids.add(id);
  }
  if (files.includes(BUGS)) {
    try {
      const { value } = parseYaml(Bugs, { file: BUGS, text: await readProjectText(context.root, BUGS) });
      for (const bug of value.bugs) if (bug.status === 'fixed') ids.add(bug.id);
    } catch (err) {
      return { fault: errorMessage(err) };
    }
  }
  return [...ids].toSorted();
}

/**
 * regression_test_coverage = ids named by at least one passing test in tests/regression or tests/acceptance / all ids,
 * where the ids are the FR ids listed in the PRD and the bugs that bugs.yaml says are fixed. `FR-1` does not name
 * `FR-12`. A test in a file that asserts nothing guards nothing.
 */
export async function regressionReadings(
  context: CollectContext,
  project: {
    files: readonly string[];
    tests: readonly string[];
    run: (tests: readonly string[]) => Promise<TestReading>;
    /** What a title looks like that names this id; the id is safe to use in a pattern. */
    naming: (id: string) => RegExp;
  },
): Promise<Collected> {
  const refuse = (reason: string): Collected => notEvaluable([REGRESSION_METRIC], reason);
  const ids = await guardedIds(context, project.files);
  if ('fault' in ids) return refuse(ids.fault);
  if (ids.length === 0) return refuse(`There is no FR id in ${PRD} and no fixed bug in ${BUGS} to guard`);
  if (project.tests.length === 0) return refuse('There is no test file in tests/regression or tests/acceptance');
  const run = await project.run(project.tests);
  if ('notEvaluable' in run)
    return { ...notEvaluable([REGRESSION_METRIC], run.notEvaluable, run.evidence), findings: run.findings };
  const muted = await mutedTests(context, REGRESSION_METRIC, project);
  const guards = run.cases.filter(
    ({ outcome, file }) => outcome === 'passed' && !muted.some((finding) => finding.file === file),
  );
  const bare = ids.filter((id) => {
    const named = project.naming(id.replaceAll(/[^\w-]/g, String.raw`\$&`));
    return !guards.some(({ title }) => named.test(title));
  });
  const kept = await keepReport(context, 'junit.xml', junit(run, 'regression'));
  const summary = `${ids.length - bare.length} of ${ids.length} ids are named by a passing test; ${run.evidence.summary}`;
  return {
    values: { [REGRESSION_METRIC]: { value: (ids.length - bare.length) / ids.length, examined: ids.length } },
    findings: [
      ...failureFindings(REGRESSION_METRIC, run),
      ...muted,
      ...bare.map((id) => ({
        metric: REGRESSION_METRIC,
        rule: 'regression/unguarded',
        message: `No passing test in tests/regression or tests/acceptance names ${id}`,
        severity: 'error' as const,
        file: id.startsWith('FR-') ? PRD : BUGS,
      })),
    ],
    evidence: [{ ...run.evidence, summary, ...kept }],
  };
}
