import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BlobReader } from '../../shared/blob-store.ts';
import type { RunStatement } from '../../shared/evidence/statement.ts';
import { fetchBundle } from '../../shared/git-bundle.ts';
import { type GitPlace, OWN_ATTRIBUTES, git, gitFailure, tryGit } from '../../shared/git.ts';
import { writeFileInside } from '../../shared/workspace-path.ts';
import { type CommitRef, OPEN_PHASE } from '../../shared/run-record.ts';
import { type EvidenceCheck, checked } from './check.ts';
import { type TreeFile, filesOf, sha256Of } from './tree-files.ts';
import type { Talk } from './transcripts.ts';

const SHOWN = 20;

/**
 * Every file that a phase handed on has an origin: the tool call that wrote these very bytes there, a file that was handed
 * in with the run, an edit of a person, or a merge of git whose sides have origins.
 */
export async function checkFiles(
  blobs: BlobReader,
  statement: RunStatement,
  talks: readonly Talk[],
): Promise<EvidenceCheck> {
  const dir = await mkdtemp(join(tmpdir(), 'maestro-verify-'));
  try {
    const place: GitPlace = { gitDir: join(dir, 'git'), workTree: join(dir, 'tree') };
    for (const folder of [place.gitDir, place.workTree]) await mkdir(folder);
    await git(place, ['init', '--quiet', '--template=', '--initial-branch=main']);
    await writeFileInside(place.gitDir, 'info/attributes', OWN_ATTRIBUTES);
    const origins = await Origins.of(place, blobs, statement, talks);
    const problems: string[] = [];
    const seen = new Set<string>();
    for (const { phase, status, commit, bundle } of statement.predicate.phases) {
      if (!OPEN_PHASE.includes(status) || commit === null || bundle === null) continue;
      await fetchBundle(place, { commit, bundle }, blobs, `refs/phases/${phase}`);
      const files = (await filesOf(place, commit)).filter(({ path, oid }) => !seen.has(`${oid} ${path}`));
      for (const { path, oid } of files) seen.add(`${oid} ${path}`);
      for (const path of await origins.without(commit, files))
        problems.push(
          `${phase}: ${JSON.stringify(path)} as it was handed on comes from no call, no person and no merge`,
        );
    }
    const more = problems.length > SHOWN ? [`and ${problems.length - SHOWN} more`] : [];
    return checked('files', 'files with an origin', {
      examined: seen.size,
      problems: [...problems.slice(0, SHOWN), ...more],
    });
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

/** What is known of where files come from. */
class Origins {
  readonly #place: GitPlace;
  /** `sha256 path` of what a call left behind. */
  readonly #written: ReadonlySet<string>;
  /** `oid path` of what people handed in or edited. */
  readonly #given = new Set<string>();
  readonly #hashes = new Map<string, string>();

  private constructor(place: GitPlace, written: ReadonlySet<string>) {
    this.#place = place;
    this.#written = written;
  }

  static async of(
    place: GitPlace,
    blobs: BlobReader,
    { predicate: { plan, phases } }: RunStatement,
    talks: readonly Talk[],
  ): Promise<Origins> {
    const written = talks.flatMap(({ calls, lineage }) => {
      const answers = new Set(calls.map(({ messageId }) => messageId));
      // A file whose message was never received was written by nobody.
      return lineage.flatMap(({ path, sha256, messageId }) =>
        sha256 !== null && answers.has(messageId) ? [`${sha256} ${path}`] : [],
      );
    });
    const origins = new Origins(place, new Set(written));
    const handedIn = [plan.files, plan.startFrom?.given].flatMap((ref) => ref ?? []);
    for (const [index, ref] of handedIn.entries()) await origins.#take(blobs, ref, `refs/given/${index}`);
    for (const { phase, given } of phases)
      if (given !== undefined) await origins.#takeEdits(blobs, given, `refs/edits/${phase}`);
    return origins;
  }

  async #take(blobs: BlobReader, ref: CommitRef, name: string): Promise<void> {
    await fetchBundle(this.#place, ref, blobs, name);
    for (const { oid, path } of await filesOf(this.#place, ref.commit)) this.#given.add(`${oid} ${path}`);
  }

  /** What a person changed in the work of a phase, which the commit names. */
  async #takeEdits(blobs: BlobReader, ref: CommitRef, name: string): Promise<void> {
    await fetchBundle(this.#place, ref, blobs, name);
    const by = await git(this.#place, [
      'show',
      '--no-patch',
      '--format=%(trailers:key=Edited-By,valueonly)',
      ref.commit,
    ]);
    if (by.trim() === '') return;
    const before = new Set((await filesOf(this.#place, `${ref.commit}^`)).map(({ oid, path }) => `${oid} ${path}`));
    for (const { oid, path } of await filesOf(this.#place, ref.commit))
      if (!before.has(`${oid} ${path}`)) this.#given.add(`${oid} ${path}`);
  }

  /** Those of a commit's files that have no origin. */
  async without(commit: string, files: readonly TreeFile[]): Promise<string[]> {
    const open = await this.#unknown(files);
    if (open.length === 0) return [];
    const merged = await this.#merged(commit);
    return open.filter(({ oid, path }) => !merged.has(`${oid} ${path}`)).map(({ path }) => path);
  }

  async #unknown(files: readonly TreeFile[]): Promise<TreeFile[]> {
    const rest = files.filter(({ oid, path }) => !this.#given.has(`${oid} ${path}`));
    const missing = [...new Set(rest.map(({ oid }) => oid))].filter((oid) => !this.#hashes.has(oid));
    for (const [oid, sha256] of await sha256Of(this.#place, missing)) this.#hashes.set(oid, sha256);
    return rest.filter(({ oid, path }) => !this.#written.has(`${this.#hashes.get(oid)} ${path}`));
  }

  /**
   * `oid path` of files that git itself makes of the two sides of a merge in the history, whose sides have origins. Each
   * merge is done again: what a merge commit holds is not taken on its word.
   */
  async #merged(commit: string): Promise<ReadonlySet<string>> {
    const merges = await git(this.#place, ['log', '--merges', '--reverse', '--format=%H %P', commit, '--']);
    const known = new Set<string>();
    for (const line of merges.split('\n').filter(Boolean)) {
      const [, ...parents] = line.split(' ');
      // 1 says that sides did not fit: those files hold markers, which nobody hands on.
      const again = await tryGit(this.#place, ['merge-tree', '--write-tree', '--no-messages', ...parents]);
      const [tree = ''] = again.stdout.split('\n');
      if (again.exitCode !== 0 && again.exitCode !== 1) throw gitFailure(['merge-tree'], again);
      const sides = await Promise.all(parents.map((parent) => filesOf(this.#place, parent)));
      const old = new Set(sides.flat().map(({ oid, path }) => `${oid} ${path}`));
      const made = (await filesOf(this.#place, tree)).filter(({ oid, path }) => !old.has(`${oid} ${path}`));
      for (const { oid, path } of made) {
        const from = sides.flat().filter((file) => file.path === path);
        const open = (await this.#unknown(from)).filter((file) => !known.has(`${file.oid} ${file.path}`));
        if (from.length > 0 && open.length === 0) known.add(`${oid} ${path}`);
      }
    }
    return known;
  }
}
