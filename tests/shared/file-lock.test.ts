import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { withFileLock } from '../../src/shared/file-lock.ts';
import { tempFolder } from '../support/temp-folder.ts';

test('of many that ask at once, one works at a time, and no file is left', async () => {
  const folder = await tempFolder();
  let inside = 0;
  let most = 0;
  const ask = () =>
    withFileLock(join(folder, 'lock'), 10_000, async () => {
      most = Math.max(most, ++inside);
      await sleep(2);
      inside -= 1;
    });
  await Promise.all(Array.from({ length: 8 }, ask));
  expect(most).toBe(1);
  expect(await readdir(folder)).toEqual([]);
});

test.each([
  ['a process that is gone', '4194303 1 1'],
  ['an earlier process with the same pid', `${process.pid} 1 1`],
  ['nobody', ''],
])('a lock of %s is broken', async (_, owner) => {
  const folder = await tempFolder();
  await writeFile(join(folder, 'lock'), owner);
  expect(await withFileLock(join(folder, 'lock'), 0, async () => 'done')).toBe('done');
});

test('a lock that is held for too long is an error that names its owner', async () => {
  const lock = join(await tempFolder(), 'lock');
  await withFileLock(lock, 0, async () => {
    await expect(withFileLock(lock, 100, async () => 'never')).rejects.toThrow(`process ${process.pid} has held`);
  });
});

test('the lock is given back when the work fails', async () => {
  const lock = join(await tempFolder(), 'lock');
  await expect(withFileLock(lock, 0, () => Promise.reject(new Error('work')))).rejects.toThrow('work');
  expect(await withFileLock(lock, 0, async () => 'done')).toBe('done');
});
