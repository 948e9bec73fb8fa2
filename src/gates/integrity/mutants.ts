import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { copyProject } from '../collectors/code/project-files.ts';
import type { MutantsReport } from '../collectors/code/probe-reports.ts';
import type { TestCase, TestReading, TestRun } from '../collectors/code/run-tests.ts';
import { freshFolder } from '../collectors/code/run-tool.ts';
import type { CollectContext } from '../collector.ts';
import { FleetError } from '../../shared/errors.ts';
import { inParallel } from '../in-parallel.ts';
import { type IntegrityInput, contextOnCopy } from './integrity-context.ts';
import { linesOf } from './lines.ts';
import type { Lines, TestStack } from './test-stack.ts';

/** How many faults are planted, and how long all of them together may take. */
const SAMPLE = 12;
const BUDGET_MS = 120_000;
const AT_ONCE = 2;

export type Mutant = MutantsReport['mutants'][number];
export interface Mutation {
  /** Faults that could have been planted; the tried ones are a sample of them. */
  possible: number;
  /** Where there are none: faults that could have been planted in the same files, in lines that no new test runs. */
  elsewhere: number;
  killed: Mutant[];
  survived: Mutant[];
  /** Drawn, but the time was up, or the run broke off and says nothing about the tests. */
  untried: number;
  /** Lines that the new tests run at all. */
  covered: number;
}
export type MutationReading = Mutation | { notEvaluable: string };

/**
 * Plants one small fault at a time in lines that the new tests run (those that the phase changed, where there are
 * such), and counts how many the new tests notice. They first run on the same copy without a fault, so that nothing
 * that the copy lacks is taken for a noticed fault.
 */
export async function tryMutants(
  input: IntegrityInput,
  stack: TestStack,
  tests: readonly string[],
): Promise<MutationReading> {
  const { context } = input;
  const unbroken = await freshFolder(context, 'unbroken');
  await copyProject(context.root, stack.files, { folder: unbroken, plain: true });
  const began = Date.now();
  const first = await stack.runCovered(await contextOnCopy(context, unbroken), tests);
  if ('notEvaluable' in first) return first;
  const { run, covered } = first;
  const oneRunMs = Date.now() - began;
  const changed = await changedLines(input, covered);
  const isChanged = [...changed.values()].some((each) => each.length > 0);
  const faultsIn = (lines: Lines, limit: number): Promise<MutantsReport> =>
    stack.mutants(context, {
      files: [...lines].map(([file, numbers]) => ({ file, lines: numbers })),
      seed: context.tree,
      limit,
    });
  const report = await faultsIn(isChanged ? changed : covered, SAMPLE);
  const result: Mutation = {
    possible: report.possible,
    elsewhere: 0,
    killed: [],
    survived: [],
    untried: 0,
    covered: [...covered.values()].reduce((sum, each) => sum + each.length, 0),
  };
  if (report.possible === 0) {
    const all = await allLines(context, covered);
    result.elsewhere = (await faultsIn(isChanged ? await changedLines(input, all) : all, 0)).possible;
  }
  const slots = report.mutants.length === 0 ? [] : await copiesOf(context, stack);
  const wallMs = oneRunMs * 4 + 3_000;
  const outcomes = await inParallel(report.mutants, AT_ONCE, async (mutant, index) => {
    const slot = slots[index];
    if (slot === undefined || Date.now() - began > BUDGET_MS) return undefined;
    const after = await withMutant(slot.root, mutant, () =>
      stack.run(slot, tests, { what: 'mutant', wallMs }).catch(whenNoSandbox),
    );
    return after === undefined ? undefined : notices(run, after);
  });
  context.signal.throwIfAborted();
  for (const [index, mutant] of report.mutants.entries()) {
    const isNoticed = outcomes[index];
    if (isNoticed === undefined) result.untried += 1;
    else (isNoticed ? result.killed : result.survived).push(mutant);
  }
  return result;
}

const key = (test: TestCase): string => `${test.file}\0${test.line}\0${test.name}`;

/** A sandbox that fails once leaves its fault untried, which is counted; anything else ends the check. */
function whenNoSandbox(err: unknown): undefined {
  if (!(err instanceof FleetError) || err.code !== 'SANDBOX_UNAVAILABLE') throw err;
}

/**
 * A fault is noticed when a test that passed without it no longer does, its file no longer runs, or the tests never
 * end. Undefined when the run broke off in another way: then the tests did not notice it, something else ended them.
 */
function notices(before: TestRun, after: TestReading): boolean | undefined {
  if ('notEvaluable' in after) return after.endedWith === 'none' ? undefined : true;
  const passed = new Set(after.cases.filter(({ outcome }) => outcome === 'passed').map(key));
  return before.cases.some((test) => test.outcome === 'passed' && !passed.has(key(test)));
}

/** Copies of the work, one for each run at the same time. */
async function copiesOf(context: CollectContext, { files }: TestStack): Promise<CollectContext[]> {
  const copies = Array.from({ length: AT_ONCE }, async () => {
    const folder = await freshFolder(context, 'mutants');
    await copyProject(context.root, files, { folder, plain: true });
    return contextOnCopy(context, folder);
  });
  return Promise.all(copies);
}

async function withMutant<T>(folder: string, mutant: Mutant, use: () => Promise<T>): Promise<T> {
  const path = join(folder, mutant.file);
  const text = await readFile(path, 'utf8');
  await writeFile(path, text.slice(0, mutant.start) + mutant.replacement + text.slice(mutant.end));
  try {
    return await use();
  } finally {
    await writeFile(path, text);
  }
}

/** Lines that are not in the base, by their text. */
async function changedLines({ context, baseRoot, changed }: IntegrityInput, lines: Lines): Promise<Lines> {
  const result: Lines = new Map();
  for (const { file, status } of changed) {
    const numbers = lines.get(file);
    if (numbers === undefined || status === 'deleted') continue;
    const before = new Set(status === 'added' ? [] : await linesOf(baseRoot, file));
    const now = await linesOf(context.root, file);
    result.set(
      file,
      numbers.filter((line) => !before.has(now[line - 1] ?? '')),
    );
  }
  return result;
}

/** Every line of the files that the tests load. */
async function allLines({ root }: CollectContext, covered: Lines): Promise<Lines> {
  const all: Lines = new Map();
  for (const file of covered.keys())
    all.set(
      file,
      (await linesOf(root, file)).map((_, index) => index + 1),
    );
  return all;
}
