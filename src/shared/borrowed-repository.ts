import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { type GitPlace, OWN_ATTRIBUTES, git } from './git.ts';

/** Nothing may be fetched, whatever a repository says of where it came from. */
export const OFFLINE = { env: { GIT_ALLOW_PROTOCOL: 'none', GIT_NO_LAZY_FETCH: '1' } };

/** The git repository that a folder lies in. */
export async function repositoryOf(folder: string): Promise<GitPlace | undefined> {
  for (let top = folder; ; top = dirname(top)) {
    const path = join(top, '.git');
    const stats = await stat(path).catch(() => undefined);
    if (stats?.isDirectory() === true) return { gitDir: path, workTree: top };
    // A linked work tree, or a submodule, names its folder in a file.
    const named = stats?.isFile() === true ? /^gitdir: (.+)$/m.exec(await readFile(path, 'utf8'))?.[1] : undefined;
    if (named !== undefined) return { gitDir: resolve(top, named), workTree: top };
    if (dirname(top) === top) return undefined;
  }
}

/**
 * A repository of the fleet's own beside theirs, which reads their objects and nothing else of it: the settings of a
 * repository can make git run programs, and this one may be anybody's.
 */
export async function borrowRepository(theirs: GitPlace, gitDir: string): Promise<GitPlace> {
  const [format = '', common = ''] = (
    await git(theirs, ['rev-parse', '--path-format=absolute', '--show-object-format', '--git-common-dir'], OFFLINE)
  ).split('\n');
  const place = { gitDir, workTree: theirs.workTree };
  await git(place, ['init', '--quiet', '--template=', `--object-format=${format}`], OFFLINE);
  for (const folder of ['info', 'objects/info']) await mkdir(join(gitDir, folder), { recursive: true });
  await writeFile(join(gitDir, 'info', 'attributes'), OWN_ATTRIBUTES);
  await writeFile(join(gitDir, 'objects', 'info', 'alternates'), `${join(common, 'objects')}\n`);
  return place;
}
