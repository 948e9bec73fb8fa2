import { type GitOptions, type GitPlace, git } from './git.ts';

/**
 * Who last changed each file in the history of a commit: the persona named in the trailers of the change, or nothing
 * when that change names none.
 */
export async function lastPersonas(
  place: GitPlace,
  commit: string,
  /** Only the last commits of a long history, and only the files below a folder, as seen from there. */
  only: { commits?: number; folder?: string } & GitOptions = {},
): Promise<ReadonlyMap<string, string>> {
  const format = '--format=%x00by %(trailers:key=Persona,valueonly,separator=%x2C)';
  const limits = [
    ...(only.commits === undefined ? [] : [`--max-count=${only.commits}`]),
    ...(only.folder === undefined ? [] : [`--relative=${only.folder}`]),
  ];
  const args = ['log', '-z', '--no-merges', '--no-renames', '--name-only', ...limits, format];
  const personas = new Map<string, string>();
  let persona = '';
  let isHead = false;
  for (const part of (await git(place, [...args, '--end-of-options', commit, '--'], only)).split('\0')) {
    // No path is empty: an empty part begins a commit, and its head follows.
    if (part === '') isHead = true;
    else if (isHead) [persona, isHead] = [part.slice('by '.length), false];
    else {
      const file = part.replace(/^\n/, '');
      if (!personas.has(file)) personas.set(file, persona);
    }
  }
  return personas;
}
