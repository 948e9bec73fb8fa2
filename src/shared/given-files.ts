import type { BlobStore } from './blob-store.ts';
import type { Definitions, GivenFile, GivenFiles } from './definitions.ts';

type Kept = NonNullable<Definitions['given']>;

/** Stores what was handed in with a run, so that every worker reads the same bytes by their digest. */
export async function storeGivenFiles(blobs: BlobStore, given: GivenFiles): Promise<Pick<Definitions, 'given'>> {
  if (given.records === undefined && given.advisories === undefined) return {};
  const keep = async (file: GivenFile | undefined): Promise<Kept['records']> =>
    file && { name: file.name, blob: await blobs.put(Buffer.from(file.text, 'utf8')) };
  return { given: { records: await keep(given.records), advisories: await keep(given.advisories) } };
}

export async function readGivenFiles(blobs: BlobStore, kept: Definitions['given']): Promise<GivenFiles> {
  const read = async (file: Kept['records']): Promise<GivenFile | undefined> =>
    file && { name: file.name, text: Buffer.from(await blobs.get(file.blob)).toString('utf8') };
  return { records: await read(kept?.records), advisories: await read(kept?.advisories) };
}
