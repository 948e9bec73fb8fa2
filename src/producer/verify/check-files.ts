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
import { type TreeFile, filesOf, hashesOf } from './tree-files.ts';
import type { Talk } from './transcripts.ts';

const SHOWN = 20;

const keyOf = ({ oid, path }: TreeFile): string => `${oid} ${path}`;

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
      const files = (await filesOf(place, commit)).filter((file) => !seen.has(keyOf(file)));
      for (const file of files) seen.add(keyOf(file));
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
  /** Merges that were done again, and `oid path` of what they made of sides that have origins. */
  readonly #redone = new Set<string>();
  readonly #merged = new Set<string>();

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
    for (const file of await filesOf(this.#place, ref.commit)) this.#given.add(keyOf(file));
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
    const before = new Set((await filesOf(this.#place, `${ref.commit}^`)).map(keyOf));
    for (const file of await filesOf(this.#place, ref.commit))
      if (!before.has(keyOf(file))) this.#given.add(keyOf(file));
  }

  /** Those of a commit's files that have no origin. */
  async without(commit: string, files: readonly TreeFile[]): Promise<string[]> {
    const open = await this.#unknown(files);
    if (open.length > 0) await this.#redoMerges(commit);
    return open.filter((file) => !this.#merged.has(keyOf(file))).map(({ path }) => path);
  }

  /** Those that nobody wrote and nobody gave. */
  async #unknown(files: readonly TreeFile[]): Promise<TreeFile[]> {
    const rest = files.filter((file) => !this.#given.has(keyOf(file)));
    const missing = [...new Set(rest.map(({ oid }) => oid))].filter((oid) => !this.#hashes.has(oid));
    for (const [oid, sha256] of await hashesOf(this.#place, missing)) this.#hashes.set(oid, sha256);
    return rest.filter(({ oid, path }) => !this.#written.has(`${this.#hashes.get(oid)} ${path}`));
  }

  /** Does every merge in the history of a commit again, the oldest first: what one holds is not taken on its word. */
  async #redoMerges(commit: string): Promise<void> {
    const merges = await git(this.#place, ['log', '--merges', '--reverse', '--format=%H %P', commit, '--']);
    for (const line of merges.split('\n').filter(Boolean)) {
      const [merge = '', ...parents] = line.split(' ');
      if (this.#redone.has(merge)) continue;
      this.#redone.add(merge);
      await this.#redo(parents);
    }
  }

  /** Notes the files that git itself makes of two sides, where both sides have origins. */
  async #redo(parents: readonly string[]): Promise<void> {
    // 1 says that sides did not fit: those files hold markers, which nobody hands on.
    const again = await tryGit(this.#place, ['merge-tree', '--write-tree', '--no-messages', ...parents]);
    const [tree = ''] = again.stdout.split('\n');
    if (again.exitCode !== 0 && again.exitCode !== 1) throw gitFailure(['merge-tree'], again);
    const sides = (await Promise.all(parents.map((parent) => filesOf(this.#place, parent)))).flat();
    const old = new Set(sides.map(keyOf));
    const made = (await filesOf(this.#place, tree)).filter((file) => !old.has(keyOf(file)));
    const paths = new Set(made.map(({ path }) => path));
    const from = sides.filter(({ path }) => paths.has(path));
    const open = (await this.#unknown(from)).filter((file) => !this.#merged.has(keyOf(file)));
    const [sided, doubtful] = [from, open].map((files) => new Set(files.map(({ path }) => path)));
    for (const file of made)
      if (sided?.has(file.path) === true && doubtful?.has(file.path) !== true) this.#merged.add(keyOf(file));
  }
}
