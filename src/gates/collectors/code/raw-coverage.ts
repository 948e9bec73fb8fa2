import type { z } from 'zod';
import type { Evidence } from '../../../shared/verdict.ts';
import type { CollectContext } from '../../collector.ts';
import { CoverageReport } from './probe-reports.ts';
import { isCode, readProjectText } from './project-files.ts';
import type { TestRun } from './run-tests.ts';
import { INSIDE, runProbe } from './run-tool.ts';

/** Words that only code needs which writes records of coverage, stops them or takes them away. */
const FORGES = new RegExp(
  String.raw`NODE_V8_|\b(?:take|stop)Coverage\b|\bPreciseCoverage\b|['"\`]${INSIDE.raw}(?:/|['"\`])`,
);

/** What the raw records of a test run say of the sources, counted on the given copy, or why they cannot be believed. */
export async function readRawCoverage(
  context: CollectContext,
  of: {
    project: string;
    sources: readonly string[];
    /** Every file of the project: those beside the tests could run with them. */
    files: readonly string[];
    run: TestRun;
    raw: string;
  },
): Promise<{ evidence: Evidence } & ({ report: z.infer<typeof CoverageReport> } | { fault: string })> {
  const { report, evidence } = await runProbe(context, {
    name: 'code-coverage',
    project: of.project,
    input: { sources: of.sources, ranIn: of.run.ranIn },
    report: CoverageReport,
    args: [INSIDE.raw],
    mounts: [{ host: of.raw, inside: INSIDE.raw, writable: false }],
  });
  const [forged] = report.implausible;
  if (forged !== undefined) return { evidence, fault: `The raw coverage was not written by Node alone: ${forged}` };
  const forger = await fileThatForges(context, [...of.sources, ...of.files.filter((path) => /^tests?\//.test(path))]);
  if (forger !== undefined)
    return { evidence, fault: `${forger} reaches for the coverage records of its own tests: remove that` };
  return { evidence, report };
}

async function fileThatForges(context: CollectContext, files: readonly string[]): Promise<string | undefined> {
  for (const file of new Set(files.filter(isCode)))
    if (FORGES.test(await readProjectText(context.root, file))) return file;
  return undefined;
}
