import { cp, mkdir, readdir, rm, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { BlobStore } from './blob-store.ts';
import { FleetError, errorMessage } from './errors.ts';
import type { CommitRef } from './run-record.ts';
import { type Source, openWorkspace } from './workspace.ts';

/**
 * Makes a commit whose files are those of a folder, on top of `base` where there is one. Git folders inside it are left
 * out, and what its own .gitignore names. Throws `CONFLICT` when the folder holds nothing that `base` does not.
 */
export async function commitFolder(of: {
  blobs: BlobStore;
  base: Source | undefined;
  folder: string;
  /** A folder of its own to work in; gone afterwards. */
  scratch: string;
  message: string;
  by: string;
  trailers: Readonly<Record<string, string>>;
}): Promise<CommitRef> {
  await assertFolder(of.folder);
  try {
    await mkdir(of.scratch, { recursive: true });
    const { workspace } = await openWorkspace({
      dir: of.scratch,
      blobs: of.blobs,
      sources: of.base === undefined ? [] : [of.base],
    });
    for (const name of await readdir(workspace.dir))
      await rm(join(workspace.dir, name), { recursive: true, force: true });
    await cp(of.folder, workspace.dir, { recursive: true, verbatimSymlinks: true, filter: isNoGit });
    const commit = await workspace.commitAll({
      message: of.message,
      trailers: of.trailers,
      author: { name: of.by, email: 'person@maestro-fleet.invalid' },
      date: new Date().toISOString(),
    });
    if (commit === null)
      throw new FleetError('CONFLICT', `${of.folder} holds nothing that is not there already`, {
        remedy: 'Change the files first.',
      });
    return await workspace.bundle();
  } finally {
    await rm(of.scratch, { recursive: true, force: true });
  }
}

const isNoGit = (path: string): boolean => basename(path) !== '.git';

async function assertFolder(folder: string): Promise<void> {
  const found = await stat(folder).catch((err: unknown) => {
    throw new FleetError('BAD_USAGE', `${folder} cannot be read: ${errorMessage(err)}`, { cause: err });
  });
  if (!found.isDirectory()) throw new FleetError('BAD_USAGE', `${folder} is not a folder`);
}
