import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { RunContext } from '../gates/collector.ts';
import { measurePhase } from '../gates/measure.ts';
import { putJson } from '../shared/blob-store.ts';
import type { CommitRef, PersonaResult } from '../shared/jobs.ts';
import type { BlobRef, PlannedPhase, RunPlan } from '../shared/run-record.ts';
import { RoundEvidence } from '../shared/round-evidence.ts';
import { type MergeConflict, openWorkspace } from '../shared/workspace.ts';
import type { LoadedDefinitions, WorkerContext } from './worker-context.ts';

export interface Candidate {
  candidate: CommitRef;
  conflicts: MergeConflict[];
}

interface MeasureInput {
  plan: RunPlan;
  phase: PlannedPhase;
  round: number;
  candidate: CommitRef;
  run: RunContext;
  loaded: LoadedDefinitions;
  /** Which collectors run: the measuring ones, or those that read reviews and approvals. */
  part: 'measured' | 'judged';
  signal: AbortSignal;
}

/** Runs `use` in a fresh folder of this worker's own, which is gone afterwards. */
export async function inScratch<T>(ctx: WorkerContext, use: (dir: string) => Promise<T>): Promise<T> {
  const parent = join(ctx.config.home, 'work');
  await mkdir(parent, { recursive: true });
  const dir = await mkdtemp(join(parent, 'job-'));
  try {
    return await use(dir);
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

/** Merges what the personas of a phase made into the one commit that the gates judge. */
export function mergeWork(
  ctx: WorkerContext,
  phase: PlannedPhase,
  results: readonly PersonaResult[],
): Promise<Candidate> {
  return inScratch(ctx, async (dir) => {
    const sources = results.flatMap((result) =>
      result.bundle === null || result.commit === null
        ? []
        : [{ label: `${phase.name}/${result.persona}`, bundle: result.bundle, commit: result.commit }],
    );
    const { workspace, conflicts } = await openWorkspace({ dir, blobs: ctx.blobs, sources });
    return { candidate: await workspace.bundle(), conflicts };
  });
}

/** Measures a candidate and stores everything the verdict will rest on as one evidence blob. */
export function measureCandidate(ctx: WorkerContext, input: MeasureInput): Promise<RoundEvidence> {
  return inScratch(ctx, async (dir) => {
    const root = join(dir, 'root');
    const scratch = join(dir, 'out');
    await mkdir(scratch, { recursive: true });
    const { workspace } = await openWorkspace({
      dir: join(dir, 'work'),
      blobs: ctx.blobs,
      sources: [{ label: input.phase.name, ...input.candidate }],
    });
    await workspace.exportTo(root);
    const measured = await measurePhase({
      root,
      scratch,
      phase: input.phase.name,
      policySet: input.loaded.policySet,
      policy: input.phase.policy ?? 'none',
      sandbox: ctx.sandbox,
      run: input.run,
      part: input.part,
      signal: input.signal,
      logger: ctx.logger,
    });
    const reports = [];
    for (const report of measured.reports) {
      const bytes = await readFile(report.path);
      reports.push({ name: report.name, blob: await ctx.blobs.put(bytes), bytes: bytes.length });
    }
    return RoundEvidence.parse({
      schemaVersion: 1,
      runId: input.plan.runId,
      phase: input.phase.name,
      round: input.round,
      commit: input.candidate.commit,
      tree: measured.tree,
      sandbox: ctx.sandbox.description,
      measurements: measured.measurements,
      findings: measured.findings,
      artifacts: measured.artifacts,
      reports,
      reviews: [...input.run.judgements],
      approvals: [...input.run.approvals],
    });
  });
}

/**
 * The measured part of a round joined with its judged part. Values come from the measured part
 * except for the metrics that reviews and approvals decide; artifacts recorded by the fleet from the judged part.
 */
export function joinEvidence(
  measured: RoundEvidence,
  judged: RoundEvidence,
  judgedMetrics: ReadonlySet<string>,
): RoundEvidence {
  const recordedNow = new Map(judged.artifacts.map((artifact) => [artifact.artifact, artifact]));
  return {
    ...measured,
    measurements: [
      ...measured.measurements.filter((measurement) => !judgedMetrics.has(measurement.metric)),
      ...judged.measurements.filter((measurement) => judgedMetrics.has(measurement.metric)),
    ].toSorted((a, b) => a.metric.localeCompare(b.metric)),
    findings: [...measured.findings, ...judged.findings],
    artifacts: measured.artifacts.map((artifact) => {
      const now = recordedNow.get(artifact.artifact);
      return artifact.outcome === 'missing' && now?.outcome === 'present' ? now : artifact;
    }),
    reports: [...measured.reports, ...judged.reports],
    reviews: judged.reviews,
    approvals: judged.approvals,
  };
}

export const storeEvidence = (ctx: WorkerContext, evidence: RoundEvidence): Promise<BlobRef> =>
  putJson(ctx.blobs, evidence);
