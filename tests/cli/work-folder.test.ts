import { access, mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openWorkFolder } from '../../src/cli/work-folder.ts';
import { silentLogger } from '../../src/shared/logger.ts';
import { tempFolder } from '../support/temp-folder.ts';

test('a starting worker clears what gone workers left, and nothing of those that work beside it', async () => {
  const home = await tempFolder();
  const work = join(home, 'work');
  // No process has so high a number; the parent of this one is alive.
  const [gone, alive, own] = ['worker-4194999', `worker-${process.ppid}`, `worker-${process.pid}`];
  for (const name of [gone, alive, own]) {
    await mkdir(join(work, name, 'work', 'job-1'), { recursive: true });
    await writeFile(join(work, name, 'work', 'job-1', 'file'), 'x');
  }
  expect(await openWorkFolder(home, silentLogger())).toBe(join(work, own));
  expect((await readdir(work)).toSorted()).toEqual([alive, own].toSorted());
  expect(await readdir(join(work, own))).toEqual([]);
  await expect(access(join(work, alive, 'work', 'job-1', 'file'))).resolves.toBeUndefined();
});
