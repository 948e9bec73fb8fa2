import { createHash } from 'node:crypto';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { BlobStore } from '../shared/blob-store.ts';
import { FleetError } from '../shared/errors.ts';
import { fetchBundle } from '../shared/git-bundle.ts';
import { type GitPlace, OWN_ATTRIBUTES, git, streamGit } from '../shared/git.ts';
import type { RunId } from '../shared/names.ts';
import type { CommitRef } from '../shared/run-record.ts';
import type { RunStore } from '../shared/run-store.ts';
import { workOf } from './edit-phase.ts';
import { type HandedOn, mergeHandedOn } from './export-run.ts';

/** Repositories kept at once; the one that was not asked for the longest goes first. */
const MOST_KEPT = 30;
const MOST_STREAMS = 32;

interface Kept {
  place: GitPlace;
  /** Brought up to date by one request at a time. */
  turn: Promise<unknown>;
  /** The merged work, by what it was merged from. */
  merged: { key: string; work: HandedOn } | undefined;
  /** Commits that are known to be in it. */
  readonly known: Set<string>;
  /** What its branches were last set to. */
  branches: string;
  users: number;
}

/** A run's work as a git repository without files, for as long as it is used. */
export interface RunRepository {
  place: GitPlace;
  /** What the run, or the phase that was asked for, has handed on so far. */
  work: HandedOn;
}

/** Repositories of runs, made of their bundles when somebody looks at their files, and kept while they are looked at. */
export class RunRepositories {
  readonly #store: RunStore;
  readonly #blobs: BlobStore;
  readonly #scratch: string;
  /** In the order of their last use. */
  readonly #kept = new Map<RunId, Kept>();
  #begun = 0;
  #streams = 0;

  constructor(of: { store: RunStore; blobs: BlobStore; scratch: string }) {
    this.#store = of.store;
    this.#blobs = of.blobs;
    this.#scratch = of.scratch;
  }

  /** The work of a run, or of one of its phases; of that phase also when its gates have blocked it. */
  use<T>(runId: RunId, phase: string | undefined, look: (repository: RunRepository) => Promise<T>): Promise<T> {
    return this.#hold(runId, async (kept) => {
      const work = await this.#inTurn(kept, () => this.#bring(kept, runId, phase));
      return look({ place: kept.place, work });
    });
  }

  /** Everything that was ever judged in a run; `main` and a branch for each phase name what can be cloned. */
  useAll<T>(
    runId: RunId,
    look: (repository: RunRepository & { tips: readonly CommitRef[] }) => Promise<T>,
  ): Promise<T> {
    return this.#hold(runId, async (kept) => {
      const { work, tips } = await this.#inTurn(kept, async () => {
        const merged = await this.#bring(kept, runId, undefined);
        return { work: merged, tips: await this.#bringAll(kept, runId, merged.work) };
      });
      return look({ place: kept.place, work, tips });
    });
  }

  /** Sends what git prints. Only so many at once: whoever comes too many is told so, and does not wait behind slow readers. */
  async stream(...of: Parameters<typeof streamGit>): Promise<void> {
    if (this.#streams >= MOST_STREAMS)
      throw new FleetError('RATE_LIMITED', `${MOST_STREAMS} downloads are under way already`, {
        remedy: 'Try again when some of them have ended.',
      });
    this.#streams += 1;
    try {
      await streamGit(...of);
    } finally {
      this.#streams -= 1;
    }
  }

  async #hold<T>(runId: RunId, use: (kept: Kept) => Promise<T>): Promise<T> {
    // A run that is not there is refused before anything is made for it.
    await this.#store.getRun(runId);
    const kept = this.#kept.get(runId) ?? this.#begin(runId);
    this.#kept.delete(runId);
    this.#kept.set(runId, kept);
    kept.users += 1;
    try {
      return await use(kept);
    } finally {
      kept.users -= 1;
      await this.#forgetOldest();
    }
  }

  #begin(runId: RunId): Kept {
    // One that is being removed may still lie there.
    this.#begun += 1;
    const folder = join(this.#scratch, `${runId}-${this.#begun}`);
    const place: GitPlace = { gitDir: join(folder, 'git'), workTree: folder };
    return { place, turn: this.#init(place), merged: undefined, known: new Set(), branches: '', users: 0 };
  }

  async #init(place: GitPlace): Promise<void> {
    await rm(place.workTree, { recursive: true, force: true });
    await mkdir(place.workTree, { recursive: true });
    await git(place, ['init', '--quiet', '--template=', '--initial-branch=main']);
    await mkdir(join(place.gitDir, 'info'), { recursive: true });
    await writeFile(join(place.gitDir, 'info', 'attributes'), OWN_ATTRIBUTES);
  }

  /** A failure belongs to the request that met it; the next one tries anew. */
  #inTurn<T>(kept: Kept, work: () => Promise<T>): Promise<T> {
    const mine = kept.turn.then(work);
    kept.turn = mine.catch(() => undefined);
    return mine;
  }

  async #bring(kept: Kept, runId: RunId, phase: string | undefined): Promise<HandedOn> {
    const work = await this.#merged(kept, runId, phase);
    if (work.work !== null) await this.#fetch(kept, [work.work]);
    return work;
  }

  /** Merging costs a work tree, and is done once for what has been handed on. */
  async #merged(kept: Kept, runId: RunId, phase: string | undefined): Promise<HandedOn> {
    const merge = (): Promise<HandedOn> =>
      mergeHandedOn({
        store: this.#store,
        blobs: this.#blobs,
        runId,
        phase,
        scratch: join(kept.place.workTree, 'merge'),
      });
    if (phase !== undefined) return merge();
    const phases = await this.#store.getPhases(runId);
    const state = phases.map(({ phase: name, status, commit }) => [name, status, commit]);
    const key = createHash('sha256').update(JSON.stringify(state)).digest('hex');
    if (kept.merged?.key !== key) kept.merged = { key, work: await merge() };
    return kept.merged.work;
  }

  async #bringAll(kept: Kept, runId: RunId, main: CommitRef | null): Promise<CommitRef[]> {
    const records = await this.#store.getPhases(runId);
    const tips = records.flatMap((record) => [
      ...record.rounds.flatMap(({ candidate }) => candidate ?? []),
      ...[workOf(record) ?? []].flat(),
    ]);
    await this.#fetch(kept, tips);
    const named = records.map((record): [string, CommitRef | null] => [`phase/${record.phase}`, workOf(record)]);
    const branches = [['main', main] as const, ...named].flatMap(([name, work]) =>
      work === null ? [] : [`update refs/heads/${name} ${work.commit}\n`],
    );
    const text = branches.join('');
    if (text !== kept.branches) await git(kept.place, ['update-ref', '--stdin'], { stdin: text });
    kept.branches = text;
    return tips;
  }

  /** Fetches what is not there yet. What comes last builds on what came before, and brings it along. */
  async #fetch(kept: Kept, works: readonly CommitRef[]): Promise<void> {
    for (let missing = await missingOf(kept, works), last = missing.pop(); last !== undefined; last = missing.pop()) {
      await fetchBundle(kept.place, last, this.#blobs, `refs/fetched/${last.commit}`);
      kept.known.add(last.commit);
      missing = await missingOf(kept, missing);
    }
  }

  async #forgetOldest(): Promise<void> {
    for (const [runId, { users, place }] of this.#kept) {
      if (this.#kept.size <= MOST_KEPT) return;
      if (users > 0) continue;
      this.#kept.delete(runId);
      await rm(place.workTree, { recursive: true, force: true });
    }
  }
}

/** Those that a repository does not hold; one program tells, and what is known is not asked again. */
async function missingOf({ place, known }: Kept, works: readonly CommitRef[]): Promise<CommitRef[]> {
  const asked = works.filter(({ commit }) => !known.has(commit));
  if (asked.length === 0) return [];
  const stdin = asked.map(({ commit }) => `${commit}\n`).join('');
  const answers = (await git(place, ['cat-file', '--batch-check'], { stdin })).split('\n');
  const missing = asked.filter((_work, index) => answers[index]?.endsWith(' missing') !== false);
  for (const work of asked) if (!missing.includes(work)) known.add(work.commit);
  return missing;
}

/** The commit of what was asked for. Throws `NOT_FOUND` when nothing has been handed on. */
export function commitOf({ work }: RunRepository, runId: RunId, phase: string | undefined): string {
  if (work.work !== null) return work.work.commit;
  const what = phase === undefined ? `run ${runId} has` : `phase "${phase}" of run ${runId} has`;
  throw new FleetError('NOT_FOUND', `${what} no files yet`);
}
