import { randomBytes } from 'node:crypto';
import type { SandboxResult } from '../../../../shared/sandbox/sandbox.ts';
import type { Evidence, Finding } from '../../../../shared/verdict.ts';
import type { CollectContext } from '../../../collector.ts';
import type { TestEnd, TestReading, TestRun } from '../run-tests.ts';
import { runPython } from './probe.ts';
import { PytestRecord } from './reports.ts';
import type { PythonScope } from './scope.ts';

type End = Extract<PytestRecord, { type: 'end' }>;
type Recorded = Extract<PytestRecord, { type: 'test' }>;

export interface PytestRun extends TestRun {
  /** Lines that ran, by source file. */
  lines: End['lines'];
}
export type PytestReading = PytestRun | Exclude<TestReading, TestRun>;

const RULES = { crashed: 'tests/crashed', 'left-out': 'tests/left-out', hook: 'tests/hook' } as const;

/** Runs test files with the fleet's own pytest and settings; the project's settings have no say. */
export async function runPytest(
  context: CollectContext,
  scope: PythonScope,
  files: readonly string[],
  options: { what: string; coverage: boolean; wallMs?: number },
): Promise<PytestReading> {
  const word = randomBytes(32).toString('hex');
  const { what, coverage, wallMs = 150_000 } = options;
  const input = { word, files, coverage, sources: scope.sources, roots: scope.roots };
  const { result, evidence: command } = await runPython(context, { name: 'run_tests', input, wallMs });
  const evidence: Evidence = { ...command, tool: 'pytest' };
  const refuse = (reason: string, endedWith: TestEnd, findings: Finding[] = []): PytestReading => ({
    notEvaluable: `${what}: ${reason}`,
    endedWith,
    findings,
    evidence: [evidence],
  });
  const read = readRecords(result, word);
  if (typeof read === 'string') return refuse(read, result.endedBy === 'timeout' ? 'timeout' : 'none');
  const { cases, end } = read;
  const faults = faultFindings(files, cases, end);
  // A file that cannot be loaded has been tried; tests that were left out, or judged by the project, have not.
  const isTried = end.faults.every(({ kind }) => kind === 'crashed');
  if (faults[0]) return refuse(faults[0].message, isTried ? 'results' : 'none', faults);
  const count = (outcome: Recorded['outcome']): number => cases.filter((test) => test.outcome === outcome).length;
  const [passed, failed, skipped, todo] = [count('passed'), count('failed'), count('skipped'), count('todo')];
  if (cases.length === 0) return refuse(`${files.length} test files hold no test at all`, 'results');
  if (passed + failed === 0)
    return refuse('every test is skipped or expected to fail, so nothing was established', 'results');
  if (end.exitCode !== (failed === 0 ? 0 : 1))
    return refuse(`pytest ended with code ${end.exitCode}, which its ${failed} failures do not explain`, 'none');
  const summary = `${what}: ${passed} passed, ${failed} failed, ${skipped} skipped, ${todo} expected to fail in ${files.length} files`;
  return {
    cases: cases.map(({ type: _type, seq: _seq, ...test }) => test),
    passed,
    failed,
    skipped,
    todo,
    ranIn: read.start.cwd,
    lines: end.lines,
    evidence: {
      ...evidence,
      toolVersion: `${read.start.pytest} (Python ${read.start.python}, coverage ${read.start.coverage})`,
      summary,
    },
  };
}

/** Whatever keeps the outcomes from being the tests' own. */
function faultFindings(files: readonly string[], cases: readonly Recorded[], end: End): Finding[] {
  const said = end.faults.map(({ kind, file, message }) => ({
    rule: RULES[kind],
    file,
    message:
      kind === 'hook'
        ? `${file} ${message}, and so could decide what its own tests are worth: remove that`
        : `${file}: ${kind === 'crashed' ? `could not be loaded: ${message}` : message}`,
  }));
  const empty = files
    .filter((file) => !cases.some((test) => test.file === file) && !said.some((fault) => fault.file === file))
    .map((file) => ({ rule: 'tests/no-test', file, message: `${file} holds no test` }));
  return [...said, ...empty].map((fault) => ({ ...fault, metric: 'test_pass_rate', severity: 'error' as const }));
}

/** The records in order, or why they cannot be believed. */
function readRecords(
  result: SandboxResult,
  word: string,
): { start: Extract<PytestRecord, { type: 'start' }>; cases: Recorded[]; end: End } | string {
  if (result.endedBy === 'timeout')
    return 'the tests did not end in time; close every server, thread and timer that a test opens';
  if (result.endedBy !== 'exit' || result.exitCode === null) return `the test runner was ended by a ${result.endedBy}`;
  if (result.truncated) return 'the test report is longer than can be read';
  const cases: Recorded[] = [];
  let start: Extract<PytestRecord, { type: 'start' }> | undefined;
  let end: End | undefined;
  const lines = result.stdout.split('\n').filter((line) => line !== '');
  for (const [index, line] of lines.entries()) {
    const record = line.startsWith(`${word} `)
      ? PytestRecord.safeParse(parse(line.slice(word.length + 1))).data
      : undefined;
    if (record === undefined || record.seq !== index || end !== undefined)
      return 'the test report was tampered with or cut off while it was written';
    if (record.type === 'start') start = record;
    else if (record.type === 'test') cases.push(record);
    else end = record;
  }
  if (start === undefined || end === undefined)
    return `pytest did not run to its end (exit code ${result.exitCode}), as when a test ends the process: ${result.stderr.trim().slice(-300)}`;
  return { start, cases, end };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Told by the caller as a report that was tampered with.
    return undefined;
  }
}
