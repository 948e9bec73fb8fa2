import { z } from 'zod';
import type { RunArchive } from './archive.ts';
import type { ArchiveEntry } from './archive-index.ts';
import { FleetError } from './errors.ts';
import { RunId, runIdBound } from './names.ts';
import type { RunIndex } from './run-index.ts';
import { type PhaseRecord, type RunPlan, RunRecord, type RunStatus, TERMINAL_RUN } from './run-record.ts';
import type { VerdictWord } from './verdict.ts';

/** Which runs are asked for. */
export interface RunFilter {
  /** Only runs older than this one: the `next` of the page before. */
  before?: string;
  statuses?: readonly RunStatus[];
  workflow?: string;
  /** Only runs that this persona has a part in. */
  persona?: string;
  /** Only runs with a phase that stands at this verdict now. */
  verdict?: VerdictWord;
  /** Made at this time or later, and before that one; milliseconds. */
  from?: number;
  to?: number;
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
  store: {
    getRun(runId: string): Promise<RunRecord>;
    getPlan(runId: string): Promise<RunPlan>;
    getPhases(runId: string): Promise<PhaseRecord[]>;
  };
}

/** How many runs are read for one page: a page may be short, or empty, and not be the last. */
const MOST_READ = 1_000;
/** A run is planned a moment after its id was made. */
const SLACK_MS = 60_000;

/** One page of runs, newest first, in Redis and in the archive. Reads the records of that page, and of what it leaves out. */
export async function listRuns(sources: Sources, options: RunFilter & { limit: number }): Promise<RunPage> {
  const runs: RunRecord[] = [];
  const unreadable: string[] = [];
  const oldest = options.from === undefined ? '' : runIdBound(options.from - SLACK_MS);
  let [read, last] = [0, ''];
  for await (const one of listed(sources, options)) {
    if (one.id < oldest) break;
    if (runs.length === options.limit || read === MOST_READ) return { runs, next: RunId.parse(last), unreadable };
    [read, last] = [read + 1, one.id];
    try {
      const run = await one.read();
      if (await fits(sources, run, options)) runs.push(run);
    } catch (err) {
      const isForeign = err instanceof FleetError && err.code === 'UNKNOWN_VERSION';
      if (!(err instanceof z.ZodError || isForeign)) throw err;
      unreadable.push(one.id);
    }
  }
  return { runs, next: null, unreadable };
}

/** What the index cannot tell. */
async function fits({ store }: Sources, run: RunRecord, of: RunFilter): Promise<boolean> {
  const made = Date.parse(run.createdAt);
  if (made < (of.from ?? made) || made >= (of.to ?? Infinity)) return false;
  // Runs that were stored before their personas were noted are asked for their plan.
  if (of.persona !== undefined) {
    const personas = run.personas ?? personasOf(await store.getPlan(run.runId));
    if (!personas.includes(of.persona)) return false;
  }
  if (of.verdict === undefined) return true;
  return (await store.getPhases(run.runId)).some((phase) => verdictOf(phase) === of.verdict);
}

/** Everybody who has a part in a run. */
export const personasOf = ({ phases }: Pick<RunPlan, 'phases'>): string[] => [
  ...new Set(phases.flatMap((phase) => phase.personas)),
];

const verdictOf = ({ status, rounds }: PhaseRecord): VerdictWord | undefined =>
  status === 'not_gated' ? 'not_gated' : rounds.at(-1)?.verdict.verdict;

interface Listed {
  id: string;
  read: () => Promise<RunRecord>;
}

async function* listed(sources: Sources, filter: RunFilter): AsyncGenerator<Listed> {
  const bounds = [filter.before, filter.to === undefined ? undefined : runIdBound(filter.to)];
  const before = bounds.filter((bound) => bound !== undefined).toSorted()[0];
  const of: RunFilter = { ...filter, ...(before === undefined ? {} : { before }) };
  const live = sources.index.ids(of);
  const archived = archivedEntries(sources.archive, of);
  let [next, old] = [await live.next(), await archived.next()];
  while (next.done !== true || old.done !== true) {
    if (next.done !== true && (old.done === true || next.value >= old.value.runId)) {
      const id = next.value;
      yield { id, read: () => sources.store.getRun(id) };
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
