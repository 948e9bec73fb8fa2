import { isUtf8 } from 'node:buffer';
import { createHash } from 'node:crypto';
import { createReadStream, type Dirent } from 'node:fs';
import { lstat, readdir, readlink } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import { isRefusedByGit } from '../../shared/git-names.ts';
import type { FileChange } from './lineage.ts';

/** Longer ones reach what a system takes for a path, with the folders they lie in on whichever machine. */
const MAX_PATH_BYTES = 3_000;

export interface FileStamp {
  bytes: number;
  /** Tells that the file has changed. The change time is the system's and cannot be set back by a command. */
  stamp: string;
}

/** By path, with `/` between its parts. */
export type TreeSnapshot = ReadonlyMap<string, FileStamp>;

/** What a work tree holds beside files that can be kept. All but `unnamed` are paths below its root. */
export interface Oddities {
  /** What no path of text leads to: because it lies too deep, or has a name that is no UTF-8. */
  unnamed: (string | Buffer)[];
  /** What git refuses to keep, or would wait for without end. */
  refused: string[];
  /** Pipes, sockets and devices. Git refuses them where it keeps a file, and passes over the others. */
  special: string[];
  /** Folders of installed packages, which are not looked into. */
  packages: string[];
}

export const nothingOdd = (): Oddities => ({ unnamed: [], refused: [], special: [], packages: [] });

/** Those of its entries that have names which are no UTF-8; no text leads to them. */
async function unreadableNames(folder: string): Promise<Buffer[]> {
  return (await readdir(folder, { encoding: 'buffer' })).filter((name) => !isUtf8(name));
}

function isRefused(entry: Dirent): boolean {
  if (isRefusedByGit(entry.name, entry.isSymbolicLink())) return true;
  // Git opens what has the name of one of its own files, and a pipe never answers.
  return isSpecial(entry) && entry.name.toLowerCase().startsWith('.git');
}

const isSpecial = (entry: Dirent): boolean => !entry.isFile() && !entry.isDirectory() && !entry.isSymbolicLink();

/**
 * Notes every file of a work tree, or of one of its folders (`from`), but those of git and of installed packages; what
 * cannot be noted is put with the oddities.
 */
export async function snapshotTree(root: string, odd: Oddities = nothingOdd(), from = root): Promise<TreeSnapshot> {
  const seen = new Map<string, FileStamp>();
  const queue = [from];
  for (let folder = queue.pop(); folder !== undefined; folder = queue.pop()) {
    const entries = await readdir(folder, { withFileTypes: true });
    const unreadable = entries.some(({ name }) => name.includes('\uFFFD')) ? await unreadableNames(folder) : [];
    for (const name of unreadable) odd.unnamed.push(Buffer.concat([Buffer.from(folder + sep), name]));
    const hidden = new Set(unreadable.map(String));
    for (const entry of entries.filter(({ name }) => !hidden.has(name) && name !== '.git')) {
      const at = join(folder, entry.name);
      const path = relative(root, at).split(sep).join('/');
      if (Buffer.byteLength(path) > MAX_PATH_BYTES) odd.unnamed.push(at);
      else if (isRefused(entry)) odd.refused.push(path);
      else if (entry.name === 'node_modules' && entry.isDirectory()) odd.packages.push(path);
      else if (entry.isDirectory()) queue.push(at);
      else if (isSpecial(entry)) odd.special.push(path);
      else {
        const { ino, size, mtimeMs, ctimeMs } = await lstat(at);
        seen.set(path, { bytes: size, stamp: `${ino} ${size} ${mtimeMs} ${ctimeMs}` });
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

/** What is different between two snapshots: the files that are new, different or gone. */
export async function changesBetween(root: string, before: TreeSnapshot, after: TreeSnapshot): Promise<FileChange[]> {
  const changes: FileChange[] = [];
  for (const [path, { stamp }] of after) {
    if (before.get(path)?.stamp !== stamp) changes.push({ path, sha256: await hashFile(join(root, path)) });
  }
  for (const path of before.keys()) if (!after.has(path)) changes.push({ path, sha256: null });
  return changes.toSorted((a, b) => (a.path < b.path ? -1 : 1));
}
