import { createHash } from 'node:crypto';
import { lstat, mkdir, readlink, realpath } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import { OFFLINE, borrowRepository, repositoryOf } from '../../shared/borrowed-repository.ts';
import { FleetError } from '../../shared/errors.ts';
import { type GitPlace, git, gitFailure, nulSeparated, tryGit } from '../../shared/git.ts';
import type { ChangedFile } from '../../shared/workspace.ts';
import { type ProjectFiles, listProject } from '../collectors/code/project-files.ts';
import { readRegularFile } from '../hostile-files.ts';
import type { IntegrityInput } from './integrity-context.ts';
import { isTestCode } from './test-files.ts';

const MAX_FILE_BYTES = 256 * 1024 ** 2;
const LARGE_FILE = /^version https:\/\/git-lfs\.github\.com\/spec\/v1\n(?:.*\n)*?oid sha256:([0-9a-f]{64})\n/;

/** What a folder was like at a revision of its git repository, and what became of it since. */
export interface Revision extends Pick<IntegrityInput, 'baseRoot' | 'changed' | 'owners' | 'personas' | 'strayLinks'> {
  ref: string;
  commit: string;
}

/**
 * Reads a folder as it was at a revision: the code before, and the tests handed down. The revision's files come from
 * the repository's objects alone; its settings, filters and hooks have no say.
 */
export async function openRevision(of: { root: string; ref: string; dir: string }): Promise<Revision> {
  const { ref, dir } = of;
  const root = await realpath(of.root);
  const theirs = await repositoryOf(root);
  if (theirs === undefined)
    throw new FleetError('BAD_USAGE', `--against: ${root} is in no git repository`, {
      remedy: 'Run it in a clone, or leave --against out: then tests are not proven to mean something.',
    });
  const found = await tryGit(
    theirs,
    ['rev-parse', '--verify', '--quiet', '--end-of-options', `${ref}^{commit}`],
    OFFLINE,
  );
  const commit = found.stdout.trim();
  if (found.exitCode !== 0 || !/^[0-9a-f]{40,64}$/.test(commit))
    throw new FleetError('BAD_USAGE', `--against ${ref}: the repository of ${root} has no such revision`, {
      remedy: 'Name a branch, a tag or a commit; fetch it first where the clone is shallow.',
    });
  const place = await borrowRepository(theirs, join(dir, 'git'));
  const baseRoot = join(dir, 'base-files');
  await mkdir(baseRoot, { recursive: true });
  await exportFolder(place, commit, relative(theirs.workTree, root), baseRoot);
  const [before, now] = [await listProject(baseRoot), await listProject(root)];
  const changed = await changesBetween({
    baseRoot,
    before,
    root,
    now,
    isIgnored: await ignored(place, root, before, now),
  });
  return {
    ref,
    commit,
    baseRoot,
    changed,
    owners: new Map([...before.files, ...before.irregular].map((file) => [file, `the revision ${ref}`])),
    // Whoever wrote the work since, none of it was theirs at the revision.
    personas: [],
    strayLinks: await strayAmong(root, changed, now),
  };
}

/** Writes one folder of a commit; nothing where the commit has no such folder. */
async function exportFolder(place: GitPlace, commit: string, folder: string, to: string): Promise<void> {
  const tree = `${commit}:${folder.split(sep).join('/')}`;
  const isThere = (await tryGit(place, ['cat-file', '-e', tree], OFFLINE)).exitCode === 0;
  if (!isThere) return;
  const options = { env: { ...OFFLINE.env, GIT_INDEX_FILE: join(place.gitDir, 'export-index') } };
  await git(place, ['read-tree', tree], options);
  await git(place, ['checkout-index', '--all', '--force', `--prefix=${await realpath(to)}${sep}`], options);
}

const isMeasured = (file: string): boolean => isTestCode(file) || file.startsWith('src/');

/**
 * New files that git ignores are leavings of tools, and no part of the work; but whatever a collector would measure is,
 * however it came there.
 */
async function ignored(
  place: GitPlace,
  root: string,
  before: ProjectFiles,
  now: ProjectFiles,
): Promise<(file: string) => boolean> {
  const known = new Set([...before.files, ...before.irregular]);
  const fresh = [...now.files, ...now.irregular].filter((file) => !known.has(file));
  const asked = fresh.filter((file) => file.includes('/__pycache__/') || !isMeasured(file));
  if (asked.length === 0) return () => false;
  const folder = relative(place.workTree, root).split(sep).join('/');
  const pathOf = (file: string): string => (folder === '' ? file : `${folder}/${file}`);
  const args = ['check-ignore', '--no-index', '-z', '--stdin'];
  const stdin = asked.map((file) => `${pathOf(file)}\0`).join('');
  const result = await tryGit(place, args, { ...OFFLINE, stdin });
  // 1 says that none is ignored.
  if (result.exitCode !== 0 && result.exitCode !== 1) throw gitFailure(args, result);
  const said = new Set(nulSeparated(result.stdout));
  const names = new Set(asked.filter((file) => said.has(pathOf(file))));
  return (file) => names.has(file);
}

interface Sides {
  baseRoot: string;
  before: ProjectFiles;
  root: string;
  now: ProjectFiles;
  isIgnored: (file: string) => boolean;
}

async function changesBetween({ baseRoot, before, root, now, isIgnored }: Sides): Promise<ChangedFile[]> {
  const [wasFile, wasLink] = [new Set(before.files), new Set(before.irregular)];
  const [isFile, isLink] = [new Set(now.files), new Set(now.irregular)];
  const changes: ChangedFile[] = [];
  for (const file of [...new Set([...wasFile, ...wasLink, ...isFile, ...isLink])].toSorted()) {
    const was = wasFile.has(file) || wasLink.has(file);
    const is = isFile.has(file) || isLink.has(file);
    if (!was && !isIgnored(file)) changes.push({ status: 'added', file });
    else if (was && !is) changes.push({ status: 'deleted', file });
    else if (was && wasFile.has(file) !== isFile.has(file)) changes.push({ status: 'type-changed', file });
    else if (was && !(await isSame(join(baseRoot, file), join(root, file)))) changes.push({ status: 'modified', file });
  }
  return changes;
}

async function isSame(before: string, now: string): Promise<boolean> {
  const [was, is] = [await lstat(before), await lstat(now)];
  if (was.isSymbolicLink() || is.isSymbolicLink())
    return was.isSymbolicLink() && is.isSymbolicLink() && (await readlink(before)) === (await readlink(now));
  const [old, fresh] = [await readRegularFile(before, MAX_FILE_BYTES), await readRegularFile(now, MAX_FILE_BYTES)];
  if (old === undefined || fresh === undefined) return false;
  if (old.equals(fresh)) return true;
  const pointer = old.length < 1024 ? LARGE_FILE.exec(old.toString('utf8'))?.[1] : undefined;
  return pointer !== undefined && pointer === createHash('sha256').update(fresh).digest('hex');
}

/** Links that were added or changed and lead out of the folder, or nowhere. */
async function strayAmong(
  root: string,
  changed: readonly ChangedFile[],
  { irregular }: ProjectFiles,
): Promise<string[]> {
  const stray: string[] = [];
  for (const { file, status } of changed) {
    if (status === 'deleted' || !irregular.includes(file)) continue;
    const target = await realpath(join(root, file)).catch(() => undefined);
    if (target === undefined || !`${target}${sep}`.startsWith(`${root}${sep}`)) stray.push(file);
  }
  return stray;
}
