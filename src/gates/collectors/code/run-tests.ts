import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { XMLBuilder } from 'fast-xml-parser';
import type { SandboxMount, SandboxResult } from '../../../shared/sandbox/sandbox.ts';
import type { Evidence, Finding } from '../../../shared/verdict.ts';
import type { CollectContext } from '../../collector.ts';
import { TestRecord } from './probe-reports.ts';
import { INSIDE, commandEvidence, runTool } from './run-tool.ts';

type Recorded = Extract<TestRecord, { type: 'test' }>;
export interface TestCase extends Pick<Recorded, 'name' | 'file' | 'line' | 'outcome' | 'durationMs' | 'message'> {
  /** The name, with what the test says of itself beside it. */
  title: string;
}

export interface TestRun {
  cases: TestCase[];
  passed: number;
  failed: number;
  skipped: number;
  todo: number;
  /** The project's folder as the runner saw it. */
  ranIn: string;
  evidence: Evidence;
}
/** `results`: the tests were run and told so themselves; `none`: the run broke off, so it says nothing about them. */
export type TestEnd = 'results' | 'timeout' | 'none';
export type TestReading =
  | TestRun
  | { notEvaluable: string; endedWith: TestEnd; findings: Finding[]; evidence: Evidence[] };

const probe = (name: string): string => `${INSIDE.fleet}/dist/gates/probes/${name}.js`;
/** The exit code that the guard gives to a test file that ends its own process early. */
const CUT_OFF = 97;
const PER_TEST_MS = 30_000;

/**
 * Runs test files with the fleet's own `node --test` command; the project's npm scripts have no say.
 * What remains open: a test file can pass without checking anything, and one that knows Node's inner protocol can
 * report tests that it never ran, or write raw coverage records of its own. The records are checked for shape, and
 * whether tests check anything is a matter for tests of the tests.
 */
export async function runTests(
  context: CollectContext,
  files: readonly string[],
  options: { what: string; hasTypeScript: boolean; rawCoverage?: SandboxMount; wallMs?: number },
): Promise<TestReading> {
  const key = randomBytes(32).toString('hex');
  const loaders = [probe('code-test-guard'), ...(options.hasTypeScript ? [probe('code-ts-loader')] : [])];
  const argv = [
    'node',
    ...loaders.flatMap((loader) => ['--import', loader]),
    '--test',
    `--test-reporter=${probe('code-test-reporter')}`,
    '--test-concurrency=2',
    `--test-timeout=${PER_TEST_MS}`,
    ...files,
  ];
  const result = await runTool(context, {
    argv,
    project: context.root,
    stdin: key,
    limits: { wallMs: options.wallMs ?? 150_000 },
    ...(options.rawCoverage
      ? { mounts: [options.rawCoverage], env: { NODE_V8_COVERAGE: options.rawCoverage.inside } }
      : {}),
  });
  const evidence = { ...commandEvidence(context, argv, result), tool: 'node --test' };
  const refuse = (notEvaluable: string, endedWith: TestEnd, findings: Finding[] = []): TestReading => ({
    notEvaluable,
    endedWith,
    findings,
    evidence: [evidence],
  });
  const read = readRecords(result, key);
  if (typeof read === 'string')
    return refuse(`${options.what}: ${read}`, result.endedBy === 'timeout' ? 'timeout' : 'none');

  const cutOff = files.flatMap((file) => faultOfFile(file, read.records, read.ranIn));
  const isKilled = files.some((file) => wasKilled(recordOf(file, read.records, read.ranIn)));
  if (cutOff[0]) return refuse(`${options.what}: ${cutOff[0].message}`, isKilled ? 'none' : 'results', cutOff);
  const cases = leaves(read.records, read.ranIn).filter(({ name }) => !files.includes(name));
  const count = (outcome: TestCase['outcome']): number => cases.filter((test) => test.outcome === outcome).length;
  const run: TestRun = {
    cases,
    passed: count('passed'),
    failed: count('failed'),
    skipped: count('skipped'),
    todo: count('todo'),
    ranIn: read.ranIn,
    evidence: { ...evidence, toolVersion: read.node, summary: '' },
  };
  run.evidence.summary = `${options.what}: ${run.passed} passed, ${run.failed} failed, ${run.skipped} skipped, ${run.todo} todo in ${files.length} files`;
  if (cases.length === 0) return refuse(`${options.what}: ${files.length} test files hold no test at all`, 'results');
  if (run.passed + run.failed === 0)
    return refuse(`${options.what}: every test is skipped or todo, so nothing ran`, 'results');
  if ((result.exitCode === 0) !== (run.failed === 0))
    return refuse(
      `${options.what}: the runner ended with code ${result.exitCode}, which its ${run.failed} failures do not explain`,
      'none',
    );
  return run;
}

/** The signed records in order, or why they cannot be believed. */
function readRecords(
  result: SandboxResult,
  key: string,
): { records: Recorded[]; ranIn: string; node: string } | string {
  if (result.endedBy === 'timeout')
    return 'the tests did not end in time; close every server and timer that a test opens';
  if (result.endedBy !== 'exit' || result.exitCode === null) return `the test runner was ended by a ${result.endedBy}`;
  if (result.truncated) return 'the test report is longer than can be read';
  const records: Recorded[] = [];
  let start: Extract<TestRecord, { type: 'start' }> | undefined;
  let isComplete = false;
  for (const [index, line] of result.stdout
    .split('\n')
    .filter((text) => text !== '')
    .entries()) {
    const record = readLine(line, key);
    if (record === undefined || record.seq !== index || isComplete)
      return 'the test report was tampered with or cut off while it was written';
    if (record.type === 'start') start = record;
    else if (record.type === 'test') records.push(record);
    else isComplete = true;
  }
  if (!start || !isComplete)
    return `the test runner left no complete report (exit code ${result.exitCode}): ${result.stderr.trim().slice(0, 300)}`;
  return { records, ranIn: start.cwd, node: start.node };
}

function readLine(line: string, key: string): TestRecord | undefined {
  const space = line.indexOf(' ');
  const given = Buffer.from(line.slice(0, space), 'hex');
  const body = line.slice(space + 1);
  const expected = createHmac('sha256', key).update(body).digest();
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) return undefined;
  return TestRecord.parse(JSON.parse(body));
}

/** A record under the file's own name stands for a file that held no test, or whose process did not end well. */
const recordOf = (file: string, records: readonly Recorded[], ranIn: string): Recorded | undefined =>
  records.find(({ name, nesting }) => nesting === 0 && (name === file || name === `${ranIn}/${file}`));

/** The process of the file was ended by a signal that was not sent for its time limit. */
const wasKilled = (record: Recorded | undefined): boolean =>
  record?.outcome === 'failed' && record.exitCode === null && !record.message.includes('timed out');

function faultOfFile(file: string, records: readonly Recorded[], ranIn: string): Finding[] {
  const record = recordOf(file, records, ranIn);
  if (record === undefined) return [];
  const finding = (rule: string, message: string): Finding[] => [
    { metric: 'test_pass_rate', rule, message: `${file} ${message}`, severity: 'error', file },
  ];
  if (record.outcome === 'passed') return finding('tests/no-test', 'holds no test');
  if (record.outcome !== 'failed') return [];
  if (record.exitCode === CUT_OFF)
    return finding(
      'tests/process-exit',
      'ended its own process before its tests were done: do not call process.exit in tests',
    );
  // A file with failing tests ends with code 1 and is reported by its tests; without them it broke by itself.
  return finding(
    'tests/crashed',
    `did not run to its end (exit code ${record.exitCode}): ${record.message.slice(0, 300)}`,
  );
}

/** Tests that have no tests below them, and parents that failed by themselves. Records come children first. */
function leaves(records: readonly Recorded[], ranIn: string): TestCase[] {
  const pending: number[] = [];
  return records.flatMap((record) => {
    const hasChildren = (pending[record.nesting + 1] ?? 0) > 0;
    pending.length = record.nesting + 1;
    pending[record.nesting] = (pending[record.nesting] ?? 0) + 1;
    const isOwnFailure = record.outcome === 'failed' && !record.isFailedByChildren;
    // A suite that is switched off as a whole tells nothing of the tests in it, and counts as one that did not run.
    const isOff = record.outcome === 'skipped' || record.outcome === 'todo';
    if ((hasChildren || (record.isSuite && !isOff)) && !isOwnFailure) return [];
    const { name, line, outcome, durationMs, message } = record;
    const file = record.file.startsWith(`${ranIn}/`) ? record.file.slice(ranIn.length + 1) : record.file;
    return [{ name, title: name, line, outcome, durationMs, message, file }];
  });
}

export const failureFindings = (metric: string, run: TestRun): Finding[] =>
  run.cases
    .filter(({ outcome }) => outcome !== 'passed')
    .map(({ name, file, line, outcome, message }) => ({
      metric,
      rule: `tests/${outcome}`,
      message: outcome === 'failed' ? `${name}: ${message}` : `${name} is ${outcome}, which does not count as passed`,
      severity: outcome === 'failed' ? ('error' as const) : ('warning' as const),
      ...(file === '' ? {} : { file, line: Math.max(line, 1) }),
    }));

/** The run as JUnit XML, written by the host from the signed records. */
export function junit(run: TestRun, name: string): string {
  const builder = new XMLBuilder({ ignoreAttributes: false, format: true, suppressEmptyNode: true });
  const cases = run.cases.map((test) => ({
    '@_name': test.name,
    '@_classname': test.file,
    '@_time': (test.durationMs / 1000).toFixed(3),
    ...(test.outcome === 'failed' ? { failure: { '@_message': test.message } } : {}),
    ...(test.outcome === 'skipped' || test.outcome === 'todo' ? { skipped: { '@_message': test.outcome } } : {}),
  }));
  const counts = { '@_tests': run.cases.length, '@_failures': run.failed, '@_skipped': run.skipped + run.todo };
  return `<?xml version="1.0" encoding="UTF-8"?>\n${builder.build({ testsuites: { testsuite: { '@_name': name, ...counts, testcase: cases } } })}`;
}
