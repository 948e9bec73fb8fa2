import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { BlobStore } from '../shared/blob-store.ts';
import type { RunId } from '../shared/names.ts';
import { OPEN_PHASE } from '../shared/run-record.ts';
import type { RunStore } from '../shared/run-store.ts';
import { type MergeConflict, cloneBundle, openWorkspace } from '../shared/workspace.ts';

export interface ExportedRun {
  /** The folder of an ordinary git repository, or null when no phase handed anything on. */
  repository: string | null;
  commit: string | null;
  /** The phases whose work it holds (with all that they built on). */
  phases: string[];
  /** The phases whose work it does not hold, because of the conflicts. */
  leftOut: string[];
  conflicts: MergeConflict[];
}

/** Writes what a run has handed on so far as a git repository that a person can clone, log and diff. */
export async function exportRun(of: {
  store: RunStore;
  blobs: BlobStore;
  runId: RunId;
  dir: string;
  scratch: string;
}): Promise<ExportedRun> {
  const plan = await of.store.getPlan(of.runId);
  const records = await of.store.getPhases(of.runId);
  const open = new Set(records.filter((record) => OPEN_PHASE.includes(record.status)).map((record) => record.phase));
  const builtOn = new Set(plan.phases.filter((phase) => open.has(phase.name)).flatMap((phase) => phase.needs));
  const tips = records.filter((record) => open.has(record.phase) && !builtOn.has(record.phase));
  const sources = tips.flatMap((tip) =>
    tip.bundle === null || tip.commit === null ? [] : [{ label: tip.phase, bundle: tip.bundle, commit: tip.commit }],
  );
  if (sources.length === 0) return { repository: null, commit: null, phases: [], leftOut: [], conflicts: [] };
  const dir = join(of.scratch, `export-${of.runId}`);
  try {
    const { workspace, conflicts } = await openWorkspace({ dir, blobs: of.blobs, sources });
    const merged = await workspace.bundle();
    await rm(of.dir, { recursive: true, force: true });
    await cloneBundle({ ...merged, blobs: of.blobs, dir: of.dir, branch: 'main' });
    // The last one named is the one that did not fit on what was there.
    const unfit = new Set(conflicts.map((conflict) => conflict.labels.at(-1)));
    const labels = sources.map((source) => source.label);
    const phases = labels.filter((label) => !unfit.has(label));
    const leftOut = labels.filter((label) => unfit.has(label));
    return { repository: of.dir, commit: merged.commit, phases, leftOut, conflicts };
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}
