import { join } from 'node:path';
import type { BlobStore } from '../shared/blob-store.ts';
import { FleetError } from '../shared/errors.ts';
import { commitFolder } from '../shared/folder-commit.ts';
import type { RunId } from '../shared/names.ts';
import type { CommitRef, PhaseRecord } from '../shared/run-record.ts';
import type { RunStore } from '../shared/run-store.ts';

/** The work of a phase as it stands: what it handed on, or else what was judged last. */
export function workOf(record: PhaseRecord): CommitRef | null {
  if (record.commit !== null && record.bundle !== null) return { commit: record.commit, bundle: record.bundle };
  return record.rounds.findLast((round) => round.candidate !== undefined)?.candidate ?? null;
}

/** Makes a commit of a person's edits to a phase: the files in `folder` take the place of its own. */
export async function editPhase(of: {
  store: RunStore;
  blobs: BlobStore;
  runId: RunId;
  phase: string;
  folder: string;
  by: string;
  scratch: string;
}): Promise<CommitRef> {
  const work = workOf(await of.store.getPhase(of.runId, of.phase));
  if (work === null)
    throw new FleetError('CONFLICT', `phase "${of.phase}" has no work yet that could be edited`, {
      remedy: 'Resume the run without edits.',
    });
  return commitFolder({
    blobs: of.blobs,
    base: { label: of.phase, ...work },
    folder: of.folder,
    scratch: join(of.scratch, `edit-${of.runId}-${of.phase}`),
    message: `${of.phase}: edits by ${of.by}`,
    by: of.by,
    trailers: { Run: of.runId, Phase: of.phase, 'Edited-By': of.by.replaceAll(/\s+/g, ' ') },
  });
}
