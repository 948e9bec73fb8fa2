import { MutantsReport } from '../collectors/code/probe-reports.ts';
import { readRawCoverage } from '../collectors/code/raw-coverage.ts';
import { type TestRun, runTests } from '../collectors/code/run-tests.ts';
import { INSIDE, freshFolder, runProbe } from '../collectors/code/run-tool.ts';
import { type CodeScope, TEST_FILE, readScope } from '../collectors/code/scope.ts';
import { hasTypeScript } from '../collectors/code/tests.ts';
import type { CollectContext } from '../collector.ts';
import { linesOf } from './lines.ts';
import type { Lines, StackReading } from './test-stack.ts';

/** Tests of JavaScript and TypeScript under `node --test`. */
export async function readJavaScript({ root, phase }: CollectContext): Promise<StackReading> {
  const reading = await readScope(root, phase);
  if ('notEvaluable' in reading) return reading;
  const { scope } = reading;
  const typed = hasTypeScript(scope);
  return {
    stack: {
      name: 'JavaScript',
      tool: 'node --test',
      files: scope.files,
      sources: scope.sources,
      tests: scope.files.filter((file) => TEST_FILE.test(file)),
      run: (context, tests, options) => runTests(context, tests, { ...options, hasTypeScript: typed }),
      runCovered: async (context, tests) => {
        const raw = await freshFolder(context, 'raw');
        const rawCoverage = { host: raw, inside: INSIDE.raw, writable: true };
        const run = await runTests(context, tests, { what: 'new tests', hasTypeScript: typed, rawCoverage });
        if ('notEvaluable' in run) return { notEvaluable: run.notEvaluable };
        const covered = await coveredLines(context, scope, run, raw);
        return typeof covered === 'string' ? { notEvaluable: covered } : { run, covered };
      },
      mutants: async (context, input) => {
        const probe = { name: 'code-mutants', project: context.root, input, report: MutantsReport };
        return (await runProbe(context, probe)).report;
      },
      titleOf: ({ name }) => name,
    },
  };
}

async function coveredLines(
  context: CollectContext,
  scope: CodeScope,
  run: TestRun,
  raw: string,
): Promise<Lines | string> {
  const { sources, files } = scope;
  const read = await readRawCoverage(context, { project: context.root, sources, files, run, raw });
  if ('fault' in read) return read.fault;
  const { report } = read;
  const covered: Lines = new Map();
  for (const file of report.loaded) {
    const counted = report.summary[file];
    if (counted === undefined) continue;
    const uncovered = new Set(counted.uncovered);
    const numbers = (await linesOf(context.root, file)).map((_, index) => index + 1);
    covered.set(
      file,
      numbers.filter((line) => !uncovered.has(line)),
    );
  }
  return covered;
}
