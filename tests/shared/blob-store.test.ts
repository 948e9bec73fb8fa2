import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { z } from 'zod';
import { type ShelvedBlobs, getJson, putJson } from '../../src/shared/blob-store.ts';
import { openBlobStore } from '../../src/shared/open-blob-store.ts';
import { BlobRef } from '../../src/shared/run-record.ts';

const scratch = mkdtempSync(join(tmpdir(), 'blobs-test-'));
const folder = join(scratch, 'store');
const objects = join(scratch, 'objects');
let server: ChildProcess;
const stores: Record<string, () => ShelvedBlobs> = { directory: () => openBlobStore(folder) };
const absent = BlobRef.parse('0'.repeat(64));
const hello = '2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824';

beforeAll(async () => {
  process.env['AWS_ACCESS_KEY_ID'] = 'S3RVER';
  process.env['AWS_SECRET_ACCESS_KEY'] = 'S3RVER';
  mkdirSync(objects);
  const program = join(process.cwd(), 'node_modules/.bin/s3rver');
  const args = ['-a', '127.0.0.1', '-p', '0', '-d', objects, '--configure-bucket', 'fleet'];
  const started = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  server = started;
  let said = '';
  started.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
  await vi.waitFor(() => expect(said).toMatch(/listening on .*:\d+/), { timeout: 20_000 });
  const port = /listening on .*:(\d+)/.exec(said)?.[1] ?? '';
  stores['s3'] = () => openBlobStore(`s3://fleet/runs/blobs?endpoint=http://127.0.0.1:${port}&region=eu-central-1`);
});
afterAll(async () => {
  server.kill('SIGKILL');
  await once(server, 'exit');
  rmSync(scratch, { recursive: true, force: true });
});

const storeOf = (kind: string): ShelvedBlobs => {
  const open = stores[kind];
  if (open === undefined) throw new Error(`no store ${kind}`);
  return open();
};

describe.each(['directory', 's3'])('a blob store in a %s', (kind) => {
  test('gives back the bytes it was given, at the address of their sha256', async () => {
    const store = storeOf(kind);
    expect(await store.put(Buffer.from('hello'))).toBe(hello);
    expect(Buffer.from(await storeOf(kind).get(BlobRef.parse(hello))).toString()).toBe('hello');
  });

  test('keeps empty and large binary blobs as they are', async () => {
    const store = storeOf(kind);
    const large = Buffer.alloc(6_000_000, 0xe9);
    expect(Buffer.from(await store.get(await store.put(large))).equals(large)).toBe(true);
    expect(await store.get(await store.put(new Uint8Array()))).toHaveLength(0);
  });

  test('stores the same bytes twice, also at once, as one blob', async () => {
    const store = storeOf(kind);
    const refs = await Promise.all(Array.from({ length: 8 }, () => store.put(Buffer.from('same'))));
    expect(new Set(refs).size).toBe(1);
  });

  test('says whether it has a blob', async () => {
    const store = storeOf(kind);
    expect(await store.has(await store.put(Buffer.from('there')))).toBe(true);
    expect(await store.has(absent)).toBe(false);
  });

  test('names a missing blob and where it looked', async () => {
    const store = storeOf(kind);
    await expect(store.get(absent)).rejects.toMatchObject({ code: 'BLOB_UNAVAILABLE' });
    await expect(store.get(absent)).rejects.toThrow(`blob ${absent} is not in ${store.location}`);
  });

  test('refuses what is no address, so that no path can be read through it', async () => {
    // As from code that skipped the schema.
    const ref = z.custom<BlobRef>().parse('../../etc/passwd');
    await expect(storeOf(kind).get(ref)).rejects.toThrow(/Invalid string/);
  });

  test('throws away a shelf as a whole, and nothing that is the same elsewhere', async () => {
    const store = storeOf(kind);
    expect(await store.shelves()).toEqual([]);
    const bytes = Buffer.from('here and there');
    const [ref] = await Promise.all([store.put(bytes), store.shelf('a').put(bytes), store.shelf('a-b').put(bytes)]);
    const more = Array.from({ length: 20 }, (_, index) => store.shelf('a').put(Buffer.from(`more ${index}`)));
    await Promise.all(more);
    expect((await storeOf(kind).shelves()).toSorted()).toEqual(['a', 'a-b']);
    expect(await store.shelf('c').has(ref)).toBe(false);
    await Promise.all([1, 2].map(() => storeOf(kind).clearShelf('a')));
    expect(await store.shelves()).toEqual(['a-b']);
    expect(await store.shelf('a').has(ref)).toBe(false);
    await expect(store.shelf('a').get(ref)).rejects.toThrow(`${store.location}/shelves/a`);
    for (const kept of [store, store.shelf('a-b')]) expect(Buffer.from(await kept.get(ref))).toEqual(bytes);
    await store.clearShelf('never');
    await expect(async () => store.clearShelf('..')).rejects.toThrow(/no name of a shelf/);
    await store.clearShelf('a-b');
    expect(await store.shelves()).toEqual([]);
  });

  test('reads JSON back through its schema', async () => {
    const store = storeOf(kind);
    const ref = await putJson(store, { a: 'ä' });
    expect(await getJson(store, ref, z.strictObject({ a: z.string() }))).toEqual({ a: 'ä' });
  });
});

describe('a damaged blob', () => {
  test('is refused when read and mended when stored again', async () => {
    const store = openBlobStore(pathToFileURL(folder).href);
    const ref = await store.put(Buffer.from('precious'));
    writeFileSync(join(folder, ref.slice(0, 2), ref), 'forged');
    await expect(store.get(ref)).rejects.toMatchObject({ code: 'BLOB_UNAVAILABLE' });
    await store.put(Buffer.from('precious'));
    expect(Buffer.from(await store.get(ref)).toString()).toBe('precious');
  });

  test('leaves no temporary file behind', () => {
    const names = readdirSync(folder, { recursive: true }).map(String);
    expect(names.filter((name) => name.includes('.'))).toEqual([]);
  });
});

describe('openBlobStore', () => {
  test('shows where it keeps things', () => {
    expect(openBlobStore(folder).location).toBe(folder);
    expect(openBlobStore('s3://bucket/a/b?region=x').location).toBe('s3://bucket/a/b');
  });

  test.each(['', 'http://host/x', 's3://', 's3://key:secret@bucket', 's3://bucket?regoin=x', 's3://b?endpoint=host'])(
    'refuses "%s"',
    (location) => {
      expect(() => openBlobStore(location)).toThrow(expect.objectContaining({ code: 'BAD_USAGE' }));
    },
  );

  test('never shows a key that was written into the location', () => {
    expect(() => openBlobStore('s3://key:secret@bucket')).toThrow(/^(?!.*secret@)/);
  });

  test('names a store that cannot be reached', async () => {
    const store = openBlobStore('s3://fleet?endpoint=http://127.0.0.1:9');
    await expect(store.has(absent)).rejects.toMatchObject({ code: 'BLOB_UNAVAILABLE', retry: true });
    const file = join(scratch, 'file');
    writeFileSync(file, '');
    await expect(openBlobStore(file).put(Buffer.from('x'))).rejects.toMatchObject({ code: 'BLOB_UNAVAILABLE' });
    for (const away of [store, openBlobStore(file)])
      await expect(away.shelves()).rejects.toMatchObject({ code: 'BLOB_UNAVAILABLE' });
  });
});
