import type { MutantsInput, MutantsReport } from '../collectors/code/probe-reports.ts';
import type { TestCase, TestReading, TestRun } from '../collectors/code/run-tests.ts';
import type { z } from 'zod';
import type { CollectContext } from '../collector.ts';

/** Numbers of lines, by file. */
export type Lines = Map<string, number[]>;

/** How the tests of one stack are found, run, and held against planted faults. */
export interface TestStack {
  name: 'JavaScript' | 'Python';
  /** What runs the tests, for evidence. */
  tool: string;
  /** Every regular file of the project. */
  files: readonly string[];
  sources: readonly string[];
  /** Every test file. */
  tests: readonly string[];
  run(
    context: CollectContext,
    tests: readonly string[],
    options: { what: string; wallMs?: number },
  ): Promise<TestReading>;
  /** The same, with the lines of the sources that ran. */
  runCovered(
    context: CollectContext,
    tests: readonly string[],
  ): Promise<{ run: TestRun; covered: Lines } | { notEvaluable: string }>;
  mutants(context: CollectContext, input: z.infer<typeof MutantsInput>): Promise<MutantsReport>;
  /** What the test is called where it is written. */
  titleOf(test: TestCase): string;
}

export type StackReading = { stack: TestStack } | { notEvaluable: string };
