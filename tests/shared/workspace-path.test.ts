import { execFileSync } from 'node:child_process';
import { createServer } from 'node:net';
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readFileInside, resolveInside, writeFileInside } from '../../src/shared/workspace-path.ts';

let scratch = '';
let root = '';
const secret = (): string => join(scratch, 'outside', 'secret.txt');

beforeAll(() => {
  scratch = realpathSync(mkdtempSync(join(tmpdir(), 'path-test-')));
  root = join(scratch, 'root');
  for (const folder of ['outside', 'root/src/deep', 'root/.git', 'rootless'])
    mkdirSync(join(scratch, folder), { recursive: true });
  writeFileSync(secret(), 'secret');
  writeFileSync(join(scratch, 'rootless', 'file'), 'neighbour');
  writeFileSync(join(root, 'src', 'a.txt'), 'text');
  symlinkSync(secret(), join(root, 'link-file'));
  symlinkSync(join(scratch, 'outside'), join(root, 'link-folder'));
  symlinkSync('src', join(root, 'link-inside'));
  symlinkSync('a.txt', join(root, 'src', 'link-a'));
  symlinkSync(join(scratch, 'outside', 'not-yet'), join(root, 'dangling'));
  symlinkSync('loop', join(root, 'loop'));
  symlinkSync('.git', join(root, 'git-alias'));
  execFileSync('mkfifo', [join(root, 'pipe')]);
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

describe('a path given by a model', () => {
  test.each([
    ['src/a.txt', 'src/a.txt'],
    ['./src//a.txt', 'src/a.txt'],
    ['src/../src/a.txt', 'src/a.txt'],
    ['new/folder/file.txt', 'new/folder/file.txt'],
    ['link-inside/new.txt', 'src/new.txt'],
    ['..hidden', '..hidden'],
    ['.', ''],
  ])('%s is found inside', async (given, found) => {
    expect(await resolveInside(root, given)).toBe(found === '' ? root : join(root, found));
  });

  test.each([
    ['', 'is empty'],
    ['/etc/passwd', 'is absolute'],
    ['../outside/secret.txt', 'leads out'],
    ['src/../../outside', 'leads out'],
    ['../rootless/file', 'leads out'],
    ['a\0b', 'NUL byte'],
    ['link-file', 'leads out'],
    ['link-folder/secret.txt', 'leads out'],
    ['link-folder/made/new.txt', 'leads out'],
    ['link-inside/../../outside/secret.txt', 'leads out'],
    ['dangling', 'leads to nothing'],
    ['dangling/new.txt', 'leads to nothing'],
    ['loop', 'leads to itself'],
    ['src/a.txt/b', 'as if it were a folder'],
    ['x'.repeat(5000), 'too long'],
  ])('%j is refused: %s', async (given, why) => {
    await expect(resolveInside(root, given)).rejects.toMatchObject({ code: 'BAD_INPUT' });
    await expect(resolveInside(root, given)).rejects.toThrow(why);
  });

  test.each(['.git/hooks/pre-commit', 'src/.git', 'src/.GIT/config', 'git-alias/config'])(
    '%s is refused for writing',
    async (given) => {
      await expect(resolveInside(root, given, { purpose: 'write' })).rejects.toThrow("git's own folder");
    },
  );

  test('may name files that only look like git', async () => {
    await expect(resolveInside(root, '.gitignore', { purpose: 'write' })).resolves.toBe(join(root, '.gitignore'));
    await expect(resolveInside(root, '.github/x', { purpose: 'write' })).resolves.toBe(join(root, '.github/x'));
  });
});

describe('readFileInside', () => {
  test('reads a file up to its limit', async () => {
    expect((await readFileInside(root, 'src/a.txt', 4)).toString()).toBe('text');
    await expect(readFileInside(root, 'src/a.txt', 3)).rejects.toThrow('"src/a.txt" is larger than 3 bytes');
  });

  test('says what does not exist', async () => {
    await expect(readFileInside(root, 'src/none', 10)).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  test.each(['link-file', 'link-folder/secret.txt', 'src/link-a', 'pipe', 'src', '.', 'socket', 'src/..'])(
    'refuses %s, and does not wait for it',
    async (path) => {
      const server = createServer().listen(join(root, 'socket'));
      await expect(readFileInside(root, path, 1000)).rejects.toMatchObject({ code: 'BAD_INPUT' });
      await new Promise((resolve) => {
        server.close(resolve);
      });
    },
  );

  test('refuses a device, however endless', async () => {
    await expect(readFileInside('/dev', 'zero', 1000)).rejects.toMatchObject({ code: 'BAD_INPUT' });
  });
});

describe('writeFileInside', () => {
  test('makes folders, replaces what was there, and says whether it was', async () => {
    expect(await writeFileInside(root, 'made/here/file.txt', 'a longer text')).toEqual({ existed: false });
    expect(await writeFileInside(root, 'made/here/file.txt', 'short')).toEqual({ existed: true });
    expect(readFileSync(join(root, 'made/here/file.txt'), 'utf8')).toBe('short');
  });

  test.each([
    'link-file',
    'link-folder/new.txt',
    'dangling',
    'src/link-a',
    'pipe',
    'src',
    '.',
    '.git/config',
    'src/a.txt/b',
  ])('refuses %s', async (path) => {
    await expect(writeFileInside(root, path, 'hostile')).rejects.toMatchObject({ code: 'BAD_INPUT' });
    expect(readFileSync(secret(), 'utf8')).toBe('secret');
    expect(readFileSync(join(root, 'src/a.txt'), 'utf8')).toBe('text');
  });
});
