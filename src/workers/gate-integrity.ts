import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { RunContext } from '../gates/collector.ts';
import { type Report, harvestReports } from '../gates/harvest-reports.ts';
import { type Integrity, checkIntegrity } from '../gates/integrity/check-integrity.ts';
import { requiredMetrics } from '../gates/load-policy.ts';
import type { PlannedPhase, RunPlan } from '../shared/run-record.ts';
import { type Workspace, openWorkspace } from '../shared/workspace.ts';
import type { LoadedDefinitions, WorkerContext } from './worker-context.ts';
import { neededSources } from './needed-sources.ts';

/** Collectors whose readings rest on tests that a persona may have written. */
const TEST_COLLECTORS = new Set(['tests', 'regression']);

interface Work {
  plan: RunPlan;
  phase: PlannedPhase;
  run: RunContext;
  loaded: LoadedDefinitions;
  signal: AbortSignal;
  /** A folder of this measurement's own. */
  dir: string;
  /** The files that were measured, and the workspace they come from. */
  root: string;
  workspace: Workspace;
  strayLinks: readonly string[];
  tree: string;
}

/** Compares the work of a gated phase with the commits it was made from. */
export async function measureIntegrity(
  ctx: WorkerContext,
  work: Work,
): Promise<Integrity & { reports: readonly Report[] }> {
  const { plan, phase, dir, root, workspace, tree, signal } = work;
  if (phase.policy === null) return { checks: [], findings: [], reports: [] };
  const { policySet } = work.loaded;
  const sources = await neededSources(ctx.store, plan.runId, phase);
  const base = (await openWorkspace({ dir: join(dir, 'base'), blobs: ctx.blobs, sources, onConflict: 'mark' }))
    .workspace;
  const before = await base.head();
  const baseRoot = join(dir, 'base-files');
  const outDir = join(dir, 'integrity');
  await base.exportTo(baseRoot);
  await mkdir(outDir);
  const { checks, findings } = await checkIntegrity({
    context: {
      root,
      outDir,
      sandbox: ctx.sandbox,
      phase: phase.name,
      metrics: {},
      artifacts: {},
      run: work.run,
      tree,
      signal,
      logger: ctx.logger,
    },
    baseRoot,
    changed: await workspace.changedFiles(before),
    owners: await base.lastPersonas(before),
    personas: phase.personas,
    strayLinks: work.strayLinks,
    isTested: requiredMetrics(policySet, phase.policy).some((metric) =>
      TEST_COLLECTORS.has(policySet.metrics[metric]?.collector ?? ''),
    ),
  });
  const harvest = await harvestReports('integrity', outDir, join(dir, 'integrity-reports'));
  const named = checks.map((check) => ({
    ...check,
    evidence: check.evidence.map((each) => {
      const report = harvest.reports.find(({ name }) => name === `integrity/${each.report ?? ''}`);
      return report === undefined ? each : { ...each, report: report.name, reportSha256: report.sha256 };
    }),
  }));
  return { checks: named, findings: [...findings, ...harvest.findings], reports: harvest.reports };
}
