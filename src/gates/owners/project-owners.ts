import { mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative, sep } from 'node:path';
import { OFFLINE, borrowRepository, repositoryOf } from '../../shared/borrowed-repository.ts';
import { type GitPlace, git, tryGit } from '../../shared/git.ts';
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
  const repository = await repositoryOf(home);
  const below = repository === undefined ? '' : relative(repository.workTree, home).split(sep).join('/');
  const personas = repository === undefined ? undefined : await personasOf(repository, below, logger);
  const owners = await codeOwnersOf(repository?.workTree ?? home);
  return (file) => {
    const persona = Name.safeParse(personas?.get(file));
    return persona.success ? persona.data : owners?.(below === '' ? file : `${below}/${file}`);
  };
}

async function codeOwnersOf(top: string): Promise<OwnerOf | undefined> {
  for (const name of CODEOWNERS) {
    const bytes = await readRegularFile(join(top, name), MAX_CODEOWNERS_BYTES);
    if (bytes !== undefined) return codeOwners(bytes.toString('utf8'));
  }
  return undefined;
}

async function personasOf(
  theirs: GitPlace,
  folder: string,
  logger: Logger,
): Promise<ReadonlyMap<string, string> | undefined> {
  const scratch = await mkdtemp(join(tmpdir(), 'maestro-owners-'));
  try {
    const head = await tryGit(theirs, ['rev-parse', '--verify', '--quiet', 'HEAD'], OFFLINE);
    if (head.exitCode !== 0) return undefined;
    // The first commit of a shallow history seems to have written every file.
    if ((await git(theirs, ['rev-parse', '--is-shallow-repository'], OFFLINE)).trim() === 'true') return undefined;
    return await lastPersonas(await borrowRepository(theirs, join(scratch, 'git')), head.stdout.trim(), {
      commits: MOST_COMMITS,
      ...(folder === '' ? {} : { folder: `${folder}/` }),
      ...OFFLINE,
    });
  } catch (err) {
    logger.warn({ err, repository: theirs.workTree }, 'who wrote which file is not known: its history cannot be read');
    return undefined;
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}
