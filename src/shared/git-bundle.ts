import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BlobStore } from './blob-store.ts';
import { FleetError } from './errors.ts';
import { type GitPlace, git } from './git.ts';
import type { BlobRef } from './run-record.ts';

/** A commit with its whole history, in the blob store. */
export interface BundledCommit {
  bundle: BlobRef;
  commit: string;
}

/** Brings a bundled commit into a repository, as a ref. The bundle must hold exactly the commit that was promised. */
export async function fetchBundle(
  place: GitPlace,
  source: BundledCommit,
  blobs: BlobStore,
  ref: string,
): Promise<void> {
  await inScratch(async (scratch) => {
    const file = join(scratch, 'fetched.bundle');
    await writeFile(file, await blobs.get(source.bundle));
    await git(place, [
      'fetch',
      '--quiet',
      '--no-tags',
      '--no-write-fetch-head',
      '--update-head-ok',
      file,
      `+refs/heads/main:${ref}`,
    ]);
  });
  const found = (await git(place, ['rev-parse', '--verify', `${ref}^{commit}`])).trim();
  if (found === source.commit) return;
  throw new FleetError('GIT_FAILED', `the bundle ${source.bundle} holds commit ${found}, not ${source.commit}`, {
    remedy: 'Run the phase that made it again.',
    details: { isLost: true },
  });
}

/** Puts the branch `main` with its whole history into the blob store. */
export async function storeBundle(place: GitPlace, blobs: BlobStore): Promise<BundledCommit> {
  const commit = (await git(place, ['rev-parse', '--verify', 'refs/heads/main^{commit}'])).trim();
  return inScratch(async (scratch) => {
    const file = join(scratch, 'made.bundle');
    await git(place, ['bundle', 'create', '--quiet', file, 'HEAD', 'refs/heads/main']);
    return { bundle: await blobs.put(await readFile(file)), commit };
  });
}

/** Makes an ordinary repository of a bundled commit: one branch, no remote, nothing to commit. */
export async function cloneBundle(
  of: BundledCommit & { blobs: BlobStore; dir: string; branch: 'main' },
): Promise<void> {
  await mkdir(of.dir, { recursive: true });
  if ((await readdir(of.dir)).length > 0) {
    throw new FleetError('CONFLICT', `${of.dir} is not empty`, { remedy: 'Choose a new or an empty folder.' });
  }
  const place: GitPlace = { gitDir: join(of.dir, '.git'), workTree: of.dir };
  await git(place, ['init', '--quiet', '--template=', `--initial-branch=${of.branch}`]);
  await fetchBundle(place, of, of.blobs, `refs/heads/${of.branch}`);
  await git(place, ['reset', '--quiet', '--hard', of.branch]);
}

async function inScratch<T>(use: (scratch: string) => Promise<T>): Promise<T> {
  const scratch = await mkdtemp(join(tmpdir(), 'maestro-bundle-'));
  try {
    return await use(scratch);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}
