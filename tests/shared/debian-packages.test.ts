import { access, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { libraryFolders, unpackDebianPackages } from '../../src/shared/debian-packages.ts';
import { silentLogger } from '../../src/shared/logger.ts';
import { tempFolder } from '../support/temp-folder.ts';

const logger = silentLogger();
const packages = ['redis-tools', 'liblzf1'];

test('several at once unpack the same packages into one folder, which is used again', async () => {
  const cache = await tempFolder();
  const trees = await Promise.all([1, 2, 3].map(() => unpackDebianPackages({ packages, cache, logger })));
  expect(new Set(trees).size).toBe(1);
  const [tree = ''] = trees;
  await access(join(tree, 'usr', 'bin', 'redis-cli'));
  expect((await libraryFolders(tree)).some((folder) => folder.includes('-linux-gnu'))).toBe(true);
  expect(await readdir(join(cache, 'debian'))).toHaveLength(1);
  await writeFile(join(tree, 'mark'), '');
  const again = await unpackDebianPackages({ packages: packages.toReversed(), cache, logger });
  expect(await readdir(again)).toContain('mark');
});

test('a package that does not exist is named, with what apt-get said, and leaves nothing half done', async () => {
  const cache = await tempFolder();
  const failing = unpackDebianPackages({ packages: ['no-such-package-here'], cache, logger });
  await expect(failing).rejects.toMatchObject({ code: 'TOOL_UNAVAILABLE', exitCode: 4 });
  await expect(failing).rejects.toThrow(/no-such-package-here .* E: Unable to locate package no-such-package-here/);
  expect(await readdir(join(cache, 'debian'))).toEqual([]);
});

test('where there is no apt-get, the error says so and what to install', async () => {
  const before = process.env['PATH'];
  onTestFinished(() => {
    process.env['PATH'] = before;
  });
  process.env['PATH'] = await tempFolder();
  await expect(unpackDebianPackages({ packages, cache: await tempFolder(), logger })).rejects.toMatchObject({
    code: 'TOOL_UNAVAILABLE',
    message: 'the Debian packages liblzf1, redis-tools cannot be fetched, because apt-get and dpkg are not here',
  });
});
