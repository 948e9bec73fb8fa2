import { MutantsReport } from '../collectors/code/probe-reports.ts';
import { runPythonProbe } from '../collectors/code/python/probe.ts';
import { runPytest } from '../collectors/code/python/run-pytest.ts';
import { readPythonScope } from '../collectors/code/python/scope.ts';
import type { CollectContext } from '../collector.ts';
import type { StackReading } from './test-stack.ts';

/** Tests of Python under pytest. */
export async function readPython({ root, phase }: CollectContext): Promise<StackReading> {
  const reading = await readPythonScope(root, phase);
  if ('notEvaluable' in reading) return reading;
  const { scope } = reading;
  return {
    stack: {
      name: 'Python',
      tool: 'pytest',
      files: scope.files,
      sources: scope.sources,
      tests: scope.allTests,
      run: (context, tests, options) => runPytest(context, scope, tests, { ...options, coverage: false }),
      runCovered: async (context, tests) => {
        const run = await runPytest(context, scope, tests, { what: 'new tests', coverage: true });
        if ('notEvaluable' in run) return { notEvaluable: run.notEvaluable };
        return { run, covered: new Map(Object.entries(run.lines)) };
      },
      mutants: async (context, input) =>
        (await runPythonProbe(context, { name: 'mutants', input, report: MutantsReport })).report,
      // One test of many parameters is written once.
      titleOf: ({ name }) => name.replace(/\[.*$/s, ''),
    },
  };
}
