import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { FleetError, errorMessage } from './errors.ts';
import { readIfPresent } from './file-lock.ts';
import type { Logger } from './logger.ts';

const run = promisify(execFile);
const LISTS = '/var/lib/apt/lists';
const OUTPUT_BYTES = 64 * 1024 ** 2;

interface Options {
  packages: readonly string[];
  /** Shared by all projects of this user. */
  cache: string;
  logger: Logger;
  /** False: only what was unpacked before is used. */
  fetch?: boolean;
}

/**
 * Downloads Debian packages, with those of their dependencies that this machine lacks, and unpacks them into a folder
 * of the cache. Needs no root and changes nothing on the system. Returns the folder, with `usr/bin` and so on in it.
 */
export async function unpackDebianPackages({ packages, cache, logger, fetch = true }: Options): Promise<string> {
  const wanted = [...new Set(packages)].toSorted();
  const what = wanted.join(', ');
  const system = await debianSystem(what);
  const digest = createHash('sha256')
    .update([system, ...wanted].join('\n'))
    .digest('hex')
    .slice(0, 16);
  const target = join(cache, 'debian', digest);
  if (await isFolder(target)) return target;
  if (!fetch) throw unavailable(what, 'were not unpacked here yet', undefined);
  logger.info({ packages: wanted }, 'downloading Debian packages');
  try {
    await mkdir(join(cache, 'debian'), { recursive: true });
    const work = await mkdtemp(join(cache, 'debian', 'partial-'));
    try {
      await downloadAndUnpack(wanted, work);
      await settle(join(work, 'tree'), target);
    } finally {
      await rm(work, { recursive: true, force: true });
    }
    return target;
  } catch (err) {
    throw unavailable(what, `could not be downloaded and unpacked: ${commandError(err)}`, err);
  }
}

/** Release and architecture, both of which decide what a package holds. */
async function debianSystem(what: string): Promise<string> {
  try {
    const { stdout } = await run('dpkg', ['--print-architecture']);
    await run('apt-get', ['--version']);
    const release = (await readIfPresent('/etc/os-release')) ?? '';
    return `${/^ID=.*$/m.exec(release)?.[0]} ${/^VERSION_ID=.*$/m.exec(release)?.[0]} ${stdout.trim()}`;
  } catch (err) {
    throw unavailable(what, 'cannot be fetched, because apt-get and dpkg are not here', err);
  }
}

async function downloadAndUnpack(wanted: readonly string[], work: string): Promise<void> {
  const debs = join(work, 'debs');
  const tree = join(work, 'tree');
  await mkdir(debs);
  await mkdir(tree);
  const options = await aptOptions(work);
  const plan = await apt([...options, '--simulate', '--no-install-recommends', 'install', ...wanted], debs);
  const missing = [...plan.matchAll(/^Inst (\S+)/gm)].map((match) => match[1] ?? '');
  await apt([...options, 'download', ...new Set([...wanted, ...missing])], debs);
  const files = (await readdir(debs)).filter((file) => file.endsWith('.deb'));
  for (const file of files) await run('dpkg-deb', ['-x', join(debs, file), tree], { maxBuffer: OUTPUT_BYTES });
}

/** Slim images ship without package lists: then they are fetched into a folder of our own, as any user may. */
async function aptOptions(work: string): Promise<string[]> {
  const options = ['--quiet', '-o', 'APT::Sandbox::User=root', '-o', `Dir::Cache=${join(work, 'cache')}`];
  const lists = await readdir(LISTS).catch(() => []);
  if (lists.some((name) => /_Packages(\.\w+)?$/.test(name))) return options;
  const own = join(work, 'lists');
  await mkdir(join(own, 'partial'), { recursive: true });
  const withLists = [...options, '-o', `Dir::State::lists=${own}`];
  await apt([...withLists, 'update'], work);
  return withLists;
}

async function apt(args: readonly string[], cwd: string): Promise<string> {
  const { stdout } = await run('apt-get', [...args], { cwd, maxBuffer: OUTPUT_BYTES, timeout: 300_000 });
  return stdout;
}

/** Of several processes that unpack the same packages at once, the first to finish wins and the others use its tree. */
async function settle(tree: string, target: string): Promise<void> {
  try {
    await rename(tree, target);
  } catch (err) {
    if (!(await isFolder(target))) throw err;
  }
}

const isFolder = async (path: string): Promise<boolean> =>
  readdir(path).then(
    () => true,
    () => false,
  );

/** apt-get says what is wrong on stderr, on lines that begin with `E:`. */
function commandError(err: unknown): string {
  const stderr = err instanceof Error && 'stderr' in err ? String(err.stderr) : '';
  const said = stderr.split('\n').filter((line) => line.startsWith('E: '));
  return said.length > 0 ? said.join(' ') : errorMessage(err);
}

const unavailable = (what: string, why: string, cause: unknown): FleetError =>
  new FleetError('TOOL_UNAVAILABLE', `the Debian packages ${what} ${why}`, {
    cause,
    remedy: `Install ${what} with this system's package manager, or connect to the package archive and try again.`,
  });

/** Folders of shared libraries in an unpacked tree, for `LD_LIBRARY_PATH`. */
export async function libraryFolders(tree: string): Promise<string[]> {
  const parents = [join(tree, 'usr', 'lib'), join(tree, 'lib')];
  const found = await Promise.all(
    parents.map(async (parent) => {
      const names = await readdir(parent).catch(() => []);
      return names.filter((name) => name.includes('-linux-')).map((name) => join(parent, name));
    }),
  );
  return found.flat();
}
