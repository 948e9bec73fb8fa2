import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { expect, it } from 'vitest';
import { git, streamGit } from '../../src/shared/git.ts';
import { tempFolder } from '../support/temp-folder.ts';

it('a stream of git is ended when git has succeeded, and never as if it were whole when it has not', async () => {
  const workTree = await tempFolder();
  const place = { gitDir: `${workTree}/.git`, workTree };
  await git(place, ['init', '--quiet', '--template=']);
  const blob = (await git(place, ['hash-object', '-w', '--stdin'], { stdin: 'one' })).trim();
  const whole = new PassThrough();
  const [read] = await Promise.all([text(whole), streamGit(place, ['cat-file', 'blob', blob], whole)]);
  expect(read).toBe('one');

  const broken = new PassThrough();
  // The first is sent before the second is found missing.
  const args = ['-c', `alias.both=!git cat-file blob ${blob} && git cat-file blob ${'0'.repeat(40)}`, 'both'];
  await expect(streamGit(place, args, broken)).rejects.toMatchObject({ code: 'GIT_FAILED' });
  expect(String(broken.read())).toBe('one');
  expect(broken.writableEnded).toBe(false);
});
