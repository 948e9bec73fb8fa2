import { lstat, mkdir, opendir, realpath, rm } from 'node:fs/promises';
import { join, sep } from 'node:path';
import type { BlobStore } from './blob-store.ts';
import { FleetError } from './errors.ts';
import { type BundledCommit, fetchBundle, storeBundle } from './git-bundle.ts';
import {
  FLEET_IDENTITY,
  type GitPlace,
  OWN_ATTRIBUTES,
  git,
  gitFailure,
  gitScript,
  identities,
  nulSeparated,
  tryGit,
} from './git.ts';
import { lastPersonas } from './last-personas.ts';
import { runProcess } from './process.ts';
import { writeFileInside } from './workspace-path.ts';

export { cloneBundle } from './git-bundle.ts';

/** A commit that a workspace is made from. */
export interface Source extends BundledCommit {
  /** For messages: the phase that made it. */
  label: string;
}

/** A file that more than one source changed. */
export interface SharedFile {
  file: string;
  labels: string[];
}

export interface ChangedFile {
  status: 'added' | 'modified' | 'deleted' | 'type-changed';
  file: string;
}

const STATUS: Readonly<Record<string, ChangedFile['status']>> = {
  A: 'added',
  M: 'modified',
  D: 'deleted',
  T: 'type-changed',
};

/** Every workspace without sources starts from this moment, so that its first commit is the same one everywhere. */
const BEGINNING = '2000-01-01T00:00:00Z';

/**
 * Makes a private work tree in `dir` from the commits of the phases before it, merged in the order given.
 * The same sources give the same commit on every machine. What two of them changed is looked for before they are merged:
 * `conflicts` are changes that do not fit together, `overlaps` those that git could merge line by line, which says nothing
 * of whether they make sense together.
 */
export async function openWorkspace(options: {
  dir: string;
  blobs: BlobStore;
  sources: readonly Source[];
  /** Merged first, before the sources. */
  base?: Source | undefined;
  /** A source that does not fit is left out, or merged all the same, with conflict markers for somebody to resolve. */
  onConflict?: 'leave_out' | 'mark';
}): Promise<{ workspace: Workspace; conflicts: SharedFile[]; overlaps: SharedFile[] }> {
  const place: GitPlace = { gitDir: join(options.dir, 'git'), workTree: join(options.dir, 'tree') };
  for (const folder of [place.gitDir, place.workTree]) await rm(folder, { recursive: true, force: true });
  for (const folder of [place.gitDir, place.workTree]) await mkdir(folder, { recursive: true });
  const [first, ...others] = options.base === undefined ? options.sources : [options.base, ...options.sources];
  await writeFileInside(place.gitDir, 'info/attributes', OWN_ATTRIBUTES);
  if (first === undefined) {
    const env = identities(FLEET_IDENTITY, BEGINNING);
    await gitScript(place, { name: 'init', script: `${INIT}${EMPTY_ROOT}` }, { env });
  } else {
    await gitScript(place, { name: 'init', script: INIT });
    await fetchBundle(place, first, options.blobs, refOf(0));
    await checkOut(place, first.commit);
  }
  const conflicts: SharedFile[] = [];
  const overlaps: SharedFile[] = [];
  const merged = first === undefined ? [] : [first];
  for (const source of others) {
    await fetchBundle(place, source, options.blobs, refOf(options.sources.indexOf(source) + 1));
    const both = await changedOnBothSides(place, source.commit);
    const files = await merge(place, source, options.onConflict ?? 'leave_out');
    for (const file of files) conflicts.push({ file, labels: await labelsOf(place, file, merged, source) });
    if (files.length > 0 && options.onConflict !== 'mark') continue;
    for (const file of both.filter((name) => !files.includes(name)))
      overlaps.push({ file, labels: await labelsOf(place, file, merged, source) });
    merged.push(source);
  }
  return { workspace: new Workspace(place, options.blobs), conflicts, overlaps };
}

/** Files that the branch and a commit have both changed since they parted, and not to the same. */
async function changedOnBothSides(place: GitPlace, commit: string): Promise<string[]> {
  const base = (await git(place, ['merge-base', 'HEAD', commit])).trim();
  const changed = async (from: string, to: string): Promise<string[]> =>
    nulSeparated(await git(place, ['diff', '--name-only', '--no-renames', '-z', '--end-of-options', from, to, '--']));
  const theirs = new Set(await changed(base, commit));
  const different = theirs.size === 0 ? new Set<string>() : new Set(await changed('HEAD', commit));
  return (await changed(base, 'HEAD')).filter((file) => theirs.has(file) && different.has(file)).toSorted();
}

const refOf = (index: number): string => `refs/sources/${index}`;

const INIT = `
git init --quiet --template= --initial-branch=main
`;
const CHECK_OUT = `
git update-ref refs/heads/main "$1"
git reset --quiet --hard refs/heads/main
`;
const EMPTY_ROOT = `
tree=$(git mktree </dev/null)
set -- "$(echo Beginning | git commit-tree "$tree")"
${CHECK_OUT}`;

const checkOut = (place: GitPlace, commit: string): Promise<string> =>
  gitScript(place, { name: 'checkout', script: CHECK_OUT, args: [commit] });

/** Merges a source into the branch. Returns the files in conflict; the branch is then as before, or holds their markers. */
async function merge(place: GitPlace, source: Source, onConflict: 'leave_out' | 'mark'): Promise<string[]> {
  const dates = await git(place, ['show', '--no-patch', '--format=%ct', 'HEAD', source.commit]);
  const newest = Math.max(...dates.trim().split('\n').map(Number));
  const env = identities(FLEET_IDENTITY, `@${newest} +0000`);
  const args = ['merge', '--quiet', '--no-edit', '-m', `Merge ${source.label}`, source.commit];
  const result = await tryGit(place, args, { env });
  if (result.exitCode === 0) return [];
  const files = nulSeparated(await git(place, ['diff', '--name-only', '--diff-filter=U', '-z']));
  if (files.length === 0) throw gitFailure(args, result);
  if (onConflict === 'leave_out') await git(place, ['merge', '--abort']);
  else {
    await git(place, ['add', '--all', '--', '.']);
    await git(place, ['commit', '--quiet', '--no-verify', '-m', `Merge ${source.label}, with conflicts to resolve`], {
      env,
    });
  }
  return files.toSorted();
}

/** The earlier sources that changed the file as well, and this one. */
async function labelsOf(place: GitPlace, file: string, merged: readonly Source[], source: Source): Promise<string[]> {
  const rivals: string[] = [];
  for (const other of merged) {
    const base = (await git(place, ['merge-base', other.commit, source.commit])).trim();
    const diff = await tryGit(place, ['diff', '--quiet', base, other.commit, '--', `:(top,literal)${file}`]);
    if (diff.exitCode !== 0) rivals.push(other.label);
  }
  // After a rename no source needs to have touched this very path: then any of them may be the other side.
  return [...(rivals.length > 0 ? rivals : merged.map(({ label }) => label)), source.label];
}

/** Commits the files as they are, with the message from stdin; prints commit and tree, or nothing when none is needed. */
const COMMIT = `
git add --all -- . </dev/null
tree=$(git write-tree </dev/null)
if [ "$tree" = "$(git rev-parse --verify "$3^{tree}" </dev/null)" ]; then exit 0; fi
commit=$(git commit-tree "$tree" -p "$2")
git update-ref refs/heads/main "$commit" "$1"
echo "$commit $tree"
`;
const EXPORT = `
git read-tree HEAD
git checkout-index --all --force "--prefix=$1"
git ls-files --stage -z
`;

/** A work tree of one job. Git's own folder lies beside it, out of reach for what runs in the tree. */
export class Workspace {
  /** The folder with the files. */
  readonly dir: string;
  readonly #place: GitPlace;
  readonly #blobs: BlobStore;
  #standing: { commit: string; tree: string } | undefined;
  #bundled: BundledCommit | undefined;

  constructor(place: GitPlace, blobs: BlobStore) {
    this.dir = place.workTree;
    this.#place = place;
    this.#blobs = blobs;
  }

  async head(): Promise<string> {
    return (await this.#stand()).commit;
  }

  /** The hash of all committed files: equal trees have equal files. */
  async tree(): Promise<string> {
    return (await this.#stand()).tree;
  }

  /** Only this object moves the branch: git is asked once after each move. */
  async #stand(): Promise<{ commit: string; tree: string }> {
    if (this.#standing !== undefined) return this.#standing;
    const [commit = '', tree = ''] = (await git(this.#place, ['show', '--no-patch', '--format=%H %T', 'HEAD']))
      .trim()
      .split(' ');
    this.#standing = { commit, tree };
    return this.#standing;
  }

  /** Committed files that still hold conflict markers. */
  async conflictMarkers(): Promise<string[]> {
    const args = ['grep', '-I', '--name-only', '-z', '-E', '^(<{7}|>{7}) ', 'HEAD'];
    const result = await tryGit(this.#place, args);
    // 1 says that there are none.
    if (result.exitCode === 1) return [];
    if (result.exitCode !== 0) throw gitFailure(args, result);
    return nulSeparated(result.stdout).map((name) => name.replace(/^HEAD:/, ''));
  }

  /** What changed in commits since another commit. */
  async changedFiles(since: string): Promise<ChangedFile[]> {
    const args = ['diff', '--name-status', '--no-renames', '-z', '--end-of-options', since, 'HEAD', '--'];
    const parts = nulSeparated(await git(this.#place, args));
    return parts.flatMap((letter, index) => {
      const status = STATUS[letter];
      const file = parts[index + 1];
      return index % 2 === 0 && status !== undefined && file !== undefined ? [{ status, file }] : [];
    });
  }

  /** Who last changed each file in the history of a commit: the persona named in the trailers of the change. */
  lastPersonas(commit: string): Promise<ReadonlyMap<string, string>> {
    return lastPersonas(this.#place, commit);
  }

  /** Every file that is or would be committed; nested repositories as folders. Undefined when the list is too long. */
  async kept(): Promise<string[] | undefined> {
    const args = ['ls-files', '-z', '--cached', '--others', '--exclude-standard'];
    const result = await tryGit(this.#place, args);
    if (result.truncated) return undefined;
    if (result.exitCode !== 0) throw gitFailure(args, result);
    return nulSeparated(result.stdout);
  }

  /** Those of some paths that are not ignored. */
  async notIgnored(paths: readonly string[]): Promise<string[]> {
    const args = ['check-ignore', '-z', '--stdin'];
    const result = await tryGit(this.#place, args, { stdin: paths.map((path) => `${path}\0`).join('') });
    // 1 says that none is ignored.
    if (result.exitCode !== 0 && result.exitCode !== 1) throw gitFailure(args, result);
    const ignored = new Set(nulSeparated(result.stdout));
    return paths.filter((path) => !ignored.has(path));
  }

  /** Replaces all files by those of a commit that began at this workspace's own. */
  async adopt(saved: BundledCommit): Promise<void> {
    await fetchBundle(this.#place, saved, this.#blobs, 'refs/sources/adopted');
    this.#standing = undefined;
    await checkOut(this.#place, saved.commit);
  }

  /** Replaces all files by those of a commit that is already here, as in a new folder: what is ignored is gone as well. */
  async returnTo(commit: string): Promise<void> {
    this.#standing = undefined;
    await checkOut(this.#place, commit);
    await git(this.#place, ['clean', '--quiet', '--force', '--force', '-d', '-x']);
  }

  /** Commits every file that is not ignored. Returns null when nothing changed. */
  async commitAll(options: {
    /** The commit to build on instead of the last one: what was committed since becomes one commit. */
    onto?: string;
    /** What the files are compared with: the commit that is built on, or the last one. */
    changedSince?: 'onto' | 'last';
    message: string;
    trailers: Readonly<Record<string, string>>;
    author: { name: string; email: string };
    date: string;
  }): Promise<string | null> {
    const message = withTrailers(options.message, options.trailers);
    await makeReadable(this.dir);
    await removeNestedGit(this.dir);
    const head = await this.head();
    const env = identities(options.author, options.date);
    const { onto = head, changedSince = 'onto' } = options;
    const args = [head, onto, changedSince === 'onto' ? onto : head];
    const made = await gitScript(this.#place, { name: 'commit', script: COMMIT, args }, { stdin: message, env });
    const [commit, tree] = made.trim().split(' ');
    if (commit === undefined || tree === undefined) return null;
    this.#standing = { commit, tree };
    return commit;
  }

  /** Puts the last commit with its whole history into the blob store. */
  async bundle(): Promise<BundledCommit> {
    // The same commit is the same bundle, which is in the store by then.
    if (this.#bundled === undefined || this.#bundled.commit !== (await this.head()))
      this.#bundled = await storeBundle(this.#place, this.#blobs);
    return this.#bundled;
  }

  /** Writes the committed files into an empty or new folder, as plain files. Links that lead out of it, or nowhere, are left out. */
  async exportTo(dir: string): Promise<{ leftOut: string[] }> {
    await mkdir(dir, { recursive: true });
    const root = await realpath(dir);
    const env = { GIT_INDEX_FILE: join(this.#place.gitDir, 'export-index') };
    const args = [`${root}${sep}`];
    const listed = nulSeparated(await gitScript(this.#place, { name: 'checkout', script: EXPORT, args }, { env }));
    const links = listed.filter((line) => line.startsWith('120000 ')).map((line) => line.slice(line.indexOf('\t') + 1));
    const leftOut: string[] = [];
    for (const link of links) if (!(await staysInside(root, join(root, link)))) leftOut.push(link);
    for (const link of leftOut) await rm(join(root, link), { force: true });
    return { leftOut };
  }
}

/** A link that leads to nothing stays no more than one that leads out: nothing can be said of where it would lead. */
async function staysInside(root: string, link: string): Promise<boolean> {
  const target = await realpath(link).catch(() => undefined);
  return target !== undefined && (target === root || target.startsWith(root + sep));
}

function withTrailers(message: string, trailers: Readonly<Record<string, string>>): string {
  const lines = Object.entries(trailers).map(([name, value]) => {
    if (!/^[A-Za-z][A-Za-z0-9-]*$/.test(name) || /[\r\n\0]/.test(value)) {
      throw new FleetError('BAD_INPUT', `"${name}" is no valid commit trailer: one word and one line are needed`);
    }
    return `${name}: ${value}`;
  });
  return `${message.replaceAll('\0', '').trim()}\n${lines.length > 0 ? `\n${lines.join('\n')}\n` : ''}`;
}

/** Sandboxed commands may leave files that their own owner cannot read. Links are not followed. */
async function makeReadable(dir: string): Promise<void> {
  if (process.getuid?.() === 0) return;
  const argv = ['chmod', '-R', 'u+rwX', '--', dir];
  const env = { PATH: '/usr/bin:/bin' };
  const result = await runProcess({ argv, cwd: dir, env, timeoutMs: 60_000, outputBytes: 10_000 });
  if (result.exitCode === 0) return;
  throw new FleetError('GIT_FAILED', `${dir} cannot be read: ${result.stderr.trim()}`);
}

/** A repository inside the tree would become a submodule that nobody can fetch, and hide its files from review. */
async function removeNestedGit(dir: string): Promise<void> {
  for await (const entry of await opendir(dir)) {
    const path = join(dir, entry.name);
    if (entry.name.toLowerCase() === '.git') await rm(path, { recursive: true, force: true });
    else if (entry.isDirectory() && !(await lstat(path)).isSymbolicLink()) await removeNestedGit(path);
  }
}
