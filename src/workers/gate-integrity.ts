import { join } from 'node:path';
import type { RunContext } from '../gates/collector.ts';
import { integrityOf, readsTests } from '../gates/integrity/integrity-of.ts';
import type { CheckedWork } from '../gates/measure-cache.ts';
import { type PlannedPhase, type RunPlan, writtenName } from '../shared/run-record.ts';
import { type ChangedFile, type Workspace, openWorkspace } from '../shared/workspace.ts';
import type { LoadedDefinitions, WorkerContext } from './worker-context.ts';
import { neededSources } from './needed-sources.ts';

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
}

interface Compared extends Omit<CheckedWork, 'isWhole'> {
  /** Since the phase began, in all of its rounds. */
  changed: readonly ChangedFile[];
}

/** Compares the work of a gated phase with the commits it was made from. */
export async function measureIntegrity(ctx: WorkerContext, work: Work): Promise<Compared> {
  const { plan, phase, dir, root, workspace, signal, run } = work;
  if (phase.policy === null) return { checks: [], findings: [], reports: [], changed: [] };
  const sources = await neededSources(ctx.store, plan.runId, phase);
  const base = (await openWorkspace({ dir: join(dir, 'base'), blobs: ctx.blobs, sources, onConflict: 'mark' }))
    .workspace;
  const before = await base.head();
  const baseRoot = join(dir, 'base-files');
  await base.exportTo(baseRoot);
  const changed = await workspace.changedFiles(before);
  const checked = await integrityOf({
    context: { root, sandbox: ctx.sandbox, phase: writtenName(phase), run, signal, logger: ctx.logger },
    dir,
    baseRoot,
    changed,
    owners: await base.lastPersonas(before),
    personas: phase.personas,
    strayLinks: work.strayLinks,
    isTested: readsTests(work.loaded.policySet, phase.policy, phase.personas),
    cache: ctx.measuring?.cache,
    check: ctx.measuring?.processes?.checkIntegrity,
  });
  return { ...checked, changed };
}
