import { createHash } from 'node:crypto';
import { lstat, mkdir, readFile, readlink, realpath, stat, writeFile } from 'node:fs/promises';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { FleetError } from '../../shared/errors.ts';
import { type GitPlace, OWN_ATTRIBUTES, git, gitFailure, nulSeparated, tryGit } from '../../shared/git.ts';
import type { ChangedFile } from '../../shared/workspace.ts';
import { type ProjectFiles, listProject } from '../collectors/code/project-files.ts';
import { readRegularFile } from '../hostile-files.ts';
import type { IntegrityInput } from './integrity-context.ts';
import { isTestCode } from './test-files.ts';

const MAX_FILE_BYTES = 256 * 1024 ** 2;
const LARGE_FILE = /^version https:\/\/git-lfs\.github\.com\/spec\/v1\n(?:.*\n)*?oid sha256:([0-9a-f]{64})\n/;
/** Nothing may be fetched, whatever the repository says of where it came from. */
const OFFLINE = { env: { GIT_ALLOW_PROTOCOL: 'none', GIT_NO_LAZY_FETCH: '1' } };

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
  const { gitDir, top } = await repositoryOf(root);
  const theirs: GitPlace = { gitDir, workTree: top };
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
  const place = await ownRepository(theirs, top, join(dir, 'git'));
  const baseRoot = join(dir, 'base-files');
  await mkdir(baseRoot, { recursive: true });
  await exportFolder(place, commit, relative(top, root), baseRoot);
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

async function repositoryOf(root: string): Promise<{ gitDir: string; top: string }> {
  for (let top = root; ; top = dirname(top)) {
    const path = join(top, '.git');
    const stats = await stat(path).catch(() => undefined);
    if (stats?.isDirectory() === true) return { gitDir: path, top };
    // A linked work tree, or a submodule, names its folder in a file.
    const named = stats?.isFile() === true ? /^gitdir: (.+)$/m.exec(await readFile(path, 'utf8'))?.[1] : undefined;
    if (named !== undefined) return { gitDir: resolve(top, named), top };
    if (dirname(top) === top)
      throw new FleetError('BAD_USAGE', `--against: ${root} is in no git repository`, {
        remedy: 'Run it in a clone, or leave --against out: then tests are not proven to mean something.',
      });
  }
}

/** A repository of the fleet's own beside theirs, which reads their objects and nothing else of it. */
async function ownRepository(theirs: GitPlace, top: string, gitDir: string): Promise<GitPlace> {
  const [format = '', common = ''] = (
    await git(theirs, ['rev-parse', '--path-format=absolute', '--show-object-format', '--git-common-dir'], OFFLINE)
  ).split('\n');
  const place = { gitDir, workTree: top };
  await git(place, ['init', '--quiet', '--template=', `--object-format=${format}`], OFFLINE);
  for (const folder of ['info', 'objects/info']) await mkdir(join(gitDir, folder), { recursive: true });
  await writeFile(join(gitDir, 'info', 'attributes'), OWN_ATTRIBUTES);
  await writeFile(join(gitDir, 'objects', 'info', 'alternates'), `${join(common, 'objects')}\n`);
  return place;
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
