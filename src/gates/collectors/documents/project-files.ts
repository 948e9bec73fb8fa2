import { constants } from 'node:fs';
import { lstat, open, realpath } from 'node:fs/promises';
import { isAbsolute, join, normalize, sep } from 'node:path';
import { glob } from 'tinyglobby';
import { FleetError, InvalidInputError } from '../../../shared/errors.ts';
import type { CollectContext } from '../../collector.ts';

const MAX_BYTES = 1024 ** 2;

/** A text file of the measured project. */
export interface ProjectText {
  path: string;
  text: string;
}

const refuse = (path: string, message: string): InvalidInputError =>
  new InvalidInputError(path, [{ file: path, line: 1, column: 1, message }]);

const isMissing = (err: unknown): boolean =>
  err instanceof Error && 'code' in err && (err.code === 'ENOENT' || err.code === 'ENOTDIR');

/**
 * Reads a text file below `root`, or returns undefined when there is none.
 * The measured folder is hostile: links, pipes, devices and huge files are refused rather than followed.
 */
export async function readProjectText(
  root: string,
  path: string,
  maxBytes: number = MAX_BYTES,
): Promise<ProjectText | undefined> {
  const wanted = normalize(path);
  if (isAbsolute(wanted) || wanted === '..' || wanted.startsWith(`..${sep}`)) {
    throw refuse(path, 'this path leaves the project; name a file inside it');
  }
  const base = await realpath(root);
  const full = join(base, wanted);
  try {
    if ((await realpath(full)) !== full)
      throw refuse(path, 'is, or lies behind, a link; replace it with a regular file');
    const handle = await open(full, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    try {
      const stat = await handle.stat();
      if (!stat.isFile()) throw refuse(path, 'is not a regular file; replace it with one');
      if (stat.size > maxBytes) throw refuse(path, `has ${stat.size} bytes; such a file may have ${maxBytes} at most`);
      return { path: wanted, text: await handle.readFile('utf8') };
    } finally {
      await handle.close();
    }
  } catch (err) {
    if (isMissing(err)) return undefined;
    if (err instanceof FleetError) throw err;
    throw refuse(path, `cannot be read: ${err instanceof Error ? err.message : String(err)}`);
  }
}

/** Is there a regular file, or a folder, at this path below `root`? Nothing behind a link counts. */
export async function projectHas(root: string, path: string, kind: 'file' | 'folder'): Promise<boolean> {
  const full = join(await realpath(root), normalize(path));
  const info = await lstat(full).catch(() => undefined);
  if (info === undefined || (await realpath(full)) !== full.replace(/\/$/, '')) return false;
  return kind === 'file' ? info.isFile() : info.isDirectory();
}

/** Paths below `root` that match, sorted; links are not followed. */
async function listProjectFiles(root: string, patterns: readonly string[]): Promise<string[]> {
  const found = await glob([...patterns], {
    cwd: root,
    followSymbolicLinks: false,
    dot: false,
    ignore: ['**/node_modules/**', '**/.git/**', 'dist/**'],
  });
  return found.toSorted();
}

/** All the matching files as texts. */
export async function readProjectFiles(root: string, patterns: readonly string[]): Promise<ProjectText[]> {
  const texts: ProjectText[] = [];
  for (const path of await listProjectFiles(root, patterns)) {
    const text = await readProjectText(root, path);
    if (text !== undefined) texts.push(text);
  }
  return texts;
}

/** Where a document is looked for: the catalogue's globs when it has an entry, else the usual place. */
export const documentPaths = (context: CollectContext, artifact: string, usual: string): readonly string[] => {
  const paths = context.artifacts[artifact]?.spec.paths ?? [];
  return paths.length > 0 ? paths : [usual];
};

/** The first file of a document, or undefined when nobody wrote it. */
export async function readDocument(
  context: CollectContext,
  artifact: string,
  usual: string,
): Promise<ProjectText | undefined> {
  const known = context.artifacts[artifact]?.files[0];
  if (known !== undefined) return readProjectText(context.root, known);
  const [first] = await listProjectFiles(context.root, documentPaths(context, artifact, usual));
  return first === undefined ? undefined : readProjectText(context.root, first);
}
