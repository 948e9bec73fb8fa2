import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BlobReader, BlobStore } from './blob-store.ts';
import { FleetError } from './errors.ts';
import { type GitPlace, git, gitScript } from './git.ts';
import type { BlobRef } from './run-record.ts';

/** A commit with its whole history, in the blob store. */
export interface BundledCommit {
  bundle: BlobRef;
  commit: string;
}

const FETCH = `
git fetch --quiet --no-tags --no-write-fetch-head --update-head-ok "$1" "+refs/heads/main:$2"
git rev-parse --verify "$2^{commit}"
`;
const BUNDLE = `
git rev-parse --verify 'refs/heads/main^{commit}'
git bundle create --quiet "$1" HEAD refs/heads/main
`;

/** Brings a bundled commit into a repository, as a ref. The bundle must hold exactly the commit that was promised. */
export async function fetchBundle(
  place: GitPlace,
  source: BundledCommit,
  blobs: BlobReader,
  ref: string,
): Promise<void> {
  const found = await inScratch(async (scratch) => {
    const file = join(scratch, 'fetched.bundle');
    await writeFile(file, await blobs.get(source.bundle));
    return (await gitScript(place, { name: 'fetch', script: FETCH, args: [file, ref] })).trim();
  });
  if (found === source.commit) return;
  throw new FleetError('GIT_FAILED', `the bundle ${source.bundle} holds commit ${found}, not ${source.commit}`, {
    remedy: 'Run the phase that made it again.',
    details: { isLost: true },
  });
}

/** Puts the branch `main` with its whole history into the blob store. */
export async function storeBundle(place: GitPlace, blobs: BlobStore): Promise<BundledCommit> {
  return inScratch(async (scratch) => {
    const file = join(scratch, 'made.bundle');
    const commit = (await gitScript(place, { name: 'bundle', script: BUNDLE, args: [file] })).trim();
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
