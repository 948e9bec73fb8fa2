import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { copyProject } from '../collectors/code/project-files.ts';
import { CoverageReport, MutantsReport } from '../collectors/code/probe-reports.ts';
import { type TestReading, type TestRun, runTests } from '../collectors/code/run-tests.ts';
import { INSIDE, freshFolder, runProbe } from '../collectors/code/run-tool.ts';
import type { CodeScope } from '../collectors/code/scope.ts';
import { FleetError } from '../../shared/errors.ts';
import { readRegularFile } from '../hostile-files.ts';
import { inParallel } from '../in-parallel.ts';
import { type IntegrityInput, contextOn } from './integrity-context.ts';

/** How many faults are planted, and how long all of them together may take. */
const SAMPLE = 12;
const BUDGET_MS = 120_000;
const AT_ONCE = 2;
const MAX_SOURCE_BYTES = 16 * 1024 ** 2;

export type Mutant = MutantsReport['mutants'][number];
export interface Mutation {
  /** Faults that could have been planted; the tried ones are a sample of them. */
  possible: number;
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
 * such), and counts how many the new tests notice.
 */
export async function tryMutants(
  input: IntegrityInput,
  scope: CodeScope,
  tests: readonly string[],
  hasTypeScript: boolean,
): Promise<MutationReading> {
  const { context } = input;
  const began = Date.now();
  const raw = await freshFolder(context, 'raw');
  const rawCoverage = { host: raw, inside: INSIDE.raw, writable: true };
  const first = await runTests(context, tests, { what: 'new tests', hasTypeScript, rawCoverage });
  if ('notEvaluable' in first) return { notEvaluable: first.notEvaluable };
  const oneRunMs = Date.now() - began;
  const covered = await coveredLines(input, scope, first, raw);
  if (typeof covered === 'string') return { notEvaluable: covered };
  const changed = await changedLines(input, covered);
  const lines = [...changed.values()].some((each) => each.length > 0) ? changed : covered;
  const { report } = await runProbe(context, {
    name: 'code-mutants',
    project: context.root,
    input: {
      files: [...lines].map(([file, numbers]) => ({ file, lines: numbers })),
      seed: context.tree,
      limit: SAMPLE,
    },
    report: MutantsReport,
  });
  const slots = await slotsFor(input, scope, report.mutants.length);
  const result: Mutation = {
    possible: report.possible,
    killed: [],
    survived: [],
    untried: 0,
    covered: [...covered.values()].reduce((sum, each) => sum + each.length, 0),
  };
  const wallMs = oneRunMs * 4 + 3_000;
  const outcomes = await inParallel(report.mutants, AT_ONCE, async (mutant, slot) => {
    const folder = slots[slot];
    if (folder === undefined || Date.now() - began > BUDGET_MS) return undefined;
    const run = await withMutant(folder, mutant, () =>
      runTests(contextOn(context, folder), tests, { what: 'mutant', hasTypeScript, wallMs }).catch(whenNoSandbox),
    );
    return run === undefined ? undefined : notices(first, run);
  });
  context.signal.throwIfAborted();
  for (const [index, mutant] of report.mutants.entries()) {
    const isNoticed = outcomes[index];
    if (isNoticed === undefined) result.untried += 1;
    else (isNoticed ? result.killed : result.survived).push(mutant);
  }
  return result;
}

const key = (test: TestRun['cases'][number]): string => `${test.file}\0${test.line}\0${test.name}`;

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

/** Copies of the work, one for each that runs at the same time. */
async function slotsFor({ context }: IntegrityInput, scope: CodeScope, mutants: number): Promise<string[]> {
  if (mutants === 0) return [];
  const first = await freshFolder(context, 'mutants');
  await copyProject(context.root, scope.files, { folder: first, plain: true });
  const others = await Promise.all(
    Array.from({ length: AT_ONCE - 1 }, async () => {
      const folder = await freshFolder(context, 'mutants');
      await cp(first, folder, { recursive: true });
      return folder;
    }),
  );
  return [first, ...others];
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

type Lines = Map<string, number[]>;

async function coveredLines(
  { context }: IntegrityInput,
  scope: CodeScope,
  run: TestRun,
  raw: string,
): Promise<Lines | string> {
  const { report } = await runProbe(context, {
    name: 'code-coverage',
    project: context.root,
    input: { sources: scope.sources, ranIn: run.ranIn },
    report: CoverageReport,
    args: [INSIDE.raw],
    mounts: [{ host: raw, inside: INSIDE.raw, writable: false }],
  });
  if (report.implausible[0] !== undefined)
    return `the raw coverage was not written by Node alone: ${report.implausible[0]}`;
  const covered: Lines = new Map();
  for (const file of report.loaded) {
    const counted = report.summary[file];
    const uncovered = new Set(counted?.uncovered);
    const numbers = (await linesOf(context.root, file)).map((_, index) => index + 1);
    if (counted !== undefined)
      covered.set(
        file,
        numbers.filter((line) => !uncovered.has(line)),
      );
  }
  return covered;
}

/** Covered lines that are not in the base, by their text. */
async function changedLines({ context, baseRoot, changed }: IntegrityInput, covered: Lines): Promise<Lines> {
  const result: Lines = new Map();
  for (const { file, status } of changed) {
    const lines = covered.get(file);
    if (lines === undefined || status === 'deleted') continue;
    const before = new Set(status === 'added' ? [] : await linesOf(baseRoot, file));
    const now = await linesOf(context.root, file);
    result.set(
      file,
      lines.filter((line) => !before.has(now[line - 1] ?? '')),
    );
  }
  return result;
}

async function linesOf(root: string, file: string): Promise<string[]> {
  const bytes = await readRegularFile(join(root, file), MAX_SOURCE_BYTES);
  return bytes === undefined ? [] : bytes.toString('utf8').split('\n');
}
