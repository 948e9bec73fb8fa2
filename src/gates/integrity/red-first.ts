import { copyFile, mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { copyProject, listProject } from '../collectors/code/project-files.ts';
import { freshFolder } from '../collectors/code/run-tool.ts';
import { inParallel } from '../in-parallel.ts';
import { type IntegrityInput, contextOn, contextOnCopy } from './integrity-context.ts';
import { isTestCode } from './test-files.ts';
import { readTestShapes } from './test-shapes.ts';
import type { TestStack } from './test-stack.ts';

const RUN_MS = 60_000;
const AT_ONCE = 2;

export interface RedFirst {
  /** New tests that ran on the old code and failed there, by what they check. */
  red: number;
  /** Test files that cannot even be loaded with the old code: what they test is new. */
  notLoaded: string[];
  /** New tests that pass on the old code as well. */
  green: { file: string; line: number; name: string }[];
}

/** Runs the new tests against the code as it was before, each file by itself. */
export async function runOnOldCode(
  input: IntegrityInput,
  stack: TestStack,
  tests: readonly string[],
): Promise<RedFirst> {
  const known = await titlesBefore(input, tests);
  const context = await contextOnCopy(input.context, await oldCodeWithNewTests(input));
  const result: RedFirst = { red: 0, notLoaded: [], green: [] };
  await inParallel(tests, AT_ONCE, async (file) => {
    const run = await stack.run(context, [file], { what: 'new tests on the old code', wallMs: RUN_MS });
    if ('notEvaluable' in run) {
      result.notLoaded.push(file);
      return;
    }
    for (const test of run.cases) {
      const { name, line, outcome } = test;
      if (outcome === 'failed') result.red += 1;
      else if (outcome === 'passed' && known.get(file)?.has(stack.titleOf(test)) !== true)
        result.green.push({ file, line, name });
    }
  });
  result.notLoaded.sort();
  result.green.sort((a, b) => (a.file === b.file ? a.line - b.line : a.file < b.file ? -1 : 1));
  return result;
}

const isOfNow = (path: string): boolean => isTestCode(path) || path === 'package.json';

/** What the phase began with, but with the tests, and the manifest that they run under, of now. */
async function oldCodeWithNewTests({ context, baseRoot }: IntegrityInput): Promise<string> {
  const folder = await freshFolder(context, 'before');
  const [before, now] = await Promise.all([listProject(baseRoot), listProject(context.root)]);
  const kept = before.files.filter((path) => !isOfNow(path));
  await copyProject(baseRoot, kept, { folder, plain: true });
  for (const path of now.files.filter(isOfNow)) {
    await mkdir(join(folder, dirname(path)), { recursive: true });
    await copyFile(join(context.root, path), join(folder, path));
  }
  return folder;
}

/** The titles of tests that a changed file held before: they need not be red. */
async function titlesBefore(
  { context, baseRoot, changed }: IntegrityInput,
  tests: readonly string[],
): Promise<Map<string, Set<string>>> {
  const files = changed.filter(({ status, file }) => status === 'modified' && tests.includes(file));
  const shapes = await readTestShapes(
    contextOn(context, baseRoot),
    files.map(({ file }) => file),
  );
  return new Map([...shapes].map(([file, { titles }]) => [file, new Set(titles)]));
}
