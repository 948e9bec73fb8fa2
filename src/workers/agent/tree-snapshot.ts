import { isUtf8 } from 'node:buffer';
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { lstat, readdir, readlink } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import { FleetError } from '../../shared/errors.ts';
import type { FileChange } from './lineage.ts';

const MAX_FILES = 50_000;
/** Longer ones reach what a system takes for a path, with the folders they lie in on whichever machine. */
const MAX_PATH_BYTES = 3_000;

/** Path -> what tells that a file has changed. The change time is the system's and cannot be set back by a command. */
export type TreeSnapshot = ReadonlyMap<string, string>;

/** Told of what no path of text leads to: because it lies too deep, or has a name that is no UTF-8. */
export type Unnamed = (path: string | Buffer) => void;

/** Those of its entries that have names which are no UTF-8; no text leads to them. */
async function unreadableNames(folder: string): Promise<Buffer[]> {
  return (await readdir(folder, { encoding: 'buffer' })).filter((name) => !isUtf8(name));
}

/**
 * Notes every file of a work tree but those of git and of installed packages. `unnamed` is told of what cannot be named,
 * which is no part of it.
 */
export async function snapshotTree(root: string, unnamed: Unnamed = () => undefined): Promise<TreeSnapshot> {
  const seen = new Map<string, string>();
  const queue = [root];
  for (let folder = queue.pop(); folder !== undefined; folder = queue.pop()) {
    const entries = await readdir(folder, { withFileTypes: true });
    const odd = entries.some(({ name }) => name.includes('\uFFFD')) ? await unreadableNames(folder) : [];
    for (const name of odd) unnamed(Buffer.concat([Buffer.from(folder + sep), name]));
    const shown = new Set(odd.map(String));
    for (const entry of entries.filter(({ name }) => !shown.has(name))) {
      if (entry.name === '.git' || entry.name === 'node_modules') continue;
      const at = join(folder, entry.name);
      const path = relative(root, at).split(sep).join('/');
      if (Buffer.byteLength(path) > MAX_PATH_BYTES) {
        unnamed(at);
        continue;
      }
      if (entry.isDirectory()) {
        queue.push(at);
        continue;
      }
      if (!entry.isFile() && !entry.isSymbolicLink()) continue;
      const { ino, size, mtimeMs, ctimeMs } = await lstat(at);
      seen.set(path, `${ino} ${size} ${mtimeMs} ${ctimeMs}`);
      if (seen.size > MAX_FILES) {
        throw new FleetError('BAD_INPUT', `the workspace holds more than ${MAX_FILES} files, too many to trace`, {
          remedy: 'Delete what a command generated.',
        });
      }
    }
  }
  return seen;
}

/** A link is what git keeps of it: where it leads. It is never followed. */
async function hashFile(file: string): Promise<string> {
  const hash = createHash('sha256');
  if ((await lstat(file)).isSymbolicLink())
    return hash.update(await readlink(file, { encoding: 'buffer' })).digest('hex');
  for await (const chunk of createReadStream(file)) hash.update(Buffer.from(chunk));
  return hash.digest('hex');
}

/** What a command changed: the files that are new, different or gone. */
export async function changesSince(root: string, before: TreeSnapshot, unnamed?: Unnamed): Promise<FileChange[]> {
  const after = await snapshotTree(root, unnamed);
  const changes: FileChange[] = [];
  for (const [path, stamp] of after) {
    if (before.get(path) !== stamp) changes.push({ path, sha256: await hashFile(join(root, path)) });
  }
  for (const path of before.keys()) if (!after.has(path)) changes.push({ path, sha256: null });
  return changes.toSorted((a, b) => (a.path < b.path ? -1 : 1));
}
