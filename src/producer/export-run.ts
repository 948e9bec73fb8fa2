import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { BlobStore } from '../shared/blob-store.ts';
import type { RunId } from '../shared/names.ts';
import { type CommitRef, OPEN_PHASE } from '../shared/run-record.ts';
import type { RunStore } from '../shared/run-store.ts';
import { type SharedFile, type Source, cloneBundle, openWorkspace } from '../shared/workspace.ts';
import { workOf } from './edit-phase.ts';

export interface ExportedRun {
  /** The folder of an ordinary git repository, or null when no phase handed anything on. */
  repository: string | null;
  commit: string | null;
  /** The phases whose work it holds (with all that they built on). */
  phases: string[];
  /** The phases whose work it does not hold, because of the conflicts. */
  leftOut: string[];
  conflicts: SharedFile[];
}

interface WorkOf {
  store: RunStore;
  blobs: BlobStore;
  runId: RunId;
  /** Only this phase's work, also when its gates have blocked it. */
  phase?: string | undefined;
  scratch: string;
}

/** What a run has handed on so far, as one commit. */
export interface HandedOn extends Omit<ExportedRun, 'repository' | 'commit'> {
  /** Null when no phase handed anything on. */
  work: CommitRef | null;
}

/** Merges what a run has handed on so far into one commit, which is the same one whenever it is asked for. */
export async function mergeHandedOn(of: WorkOf): Promise<HandedOn> {
  const sources =
    of.phase === undefined ? await handedOn(of.store, of.runId) : await madeBy(of.store, of.runId, of.phase);
  const [only, ...others] = sources;
  if (only === undefined) return { work: null, phases: [], leftOut: [], conflicts: [] };
  const labels = sources.map((source) => source.label);
  if (others.length === 0) {
    const { commit, bundle } = only;
    return { work: { commit, bundle }, phases: labels, leftOut: [], conflicts: [] };
  }
  const dir = join(of.scratch, `export-${of.runId}`);
  try {
    const { workspace, conflicts } = await openWorkspace({ dir, blobs: of.blobs, sources });
    // The last one named is the one that did not fit on what was there.
    const unfit = new Set(conflicts.map((conflict) => conflict.labels.at(-1)));
    const phases = labels.filter((label) => !unfit.has(label));
    const leftOut = labels.filter((label) => unfit.has(label));
    return { work: await workspace.bundle(), phases, leftOut, conflicts };
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

/** Writes what a run has handed on so far as a git repository that a person can clone, log and diff. */
export async function exportRun(of: WorkOf & { dir: string }): Promise<ExportedRun> {
  const { work, ...rest } = await mergeHandedOn(of);
  if (work === null) return { repository: null, commit: null, ...rest };
  await rm(of.dir, { recursive: true, force: true });
  await cloneBundle({ ...work, blobs: of.blobs, dir: of.dir, branch: 'main' });
  return { repository: of.dir, commit: work.commit, ...rest };
}

/** The work of the phases that nobody has built on yet: with all that they built on. */
async function handedOn(store: RunStore, runId: RunId): Promise<Source[]> {
  const plan = await store.getPlan(runId);
  const records = await store.getPhases(runId);
  const recordOf = new Map(records.map((record) => [record.phase, record]));
  const isPassedBy = (name: string): boolean =>
    recordOf.get(name)?.status === 'skipped' && recordOf.get(name)?.bundle === null;
  const hasWork = (name: string): boolean =>
    OPEN_PHASE.some((status) => status === recordOf.get(name)?.status) && !isPassedBy(name);
  // What a skipped phase was given is built on by whoever builds on it.
  const needsOf = new Map(plan.phases.map(({ name, needs }) => [name, needs]));
  const behind = (name: string): string[] => (isPassedBy(name) ? (needsOf.get(name) ?? []).flatMap(behind) : [name]);
  const builtOn = new Set(
    plan.phases.filter(({ name }) => hasWork(name)).flatMap(({ needs }) => needs.flatMap(behind)),
  );
  const tips = records.filter(({ phase }) => hasWork(phase) && !builtOn.has(phase));
  return tips.flatMap((tip) =>
    tip.bundle === null || tip.commit === null ? [] : [{ label: tip.phase, bundle: tip.bundle, commit: tip.commit }],
  );
}

async function madeBy(store: RunStore, runId: RunId, phase: string): Promise<Source[]> {
  const work = workOf(await store.getPhase(runId, phase));
  return work === null ? [] : [{ label: phase, ...work }];
}
