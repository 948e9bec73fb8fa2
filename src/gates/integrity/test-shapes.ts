import { TestShapes } from '../collectors/code/probe-reports.ts';
import { isCode } from '../collectors/code/project-files.ts';
import { runPythonProbe } from '../collectors/code/python/probe.ts';
import { PythonShapes } from '../collectors/code/python/reports.ts';
import { runProbe } from '../collectors/code/run-tool.ts';
import type { CollectContext } from '../collector.ts';

export type TestShape = TestShapes['files'][number];

export const isPython = (file: string): boolean => file.endsWith('.py');

/** What test files hold, by their syntax; nothing of a file that is no code. */
export async function readTestShapes(
  context: CollectContext,
  files: readonly string[],
): Promise<ReadonlyMap<string, TestShape>> {
  const code = files.filter(isCode);
  const python = files.filter(isPython);
  const shapes: TestShape[] = [];
  if (code.length > 0) {
    const probe = { name: 'code-test-shape', project: context.root, input: { files: code }, report: TestShapes };
    shapes.push(...(await runProbe(context, probe)).report.files);
  }
  if (python.length > 0) {
    const { files: read } = await readPythonShapes(context, { files: python, settings: [] });
    for (const { file, assertions, switchedOff, titles } of read.filter((shape) => shape.isPython))
      shapes.push({ file, assertions, switchedOff, titles });
  }
  return new Map(shapes.map((shape) => [shape.file, shape]));
}

/** The same of Python files, with whatever in them or in settings could decide over tests. */
export async function readPythonShapes(
  context: CollectContext,
  input: { files: readonly string[]; settings: readonly string[] },
): Promise<PythonShapes> {
  return (await runPythonProbe(context, { name: 'test_shape', input, report: PythonShapes })).report;
}
