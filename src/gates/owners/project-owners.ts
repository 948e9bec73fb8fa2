import { access, mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { git, tryGit } from '../../shared/git.ts';
import { lastPersonas } from '../../shared/last-personas.ts';
import type { Logger } from '../../shared/logger.ts';
import { Name } from '../../shared/names.ts';
import { readRegularFile } from '../hostile-files.ts';
import type { OwnerOf } from './address-findings.ts';
import { codeOwners } from './code-owners.ts';

const CODEOWNERS = ['.github/CODEOWNERS', 'CODEOWNERS', 'docs/CODEOWNERS', '.gitlab/CODEOWNERS'];
const MAX_CODEOWNERS_BYTES = 3 * 1024 ** 2;
/** Who wrote what before these is not looked up. */
const MOST_COMMITS = 10_000;

/**
 * Who owns the files of a folder: the persona that the last commit on a file names, as the fleet's commits do, or whom
 * CODEOWNERS names. Both are only read to address findings; no verdict rests on them.
 */
export async function projectOwners(root: string, logger: Logger): Promise<OwnerOf> {
  const home = await realpath(root);
  const top = await repositoryOf(home);
  const below = top === undefined ? '' : relative(top, home).split(sep).join('/');
  const personas = top === undefined ? undefined : await personasOf(top, below, logger);
  const owners = await codeOwnersOf(top ?? home);
  return (file) => {
    const persona = Name.safeParse(personas?.get(file));
    return persona.success ? persona.data : owners?.(below === '' ? file : `${below}/${file}`);
  };
}

async function repositoryOf(folder: string): Promise<string | undefined> {
  for (let top = folder; ; top = dirname(top)) {
    const isTop = await access(join(top, '.git')).then(
      () => true,
      () => false,
    );
    if (isTop) return top;
    if (dirname(top) === top) return undefined;
  }
}

async function codeOwnersOf(top: string): Promise<OwnerOf | undefined> {
  for (const name of CODEOWNERS) {
    const bytes = await readRegularFile(join(top, name), MAX_CODEOWNERS_BYTES);
    if (bytes !== undefined) return codeOwners(bytes.toString('utf8'));
  }
  return undefined;
}

/**
 * Reads the history through a git folder of our own that borrows the objects: the settings of a repository can make git
 * run programs, and this one may be anybody's.
 */
async function personasOf(
  top: string,
  folder: string,
  logger: Logger,
): Promise<ReadonlyMap<string, string> | undefined> {
  const own = await mkdtemp(join(tmpdir(), 'maestro-owners-'));
  try {
    const theirs = { gitDir: join(top, '.git'), workTree: top };
    const head = await tryGit(theirs, ['rev-parse', '--verify', '--quiet', 'HEAD']);
    if (head.exitCode !== 0) return undefined;
    const [objects = '', isShallow] = (
      await git(theirs, ['rev-parse', '--git-path', 'objects', '--is-shallow-repository'])
    ).split('\n');
    // The first commit of a shallow history seems to have written every file.
    if (isShallow === 'true') return undefined;
    const place = { gitDir: own, workTree: top };
    await git(place, ['init', '--quiet', '--template=']);
    return await lastPersonas(place, head.stdout.trim(), {
      commits: MOST_COMMITS,
      ...(folder === '' ? {} : { folder: `${folder}/` }),
      env: { GIT_ALTERNATE_OBJECT_DIRECTORIES: resolve(top, objects) },
    });
  } catch (err) {
    logger.warn({ err, repository: top }, 'who wrote which file is not known: its history cannot be read');
    return undefined;
  } finally {
    await rm(own, { recursive: true, force: true });
  }
}
