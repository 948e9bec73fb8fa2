import { createHash } from 'node:crypto';
import { constants, type Stats } from 'node:fs';
import { lstat, open, readdir, readlink } from 'node:fs/promises';
import { join, sep } from 'node:path';

/** Sandboxed code wrote these files: links could lead anywhere, a FIFO could hang the reader, sizes could exhaust memory. */
export const MAX_REPORT_BYTES = 64 * 1024 ** 2;
export const MAX_REPORT_FILES = 500;

/** Reads a regular file of at most `maxBytes` without following a link. Undefined for everything else. */
export async function readRegularFile(path: string, maxBytes: number): Promise<Buffer | undefined> {
  const before = await lstat(path).catch(() => undefined);
  if (!before?.isFile() || before.size > maxBytes) return undefined;
  // O_NONBLOCK: had the file become a FIFO meanwhile, opening it would wait for a writer for ever.
  const handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK).catch(
    () => undefined,
  );
  if (!handle) return undefined;
  try {
    const stats = await handle.stat();
    if (!stats.isFile() || stats.size > maxBytes) return undefined;
    const buffer = Buffer.alloc(stats.size);
    const { bytesRead } = await handle.read(buffer, 0, stats.size, 0);
    return buffer.subarray(0, bytesRead);
  } finally {
    await handle.close();
  }
}

export interface FoundFile {
  /** Relative to the folder, with `/`. */
  path: string;
  stats: Stats;
}

/** Everything below a folder that is no folder, in alphabetical order; links are listed, never followed. */
export async function listFiles(folder: string, skip: ReadonlySet<string>, below = ''): Promise<FoundFile[]> {
  const entries = await readdir(join(folder, below));
  const found: FoundFile[] = [];
  for (const entry of entries.toSorted()) {
    if (skip.has(entry)) continue;
    const path = below === '' ? entry : `${below}/${entry}`;
    const stats = await lstat(join(folder, path));
    if (stats.isDirectory()) found.push(...(await listFiles(folder, skip, path)));
    else found.push({ path, stats });
  }
  return found;
}

const NOT_MEASURED: ReadonlySet<string> = new Set(['.git', 'node_modules']);

/** A hash over names, kinds and contents of all files: the same files give the same hash on every machine. */
export async function hashTree(root: string): Promise<string> {
  const hash = createHash('sha256');
  for (const { path, stats } of await listFiles(root, NOT_MEASURED)) {
    const name = path.split(sep).join('/');
    if (stats.isSymbolicLink()) hash.update(`link\0${name}\0${await readlink(join(root, path))}\0`);
    else if (stats.isFile()) {
      const kind = (stats.mode & 0o100) === 0 ? 'file' : 'executable';
      hash.update(`${kind}\0${name}\0${stats.size}\0`);
      await hashInto(hash, join(root, path));
    } else hash.update(`other\0${name}\0`);
  }
  return `sha256:${hash.digest('hex')}`;
}

async function hashInto(hash: ReturnType<typeof createHash>, path: string): Promise<void> {
  const handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const buffer = Buffer.alloc(64 * 1024);
    for (;;) {
      const { bytesRead } = await handle.read(buffer, 0, buffer.length, null);
      if (bytesRead === 0) return;
      hash.update(buffer.subarray(0, bytesRead));
    }
  } finally {
    await handle.close();
  }
}
