import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import type { BlobStore } from '../shared/blob-store.ts';
import { FleetError } from '../shared/errors.ts';
import { commitFolder } from '../shared/folder-commit.ts';
import { BlobRef, type CommitRef } from '../shared/run-record.ts';
import { resolveInside } from '../shared/workspace-path.ts';
import type { Uploads } from './uploads.ts';

const MOST_FILES = 200;
const MOST_BYTES = 64 * 1024 * 1024;

const WorkspacePath = z
  .string()
  .max(300)
  .regex(
    /^(?!\/)[^\\\p{Cc}]+$/u,
    'give a path inside the workspace, with `/` between its parts and no control characters',
  )
  .refine(
    (path) => path.split('/').every((part) => !['', '.', '..'].includes(part) && part.toLowerCase() !== '.git'),
    'give a path inside the workspace',
  );

/** Files for the workspace that the run begins with, by their path there: each an upload, or a text. */
export const HandedInFiles = z
  .record(
    WorkspacePath,
    z.union([z.strictObject({ upload: BlobRef }), z.strictObject({ text: z.string().max(1_000_000) })]),
  )
  .refine((files) => Object.keys(files).length <= MOST_FILES, `at most ${MOST_FILES} files`)
  .refine((files) => isTree(Object.keys(files)), 'a path is a file and a folder at once');
export type HandedInFiles = z.infer<typeof HandedInFiles>;

function isTree(paths: readonly string[]): boolean {
  const files = new Set(paths);
  return paths.every((path) => {
    const parts = path.split('/');
    return parts.every((_, depth) => depth === 0 || !files.has(parts.slice(0, depth).join('/')));
  });
}

/** Makes the commit that the run begins with. Undefined when nothing was handed in. */
export async function commitHandedIn(
  blobs: BlobStore,
  uploads: Uploads,
  files: HandedInFiles,
  by: string,
): Promise<CommitRef | undefined> {
  if (Object.keys(files).length === 0) return undefined;
  const dir = await mkdtemp(join(tmpdir(), 'maestro-handed-in-'));
  try {
    const folder = join(dir, 'files');
    await mkdir(folder);
    let bytes = 0;
    for (const [path, file] of Object.entries(files)) {
      const content = 'text' in file ? Buffer.from(file.text) : await uploads.read(file.upload);
      bytes += content.byteLength;
      if (bytes > MOST_BYTES)
        throw new FleetError('BAD_INPUT', `the files of a run may have at most ${MOST_BYTES} bytes together`);
      await mkdir(dirname(join(folder, path)), { recursive: true });
      await writeFile(await resolveInside(folder, path, { purpose: 'write' }), content);
    }
    const message = 'Files handed in with the run';
    return await commitFolder({ blobs, base: undefined, folder, scratch: join(dir, 'git'), message, by, trailers: {} });
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}
