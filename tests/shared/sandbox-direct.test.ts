import { mkdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { silentLogger } from '../../src/shared/logger.ts';
import { directUid, openSandbox } from '../../src/shared/sandbox/open-sandbox.ts';
import { tempFolder } from '../support/temp-folder.ts';

test('commands without a sandbox reach their mounts by absolute paths, however private the folders above are', async () => {
  const folder = await tempFolder();
  const job = join(folder, 'job');
  await mkdir(join(job, 'project'), { recursive: true, mode: 0o700 });
  await writeFile(join(job, 'project', 'file.txt'), 'read');
  await mkdir(join(job, 'secret'), { mode: 0o700 });
  await writeFile(join(job, 'secret', 'key.txt'), 'not for you', { mode: 0o600 });
  const sandbox = await openSandbox({ mode: 'off', cache: folder, logger: silentLogger() });
  const mounts = [{ host: join(job, 'project'), inside: '/project', writable: true }];
  const reading = await sandbox.run({ argv: ['cat', '/project/file.txt'], mounts, cwd: '/project' });
  expect(reading).toMatchObject({ exitCode: 0, stdout: 'read' });
  if (process.getuid?.() !== 0) return;
  const prying = await sandbox.run({ argv: ['ls', job, join(job, 'secret')], mounts, cwd: '/project' });
  expect(prying.stdout).toBe('');
  expect((await stat(job)).mode & 0o777).toBe(0o701);
});

test('each container has a user of its own, so that none uses up the processes of another', () => {
  const uids = ['3d7ba93ee5b1', '05c3b56a5f7a', '87216777fefc'].map(directUid);
  expect(new Set(uids).size).toBe(3);
  for (const uid of uids) expect([uid > 59_998, uid < 64_000]).toEqual([true, true]);
  expect(directUid('3d7ba93ee5b1')).toBe(uids[0]);
});
