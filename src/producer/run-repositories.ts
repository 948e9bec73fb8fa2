import { createHash } from 'node:crypto';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { BlobStore } from '../shared/blob-store.ts';
import { FleetError } from '../shared/errors.ts';
import { fetchBundle } from '../shared/git-bundle.ts';
import { type GitPlace, OWN_ATTRIBUTES, git, tryGit } from '../shared/git.ts';
import type { RunId } from '../shared/names.ts';
import type { CommitRef } from '../shared/run-record.ts';
import type { RunStore } from '../shared/run-store.ts';
import { workOf } from './edit-phase.ts';
import { type HandedOn, mergeHandedOn } from './export-run.ts';

/** Repositories kept at once; the one that was not asked for the longest goes first. */
const MOST_KEPT = 30;

interface Kept {
  place: GitPlace;
  /** Brought up to date by one request at a time. */
  turn: Promise<unknown>;
  /** The merged work, by what it was merged from. */
  merged: { key: string; work: HandedOn } | undefined;
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
      const { work, tips } = await this.#inTurn(kept, async () => ({
        work: await this.#bring(kept, runId, undefined),
        tips: await this.#bringAll(kept, runId),
      }));
      return look({ place: kept.place, work, tips });
    });
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
    return { place, turn: this.#init(place), merged: undefined, users: 0 };
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
    if (work.work === null) return work;
    await this.#fetch(kept.place, work.work);
    if (phase === undefined) await git(kept.place, ['update-ref', 'refs/heads/main', work.work.commit]);
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

  async #bringAll({ place }: Kept, runId: RunId): Promise<CommitRef[]> {
    const records = await this.#store.getPhases(runId);
    const tips = records.flatMap((record) => [
      ...record.rounds.flatMap(({ candidate }) => candidate ?? []),
      ...[workOf(record) ?? []].flat(),
    ]);
    // What comes last builds on what came before, and brings it along.
    for (const tip of tips.toReversed()) await this.#fetch(place, tip);
    const branches = records.flatMap((record) => {
      const work = workOf(record);
      return work === null ? [] : [`update refs/heads/phase/${record.phase} ${work.commit}\n`];
    });
    await git(place, ['update-ref', '--stdin'], { stdin: branches.join('') });
    return tips;
  }

  async #fetch(place: GitPlace, work: CommitRef): Promise<void> {
    const isThere = await tryGit(place, ['cat-file', '-e', `${work.commit}^{commit}`]);
    if (isThere.exitCode !== 0) await fetchBundle(place, work, this.#blobs, `refs/fetched/${work.commit}`);
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

/** The commit of what was asked for. Throws `NOT_FOUND` when nothing has been handed on. */
export function commitOf({ work }: RunRepository, runId: RunId, phase: string | undefined): string {
  if (work.work !== null) return work.work.commit;
  const what = phase === undefined ? `run ${runId} has` : `phase "${phase}" of run ${runId} has`;
  throw new FleetError('NOT_FOUND', `${what} no files yet`);
}
