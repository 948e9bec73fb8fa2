import { createHash } from 'node:crypto';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { FleetError } from '../../../shared/errors.ts';
import type { Finding } from '../../../shared/verdict.ts';
import { readRegularFile } from '../../hostile-files.ts';
import { defuse } from './directives.ts';

const MAX_FILES = 20_000;
const MAX_FILE_BYTES = 16 * 1024 ** 2;
const MAX_COPY_BYTES = 256 * 1024 ** 2;

/** What the tree holds: paths with `/`, relative to the root, sorted. */
export interface ProjectFiles {
  files: readonly string[];
  /** Links and special files: never followed, never measured. */
  irregular: readonly string[];
}

/** Made by tools and never measured: only at the top, so that nothing can hide below `src`. */
export const SKIPPED_AT_TOP: ReadonlySet<string> = new Set([
  '.git',
  'node_modules',
  '.venv',
  'venv',
  'dist',
  'coverage',
]);

/** Any of these at the top of a project says that it is a Python project. */
export const PYTHON_MANIFESTS = ['pyproject.toml', 'setup.py', 'setup.cfg', 'requirements.txt'] as const;

export async function listProject(root: string): Promise<ProjectFiles> {
  const files: string[] = [];
  const irregular: string[] = [];
  const pending = [''];
  for (let folder = pending.pop(); folder !== undefined; folder = pending.pop()) {
    for (const entry of await readdir(join(root, folder), { withFileTypes: true })) {
      const path = folder === '' ? entry.name : `${folder}/${entry.name}`;
      if (folder === '' && SKIPPED_AT_TOP.has(entry.name)) continue;
      if (entry.isDirectory()) pending.push(path);
      else if (entry.isFile()) files.push(path);
      else irregular.push(path);
    }
    if (files.length > MAX_FILES)
      throw new FleetError('BAD_INPUT', `The project holds more than ${MAX_FILES} files`, {
        remedy: 'Measure a smaller folder.',
      });
  }
  return { files: files.toSorted(), irregular: irregular.toSorted() };
}

/** Reads a regular file of the measured tree; never a link, a pipe, or more than the limit. */
async function readProjectFile(root: string, path: string): Promise<Buffer> {
  const content = await readRegularFile(join(root, path), MAX_FILE_BYTES);
  if (content === undefined)
    throw new FleetError('BAD_INPUT', `${path} is no regular file of at most ${MAX_FILE_BYTES / 1024 ** 2} MiB`);
  return content;
}

export const readProjectText = async (root: string, path: string): Promise<string> =>
  (await readProjectFile(root, path)).toString('utf8');

const CODE = /\.(?:[cm]?[jt]s|[jt]sx)$/;
export const isCode = (path: string): boolean => CODE.test(path) && !/\.d\.[cm]?ts$/.test(path);

export interface ProjectCopy {
  /** Host folder of the copy. */
  folder: string;
  /** Of the paths and bytes copied: equal digests mean equal input to a tool. */
  digest: string;
  /** Comments that would have switched a tool off. In the copy they have no effect. */
  directives: Finding[];
}

/**
 * Copies the project's own files into `folder`, as they are (`plain`) or with every comment that would switch a
 * tool off defused, at equal length, so that positions stay true.
 */
export async function copyProject(
  root: string,
  files: readonly string[],
  target: { folder: string; plain: boolean },
): Promise<ProjectCopy> {
  const hash = createHash('sha256');
  const directives: Finding[] = [];
  let bytes = 0;
  await mkdir(target.folder, { recursive: true });
  for (const path of files) {
    const original = await readProjectFile(root, path);
    bytes += original.length;
    if (bytes > MAX_COPY_BYTES)
      throw new FleetError('BAD_INPUT', `The project holds more than ${MAX_COPY_BYTES / 1024 ** 2} MiB of files`);
    const defused = target.plain ? undefined : defuseFile(original, path);
    if (defused) directives.push(...defused.findings);
    const content = defused ? defused.content : original;
    hash.update(`${path}\0${content.length}\0`).update(content);
    await mkdir(join(target.folder, dirname(path)), { recursive: true });
    await writeFile(join(target.folder, path), content, { flag: 'wx' });
  }
  return { folder: target.folder, digest: hash.digest('hex'), directives };
}

/** Other files than code are only kept from hiding secrets, and keep every other byte, whatever their encoding. */
function defuseFile(original: Buffer, path: string): { content: Buffer; findings: Finding[] } | undefined {
  if (!isCode(path) && !original.includes('secretlint-disable')) return undefined;
  const encoding = isCode(path) ? 'utf8' : 'latin1';
  const { text, changed, findings } = defuse(original.toString(encoding), path, isCode(path) ? 'code' : 'text');
  return changed ? { content: Buffer.from(text, encoding), findings } : undefined;
}
