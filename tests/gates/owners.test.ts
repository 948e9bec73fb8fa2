import { access, mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { addressFindings, findingsFor } from '../../src/gates/owners/address-findings.ts';
import { codeOwners } from '../../src/gates/owners/code-owners.ts';
import { projectOwners } from '../../src/gates/owners/project-owners.ts';
import { silentLogger } from '../../src/shared/logger.ts';
import { runProcess } from '../../src/shared/process.ts';
import type { Finding } from '../../src/shared/verdict.ts';
import { tempFolder } from '../support/temp-folder.ts';

async function run(cwd: string, argv: readonly string[]): Promise<void> {
  const who = { GIT_AUTHOR_NAME: 'a', GIT_AUTHOR_EMAIL: 'a@b', GIT_COMMITTER_NAME: 'a', GIT_COMMITTER_EMAIL: 'a@b' };
  const env = { PATH: process.env['PATH'] ?? '', HOME: '/nonexistent', GIT_CONFIG_NOSYSTEM: '1', ...who };
  const { exitCode, stderr } = await runProcess({ argv, cwd, env, timeoutMs: 20_000, outputBytes: 100_000 });
  if (exitCode !== 0) throw new Error(`${argv.join(' ')}: ${stderr}`);
}
async function write(dir: string, files: Readonly<Record<string, string>>): Promise<void> {
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(dir, name)), { recursive: true });
    await writeFile(join(dir, name), text);
  }
}
async function commit(dir: string, files: Readonly<Record<string, string>>, message: string): Promise<void> {
  await write(dir, files);
  await run(dir, ['git', 'add', '--all']);
  await run(dir, ['git', 'commit', '--quiet', '-m', message]);
}
const by = (persona: string): string => `work\n\nRun: r\nPersona: ${persona}\n`;

/** The fleet wrote two files; then a person changed one of them, and added another. */
async function repository(): Promise<string> {
  const dir = await tempFolder();
  await run(dir, ['git', 'init', '--quiet', '--initial-branch=main']);
  await commit(dir, { 'src/a.js': '1', 'src/b.js': '1' }, by('backend_developer'));
  await commit(dir, { 'web/page.js': '1', 'src/b.js': '2' }, by('frontend_developer'));
  await commit(dir, { 'src/a.js': '2', 'docs/x.md': 'x', 'src/odd.js': '1' }, 'by hand');
  await commit(dir, { 'src/odd.js': '2' }, by('Not A Name'));
  return dir;
}
const ownersOf = async (root: string, files: readonly string[]): Promise<(string | undefined)[]> => {
  const ownerOf = await projectOwners(root, silentLogger());
  return files.map(ownerOf);
};
const FILES = ['src/a.js', 'src/b.js', 'web/page.js', 'docs/x.md', 'src/odd.js', 'never.js'];

describe('who owns a file of a folder', () => {
  test('is the persona of the last commit on it, and nobody when a person changed it since', async () => {
    expect(await ownersOf(await repository(), FILES)).toEqual([
      undefined,
      'frontend_developer',
      'frontend_developer',
      undefined,
      undefined,
      undefined,
    ]);
  });

  test('is whom CODEOWNERS names where no commit names a persona', async () => {
    const dir = await repository();
    await write(dir, { '.github/CODEOWNERS': '* @acme/all\n/src/ @ann @bob # both\n', CODEOWNERS: '* @nobody\n' });
    expect(await ownersOf(dir, FILES)).toEqual([
      '@ann @bob',
      'frontend_developer',
      'frontend_developer',
      '@acme/all',
      '@ann @bob',
      '@acme/all',
    ]);
    expect(await ownersOf(join(dir, 'src'), ['a.js', 'b.js']), 'as seen from a folder of the repository').toEqual([
      '@ann @bob',
      'frontend_developer',
    ]);
  });

  test('is known in a work tree beside the repository, and without any repository by CODEOWNERS alone', async () => {
    const dir = await repository();
    const beside = join(await tempFolder(), 'tree');
    await run(dir, ['git', 'worktree', 'add', '--quiet', '--detach', beside]);
    expect(await ownersOf(beside, ['src/b.js'])).toEqual(['frontend_developer']);
    const plain = await tempFolder();
    await write(plain, { 'docs/CODEOWNERS': '*.js @js\n' });
    expect(await ownersOf(plain, ['src/deep/b.js', 'b.md'])).toEqual(['@js', undefined]);
    expect(await ownersOf(await tempFolder(), ['b.js'])).toEqual([undefined]);
  });

  test('is not guessed from a history that is cut off or damaged', async () => {
    const dir = await repository();
    const shallow = join(await tempFolder(), 'shallow');
    await commit(dir, { 'src/new.js': '1' }, by('qa_engineer'));
    await run(dir, ['git', 'clone', '--quiet', '--depth=1', `file://${dir}`, shallow]);
    expect(await ownersOf(shallow, ['src/b.js', 'src/new.js'])).toEqual([undefined, undefined]);
    await rename(join(dir, '.git', 'objects'), join(dir, '.git', 'gone'));
    await mkdir(join(dir, '.git', 'objects'));
    await write(dir, { CODEOWNERS: '* @acme/all\n' });
    expect(await ownersOf(dir, ['src/b.js'])).toEqual(['@acme/all']);
  });

  test('is read without running anything that the settings of the repository name', async () => {
    const dir = await repository();
    const mark = join(dir, 'ran');
    const evil = join(await tempFolder(), 'evil.sh');
    const signature = '-----BEGIN PGP SIGNATURE-----\n\nx\n-----END PGP SIGNATURE-----';
    const text = `#!/bin/sh\ntouch ${mark}\ncat > /dev/null\necho '${signature}'\necho '[GNUPG:] SIG_CREATED ' >&2\n`;
    await writeFile(evil, text, { mode: 0o755 });
    await run(dir, ['git', 'config', 'gpg.program', evil]);
    await run(dir, ['git', 'commit', '--quiet', '-S', '--allow-empty', '-m', 'signed']);
    await rm(mark);
    const settings = {
      'log.showSignature': 'true',
      'core.fsmonitor': evil,
      'core.pager': evil,
      'diff.external': evil,
      'remote.origin.url': `ext::${evil}`,
      'remote.origin.promisor': 'true',
      'remote.origin.uploadpack': evil,
      'protocol.ext.allow': 'always',
    };
    for (const [name, value] of Object.entries(settings)) await run(dir, ['git', 'config', name, value]);
    expect(await ownersOf(dir, ['src/b.js'])).toEqual(['frontend_developer']);
    await expect(access(mark)).rejects.toThrow('ENOENT');
  });
});

describe('a line of CODEOWNERS', () => {
  test.each([
    ['*', ['a', 'a/b/c.js'], []],
    ['*.js', ['a.js', 'x/y/a.js'], ['a.ts', 'a.js.txt']],
    ['/build/logs/', ['build/logs/a', 'build/logs/b/c'], ['build/logs', 'x/build/logs/a']],
    ['docs/*', ['docs/a.md'], ['docs/b/a.md', 'x/docs/a.md']],
    ['apps/', ['apps/a', 'x/apps/b/c'], ['apps']],
    ['/docs/', ['docs/a', 'docs/b/c'], ['x/docs/a']],
    ['**/logs', ['logs/a', 'build/logs/b', 'deep/er/logs'], ['logs.txt']],
    ['/src/**/test?.js', ['src/test1.js', 'src/a/b/test2.js'], ['src/test.js', 'test1.js']],
    ['src/util', ['src/util', 'src/util/a.js'], ['src/utils', 'lib/src/util']],
    ['with\\ space.md', ['with space.md'], ['with']],
  ])('with the pattern %s', (pattern, owned, others) => {
    const ownerOf = codeOwners(`${pattern} @team\n`);
    expect(owned.map((path) => [path, ownerOf(path)])).toEqual(owned.map((path) => [path, '@team']));
    expect(others.map((path) => [path, ownerOf(path)])).toEqual(others.map((path) => [path, undefined]));
  });

  test('counts when it is the last that matches, and may leave a file to nobody', () => {
    const ownerOf = codeOwners('# all\n* @all\n[Section]\n*.js @js\n/free.js\n');
    expect(['a.md', 'a.js', 'free.js'].map(ownerOf)).toEqual(['@all', '@js', undefined]);
  });

  test('takes no time to speak of, however it is meant', () => {
    const ownerOf = codeOwners(`${'*a'.repeat(2_000)}b @x\n${'**/a/'.repeat(500)}b @y\n`);
    const started = performance.now();
    expect(ownerOf(`${'a'.repeat(4_000)}/${'a/'.repeat(1_000)}c`)).toBeUndefined();
    expect(performance.now() - started).toBeLessThan(20_000);
  });
});

describe('a finding', () => {
  const finding = (message: string, file?: string, persona?: string): Finding => ({
    rule: 'r',
    severity: 'error',
    message,
    ...(file === undefined ? {} : { file }),
    ...(persona === undefined ? {} : { persona }),
  });

  test('is addressed by its file; one that is addressed already, or has no file, stays as it is', () => {
    const ownerOf = (file: string): string | undefined => ({ a: 'ann', b: '' })[file];
    const findings = [finding('1', 'a'), finding('2', 'b'), finding('3', 'c'), finding('4'), finding('5', 'a', 'bob')];
    expect(addressFindings(findings, ownerOf).map(({ persona }) => persona)).toEqual([
      'ann',
      undefined,
      undefined,
      undefined,
      'bob',
    ]);
  });

  test('is given to its owner first; what nobody of the phase owns is given to everybody', () => {
    const findings = [
      finding('ann 1', 'a', 'ann'),
      finding('bob', 'b', 'bob'),
      finding('free'),
      finding('ann 2', 'c', 'ann'),
      finding('old', 'd', 'architect'),
    ];
    const given = (persona: string): string[][] => {
      const { own, others } = findingsFor(findings, persona, ['ann', 'bob']);
      return [own, others].map((list) => list.map(({ message }) => message));
    };
    expect(given('ann')).toEqual([['ann 1', 'ann 2', 'free', 'old'], ['bob']]);
    expect(given('bob')).toEqual([
      ['bob', 'free', 'old'],
      ['ann 1', 'ann 2'],
    ]);
  });
});
