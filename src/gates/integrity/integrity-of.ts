import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { CollectContext } from '../collector.ts';
import { type Report, harvestReports } from '../harvest-reports.ts';
import { hashTree } from '../hostile-files.ts';
import { metricsOf } from '../contracts/contract-of.ts';
import type { PolicySet } from '../load-policy.ts';
import { type CheckedWork, type MeasureCache, besideTree } from '../measure-cache.ts';
import { type MakeCheck, checkIntegrity } from './check-integrity.ts';
import type { IntegrityInput } from './integrity-context.ts';

/** Collectors whose readings rest on tests that an author may have written. */
const TEST_COLLECTORS = new Set(['tests', 'regression']);

/** Does the policy, or the contract of a persona, read anything that tests establish? */
export const readsTests = (set: PolicySet, policy: string, personas: readonly string[]): boolean =>
  metricsOf(set, policy, personas).some((metric) => TEST_COLLECTORS.has(set.metrics[metric]?.collector ?? ''));

export interface IntegrityOptions extends Omit<IntegrityInput, 'context'> {
  context: Omit<CollectContext, 'outDir' | 'tree' | 'metrics' | 'artifacts'>;
  /** A folder of this comparison's own, where its reports stay. */
  dir: string;
  /** Comparisons of the same files with the same base. */
  cache?: MeasureCache | undefined;
  /** Where the checks are made; in this process when it is not given. */
  check?: MakeCheck | undefined;
}

/** Compares work with what it began with, and keeps the reports; planted faults are not tried twice on the same files. */
export async function integrityOf(options: IntegrityOptions): Promise<CheckedWork> {
  const { context, cache, dir, check: make, ...rest } = options;
  const reportsDir = join(dir, 'integrity-reports');
  const establish = async (): Promise<CheckedWork> => {
    const outDir = join(dir, 'integrity');
    await mkdir(outDir, { recursive: true });
    const tree = await hashTree(context.root);
    const input = { ...rest, context: { ...context, metrics: {}, artifacts: {}, outDir, tree } };
    const done = await checkIntegrity(input, make);
    const harvest = await harvestReports('integrity', outDir, reportsDir);
    return {
      checks: done.checks.map((check) => withReports(check, harvest.reports)),
      findings: [...done.findings, ...harvest.findings],
      reports: harvest.reports,
      isWhole: done.isWhole,
    };
  };
  if (cache === undefined) return establish();
  const { root, logger } = context;
  return cache.reuseChecks({ root, logger, reportsDir, about: () => keyOf(options) }, establish);
}

/** Everything that the checks depend on beside the tools; read anew each time, never taken from the work. */
async function keyOf({ context, baseRoot, ...rest }: IntegrityOptions): Promise<object | undefined> {
  const beside = await besideTree(baseRoot);
  if (beside === undefined) return undefined;
  return {
    tree: await hashTree(context.root),
    base: [await hashTree(baseRoot), beside],
    phase: context.phase,
    sandbox: [context.sandbox.kind, context.sandbox.description],
    changed: rest.changed.map(({ status, file }) => [status, file]),
    owners: [...rest.owners].toSorted(([a], [b]) => (a < b ? -1 : Number(a > b))),
    personas: rest.personas,
    strayLinks: rest.strayLinks,
    isTested: rest.isTested,
  };
}

type Check = CheckedWork['checks'][number];

/** Ties evidence to the report as it was kept. */
const withReports = (check: Check, reports: readonly Report[]): Check => ({
  ...check,
  evidence: check.evidence.map((each) => {
    const report = reports.find(({ name }) => name === `integrity/${each.report ?? ''}`);
    return report === undefined ? each : { ...each, report: report.name, reportSha256: report.sha256 };
  }),
});
