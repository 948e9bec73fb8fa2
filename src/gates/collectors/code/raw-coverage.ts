import type { z } from 'zod';
import type { Evidence } from '../../../shared/verdict.ts';
import type { CollectContext } from '../../collector.ts';
import { CoverageReport } from './probe-reports.ts';
import type { TestRun } from './run-tests.ts';
import { INSIDE, runProbe } from './run-tool.ts';

/** What the raw records of a test run say of the sources, counted on the given copy, or why they cannot be believed. */
export async function readRawCoverage(
  context: CollectContext,
  of: { project: string; sources: readonly string[]; run: TestRun; raw: string },
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
  return { evidence, report };
}
