import { z } from 'zod';
import type { RunArchive } from './archive.ts';
import type { ArchiveEntry } from './archive-index.ts';
import { FleetError } from './errors.ts';
import type { RunId } from './names.ts';
import type { RunIndex } from './run-index.ts';
import { RunRecord, type RunStatus, TERMINAL_RUN } from './run-record.ts';

/** Which runs are asked for. */
export interface RunFilter {
  /** Only runs older than this one: the `next` of the page before. */
  before?: string;
  statuses?: readonly RunStatus[];
  workflow?: string;
}

export interface RunPage {
  runs: RunRecord[];
  /** Pass as `before` to get the next page; null on the last. */
  next: RunId | null;
  /** Runs whose records this version cannot read: named, so that they are neither lost nor in the way of the others. */
  unreadable: string[];
}

interface Sources {
  index: RunIndex;
  archive: RunArchive | undefined;
  getRun(runId: string): Promise<RunRecord>;
}

/** One page of runs, newest first, in Redis and in the archive. Reads the records of that page alone. */
export async function listRuns(sources: Sources, options: RunFilter & { limit: number }): Promise<RunPage> {
  const runs: RunRecord[] = [];
  const unreadable: string[] = [];
  for await (const { id, read } of listed(sources, options)) {
    if (runs.length === options.limit) return { runs, next: runs.at(-1)?.runId ?? null, unreadable };
    const run = await read().catch((err: unknown) => {
      const isForeign = err instanceof FleetError && err.code === 'UNKNOWN_VERSION';
      if (!(err instanceof z.ZodError || isForeign)) throw err;
      unreadable.push(id);
    });
    if (run !== undefined) runs.push(run);
  }
  return { runs, next: null, unreadable };
}

interface Listed {
  id: string;
  read: () => Promise<RunRecord>;
}

async function* listed(sources: Sources, of: RunFilter): AsyncGenerator<Listed> {
  const live = sources.index.ids(of);
  const archived = archivedEntries(sources.archive, of);
  let [next, old] = [await live.next(), await archived.next()];
  while (next.done !== true || old.done !== true) {
    if (next.done !== true && (old.done === true || next.value >= old.value.runId)) {
      const id = next.value;
      yield { id, read: () => sources.getRun(id) };
      // A run that leaves Redis while it is listed stands in both.
      if (old.done !== true && old.value.runId === id) old = await archived.next();
      next = await live.next();
    } else if (old.done !== true) {
      const { runId, run } = old.value;
      yield { id: runId, read: async () => RunRecord.parse(run) };
      old = await archived.next();
    }
  }
}

async function* archivedEntries(archive: RunArchive | undefined, of: RunFilter): AsyncGenerator<ArchiveEntry> {
  const statuses = (of.statuses ?? TERMINAL_RUN).filter((status) => TERMINAL_RUN.includes(status));
  if (archive === undefined || statuses.length === 0) return;
  for await (const entry of archive.index.entries({ ...of, statuses }))
    if (of.workflow === undefined || of.workflow === entry.workflow) yield entry;
}
