import { mkdir, mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { RunContext } from '../gates/collector.ts';
import { NO_POLICY } from '../gates/load-policy.ts';
import { type PhaseMeasurement, measurePhase } from '../gates/measure.ts';
import { addressFindings } from '../gates/owners/address-findings.ts';
import { putJson } from '../shared/blob-store.ts';
import type { PersonaResult } from '../shared/jobs.ts';
import {
  type BlobRef,
  type CommitRef,
  type PlannedPhase,
  type RunPlan,
  isReplayedRun,
  replayedMark,
  writtenName,
} from '../shared/run-record.ts';
import { RoundEvidence } from '../shared/round-evidence.ts';
import type { Finding } from '../shared/verdict.ts';
import { type ChangedFile, type Source, openWorkspace } from '../shared/workspace.ts';
import { lookForWork, originsOf } from '../gates/contracts/look-for-work.ts';
import { measureIntegrity } from './gate-integrity.ts';
import { conflictFinding, overlapFinding } from './shared-files.ts';
import { type LoadedDefinitions, type WorkerContext, documentReader } from './worker-context.ts';
import { removeTree } from '../shared/remove-tree.ts';

/** Collectors that read what people and reviewers recorded; they run when that is there. */
export const JUDGEMENT_COLLECTORS = ['review', 'approval'];

export interface Candidate {
  candidate: CommitRef;
  /** What could not be merged, one line each. */
  conflicts: string[];
  /** Files that more than one changed, and what is missing of what later phases need. */
  findings: Finding[];
}

interface MeasureInput {
  plan: RunPlan;
  phase: PlannedPhase;
  round: number;
  candidate: CommitRef;
  run: RunContext;
  loaded: LoadedDefinitions;
  /** What was measured of this candidate before: then only the collectors that read reviews and approvals run again. */
  previous?: RoundEvidence;
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
    await removeTree(dir);
  }
}

/** The commits that the personas of a phase made. */
export const workSources = (phase: PlannedPhase, results: readonly PersonaResult[]): Source[] =>
  results.flatMap((result) =>
    result.bundle === null || result.commit === null
      ? []
      : [{ label: `${phase.name}/${result.persona}`, bundle: result.bundle, commit: result.commit }],
  );

/**
 * Merges what was made for a phase into the one commit that the gates judge. What does not fit together stays in it with
 * conflict markers, so that nobody's work is lost and one of them can resolve it.
 */
export function mergeWork(
  ctx: WorkerContext,
  phase: PlannedPhase,
  sources: readonly Source[],
  /** Looks at the merged files. */
  look: (root: string) => Promise<Finding[]> = () => Promise.resolve([]),
): Promise<Candidate> {
  return inScratch(ctx, async (dir) => {
    const { workspace, conflicts, overlaps } = await openWorkspace({
      dir,
      blobs: ctx.blobs,
      sources,
      onConflict: 'mark',
    });
    // Markers are left by phases or personas that were merged with conflicts; every one has to be resolved.
    const marked = phase.needs.length > 1 || phase.personas.length > 1 ? await workspace.conflictMarkers() : [];
    const unmerged = conflicts.map(({ file }) => file);
    return {
      candidate: await workspace.bundle(),
      conflicts: [
        ...conflicts.map(({ file, labels }) => `${file} was changed by ${labels.join(' and ')}`),
        ...marked
          .filter((file) => !unmerged.includes(file))
          .map((file) => `${file} still holds conflict markers: resolve them`),
      ],
      findings: [
        ...conflicts.map((shared) => conflictFinding(shared)),
        ...overlaps.map((shared) => overlapFinding(shared)),
        ...(await look(workspace.dir)),
      ],
    };
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
    const { leftOut } = await workspace.exportTo(root);
    const { previous } = input;
    const measured = await measurePhase({
      root,
      scratch,
      phase: writtenName(input.phase),
      policySet: input.loaded.policySet,
      policy: input.phase.policy ?? NO_POLICY,
      personas: input.phase.personas,
      sandbox: ctx.sandbox,
      run: { ...input.run, given: input.loaded.given },
      ...ctx.measuring,
      ...(previous === undefined
        ? { skipCollectors: JUDGEMENT_COLLECTORS }
        : { only: { collectors: JUDGEMENT_COLLECTORS, previous: await restore(ctx, previous, join(dir, 'before')) } }),
      signal: input.signal,
      logger: ctx.logger,
    });
    const integrity =
      previous === undefined
        ? await measureIntegrity(ctx, { ...input, dir, root, workspace, strayLinks: leftOut })
        : { checks: previous.integrity, findings: [], reports: [], changed: [] };
    const reports = await Promise.all(
      [...measured.reports, ...integrity.reports].map(async ({ name, path, bytes }) => ({
        name,
        blob: await ctx.blobs.put(await readFile(path)),
        bytes,
      })),
    );
    const owners = await workspace.lastPersonas(input.candidate.commit);
    return RoundEvidence.parse({
      schemaVersion: 1,
      runId: input.plan.runId,
      phase: input.phase.name,
      round: input.round,
      ...replayedMark(isReplayedRun(input.plan)),
      commit: input.candidate.commit,
      tree: measured.tree,
      sandbox: ctx.sandbox.description,
      measurements: measured.measurements,
      findings: addressFindings([...measured.findings, ...integrity.findings], (file) => owners.get(file)),
      artifacts: measured.artifacts,
      reports,
      reviews: [...input.run.judgements],
      approvals: [...input.run.approvals],
      integrity: integrity.checks,
      claims: previous?.claims ?? [],
      // The same files were made by the same people.
      ...(input.phase.policy === null
        ? {}
        : { work: previous?.work ?? (await workOf(ctx, input, { root, owners, ...integrity })) }),
    });
  });
}

interface Found {
  root: string;
  changed: readonly ChangedFile[];
  owners: ReadonlyMap<string, string>;
}

const workOf = (
  ctx: WorkerContext,
  { phase, loaded, signal }: MeasureInput,
  { root, changed, owners }: Found,
): ReturnType<typeof lookForWork> =>
  lookForWork(
    root,
    phase.personas,
    loaded.definitions.personas,
    originsOf(changed, owners),
    documentReader(ctx, signal),
  );

/** An earlier measurement as it was, with its reports as files again. */
async function restore(ctx: WorkerContext, evidence: RoundEvidence, dir: string): Promise<PhaseMeasurement> {
  const { measurements, findings, artifacts, tree } = evidence;
  const reports = await Promise.all(
    evidence.reports.map(async ({ name, blob, bytes }) => {
      const path = join(dir, name);
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, await ctx.blobs.get(blob));
      return { name, path, sha256: blob, bytes };
    }),
  );
  return { measurements, findings, artifacts, reports, tree };
}

export const storeEvidence = (ctx: WorkerContext, evidence: RoundEvidence): Promise<BlobRef> =>
  putJson(ctx.blobs, evidence);
