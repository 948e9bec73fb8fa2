import { constants } from 'node:fs';
import { type FileHandle, lstat, mkdir, open, readlink, realpath } from 'node:fs/promises';
import { dirname, isAbsolute, join, relative, sep } from 'node:path';
import { FleetError } from './errors.ts';
import { isRefusedByGit } from './git-names.ts';

export interface InsideOptions {
  /** `write` also refuses git's own folder, and a link as the last step. */
  purpose?: 'read' | 'write';
}

const refuse = (path: string, why: string): FleetError => new FleetError('BAD_INPUT', `"${path}" ${why}`);
/** It would have reached what lies outside of the workspace. */
const forbid = (path: string, why: string): FleetError =>
  new FleetError('BAD_INPUT', `"${path}" ${why}`, { details: { outside: true } });

/** Whether somebody reached for what lies outside of their workspace. */
export const reachesOutside = (err: unknown): boolean => err instanceof FleetError && err.details['outside'] === true;

const errorCode = (err: unknown): unknown => (err instanceof Error && 'code' in err ? err.code : undefined);

/**
 * Confines a path that a model or a file gave to a folder, through links too. The last part need not exist.
 * Returns the real host path. Throws `BAD_INPUT` when the path leads, or could lead, elsewhere.
 */
export async function resolveInside(root: string, userPath: string, options: InsideOptions = {}): Promise<string> {
  if (userPath === '') throw refuse(userPath, 'is empty: give a path inside the workspace');
  if (userPath.includes('\0')) throw refuse(userPath.replaceAll('\0', String.raw`\0`), 'holds a NUL byte');
  if (isAbsolute(userPath)) throw forbid(userPath, 'is absolute: give a path inside the workspace');
  const base = await realpath(root);
  const wanted = join(base, userPath);
  assertWithin(base, wanted, userPath);
  if (options.purpose === 'write') assertNotGit(base, wanted, userPath);
  const resolved = await realPathOfExistingPart(wanted, userPath);
  assertWithin(base, resolved, userPath);
  if (options.purpose === 'write') assertNotGit(base, resolved, userPath);
  return resolved;
}

function assertWithin(base: string, path: string, userPath: string): void {
  if (path !== base && !path.startsWith(base + sep)) throw forbid(userPath, 'leads out of the workspace');
}

/** Case is ignored, as some file systems do. */
function assertNotGit(base: string, path: string, userPath: string): void {
  const parts = relative(base, path).split(sep);
  if (parts.some((part) => part.toLowerCase() === '.git')) {
    throw forbid(userPath, "is in git's own folder, which cannot be written");
  }
  if (parts.some((part) => isRefusedByGit(part))) throw refuse(userPath, 'has a name that git cannot keep');
}

/** Resolves links as far as the path exists; a link that leads to nothing is refused, since it could be filled later. */
async function realPathOfExistingPart(wanted: string, userPath: string): Promise<string> {
  const missing: string[] = [];
  for (let path = wanted; ; path = dirname(path)) {
    try {
      return join(await realpath(path), ...missing);
    } catch (err) {
      const code = errorCode(err);
      if (code === 'ELOOP') throw refuse(userPath, 'is a link that leads to itself');
      if (code === 'ENOTDIR') throw refuse(userPath, 'goes through a file as if it were a folder');
      if (code === 'ENAMETOOLONG') throw refuse(`${userPath.slice(0, 80)}...`, 'is too long');
      if (code !== 'ENOENT') throw err;
    }
    const target = await readlink(path).catch(() => undefined);
    if (target !== undefined) throw refuse(userPath, 'goes through a link that leads to nothing');
    missing.unshift(path.slice(dirname(path).length).replace(/^\//, ''));
  }
}

/**
 * Reads a regular file below a folder that hostile code may have written, up to a number of bytes.
 * Follows no link at its end, never hangs on a pipe, and refuses devices, folders and what is too large.
 */
export async function readFileInside(root: string, path: string, maxBytes: number): Promise<Buffer> {
  const { handle } = await openInside(root, path, constants.O_RDONLY);
  try {
    const size = (await handle.stat()).size;
    if (size > maxBytes) throw refuse(path, `is larger than ${maxBytes} bytes: it has ${size}`);
    const buffer = Buffer.alloc(maxBytes + 1);
    let length = 0;
    for (;;) {
      const { bytesRead } = await handle.read(buffer, length, buffer.length - length, length);
      length += bytesRead;
      if (bytesRead === 0 || length > maxBytes) break;
    }
    // The file may have grown while it was read.
    if (length > maxBytes) throw refuse(path, `is larger than ${maxBytes} bytes`);
    return Buffer.from(buffer.subarray(0, length));
  } finally {
    await handle.close();
  }
}

/** Writes a regular file below a folder, making the folders on its way. Returns whether the file was there before. */
export async function writeFileInside(
  root: string,
  path: string,
  content: string | Uint8Array,
): Promise<{ existed: boolean }> {
  const target = await resolveInside(root, path, { purpose: 'write' });
  if (target === (await realpath(root))) throw refuse(path, 'is a folder');
  await mkdir(dirname(target), { recursive: true }).catch((err: unknown) => {
    if (errorCode(err) === 'ENOTDIR' || errorCode(err) === 'EEXIST') {
      throw refuse(path, 'goes through a file as if it were a folder');
    }
    throw err;
  });
  const before = await lstat(target).catch(() => undefined);
  const { handle } = await openInside(root, path, constants.O_WRONLY | constants.O_CREAT);
  try {
    await handle.truncate(0);
    await handle.writeFile(content);
  } finally {
    await handle.close();
  }
  return { existed: before !== undefined };
}

async function openInside(root: string, path: string, flags: number): Promise<{ handle: FileHandle; target: string }> {
  const purpose = flags === constants.O_RDONLY ? 'read' : 'write';
  // Only the folder is resolved through links: the file itself must be no link at all.
  const named = await resolveInside(root, path, { purpose });
  const parent = await resolveInside(root, join(path, '..') || '.', { purpose: 'read' });
  const target = join(parent, path.split('/').filter(Boolean).at(-1) ?? '');
  if (named !== target) throw refuse(path, 'is a link or a folder, not a file');
  const handle = await openFile(target, path, flags);
  const info = await handle.stat();
  if (info.isFile() && (await isAt(handle, target))) return { handle, target };
  await handle.close();
  throw refuse(path, 'is not a regular file');
}

/** Whether what was opened lies where it was looked for: a folder on the way may have become a link meanwhile. */
async function isAt(handle: FileHandle, target: string): Promise<boolean> {
  const found = await readlink(`/proc/self/fd/${handle.fd}`).catch(() => undefined);
  // Only Linux tells.
  return found === undefined || found === target;
}

/** O_NONBLOCK makes opening a pipe return at once instead of waiting for its other end. */
async function openFile(target: string, path: string, flags: number): Promise<FileHandle> {
  try {
    return await open(target, flags | constants.O_NOFOLLOW | constants.O_NONBLOCK, 0o644);
  } catch (err) {
    const code = errorCode(err);
    if (code === 'ENOENT') throw new FleetError('NOT_FOUND', `"${path}" does not exist`, { cause: err });
    if (code === 'ELOOP') throw refuse(path, 'is a link, not a file');
    if (code === 'EISDIR') throw refuse(path, 'is a folder, not a file');
    if (code === 'ENXIO' || code === 'ENODEV') throw refuse(path, 'is not a regular file');
    throw err;
  }
}
