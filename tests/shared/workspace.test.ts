import { execFileSync } from 'node:child_process';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { silentLogger } from '../../src/shared/logger.ts';
import { openBlobStore } from '../../src/shared/open-blob-store.ts';
import { openSandbox } from '../../src/shared/sandbox/open-sandbox.ts';
import { type Source, type Workspace, cloneBundle, openWorkspace } from '../../src/shared/workspace.ts';

const scratch = realpathSync(mkdtempSync(join(tmpdir(), 'workspace-test-')));
const blobs = openBlobStore(join(scratch, 'blobs'));
let count = 0;
let place = '';
beforeEach(() => {
  place = join(scratch, `place-${(count += 1)}`);
  mkdirSync(place);
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const write = (root: string, files: Record<string, string>): void => {
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(root, name)), { recursive: true });
    writeFileSync(join(root, name), content);
  }
};
const commit = (workspace: Workspace, message = 'backend: work', minute = 0): Promise<string | null> =>
  workspace.commitAll({
    message,
    trailers: { 'Maestro-Run': '01J', 'Maestro-Phase': 'backend' },
    author: { name: 'backend_developer', email: 'backend_developer@maestro.invalid' },
    date: `2026-11-23T10:${String(minute).padStart(2, '0')}:00Z`,
  });
const open = (name: string, sources: Source[] = []) => openWorkspace({ dir: join(place, name), blobs, sources });

/** A phase's work: opens a workspace, writes files, commits, bundles. */
async function phase(label: string, sources: Source[], files: Record<string, string>, minute = 1): Promise<Source> {
  const { workspace, conflicts } = await open(`${label}-${Math.random()}`, sources);
  expect(conflicts).toEqual([]);
  write(workspace.dir, files);
  await commit(workspace, `${label}: work`, minute);
  return { label, ...(await workspace.bundle()) };
}

const gitIn = (dir: string, ...args: string[]): string =>
  execFileSync('git', ['-c', 'safe.directory=*', ...args], { cwd: dir, encoding: 'utf8' });

describe('a workspace', () => {
  test('without sources begins with the same empty commit everywhere', async () => {
    const [one, two] = [await open('one'), await open('two')];
    expect(await one.workspace.head()).toBe(await two.workspace.head());
    expect(await one.workspace.tree()).toBe('4b825dc642cb6eb9a060e54bf8d69288fbee4904');
    expect(readdirSync(one.workspace.dir)).toEqual([]);
  });

  test('goes back to a commit as a new folder would begin with it: without what git ignores', async () => {
    const { workspace } = await open('w');
    write(workspace.dir, { '.gitignore': 'dist\n', a: 'a' });
    const made = await commit(workspace);
    write(workspace.dir, { 'dist/b': 'b', 'new/c': 'c', a: 'other' });
    gitIn(workspace.dir, 'init', '-q', 'nested');
    await workspace.returnTo(made ?? '');
    expect(readdirSync(workspace.dir).toSorted()).toEqual(['.gitignore', 'a']);
    expect(readFileSync(join(workspace.dir, 'a'), 'utf8')).toBe('a');
  });

  test('commits what was written, with author, date and trailers', async () => {
    const { workspace } = await open('w');
    const before = await workspace.head();
    write(workspace.dir, { 'src/a.js': 'a', 'ümläut "x".txt': 'u' });
    const made = await commit(workspace);
    expect(made).toBe(await workspace.head());
    expect(await workspace.changedFiles(before)).toEqual([
      { status: 'added', file: 'src/a.js' },
      { status: 'added', file: 'ümläut "x".txt' },
    ]);
    await cloneBundle({ ...(await workspace.bundle()), blobs, dir: join(place, 'clone'), branch: 'main' });
    const shown = gitIn(
      join(place, 'clone'),
      'log',
      '-1',
      '--format=%an|%ai|%cn|%(trailers:key=Maestro-Run,valueonly)',
    );
    expect(shown.trim()).toBe('backend_developer|2026-11-23 10:00:00 +0000|Maestro Fleet|01J');
  });

  test('says when there is nothing to commit', async () => {
    const { workspace } = await open('w');
    expect(await commit(workspace)).toBeNull();
    write(workspace.dir, { a: '1' });
    await commit(workspace);
    write(workspace.dir, { a: '1' });
    expect(await commit(workspace)).toBeNull();
  });

  test('tells changed, deleted and added files apart', async () => {
    const first = await phase('design', [], { keep: 'k', change: 'c', drop: 'd' });
    const { workspace } = await open('w', [first]);
    write(workspace.dir, { change: 'C', more: 'm' });
    rmSync(join(workspace.dir, 'drop'));
    await commit(workspace);
    expect(await workspace.changedFiles(first.commit)).toEqual([
      { status: 'modified', file: 'change' },
      { status: 'deleted', file: 'drop' },
      { status: 'added', file: 'more' },
    ]);
  });

  test('leaves out what .gitignore names, as any repository does', async () => {
    const { workspace } = await open('w');
    write(workspace.dir, { '.gitignore': 'node_modules/\n', 'node_modules/x/index.js': 'x', a: 'a' });
    const before = await workspace.head();
    await commit(workspace);
    expect((await workspace.changedFiles(before)).map(({ file }) => file)).toEqual(['.gitignore', 'a']);
  });

  test('starts afresh where a killed worker left one', async () => {
    const first = await open('w');
    write(first.workspace.dir, { left: 'over' });
    await commit(first.workspace);
    const again = await open('w');
    expect(readdirSync(again.workspace.dir)).toEqual([]);
  });

  test('refuses trailers that would forge others', async () => {
    const { workspace } = await open('w');
    write(workspace.dir, { a: 'a' });
    const trailers = { 'Maestro-Run': 'x\nMaestro-Phase: security' };
    const author = { name: 'a', email: 'a@b' };
    const options = { message: 'm', trailers, author, date: '2026-11-23T10:00:00Z' };
    await expect(workspace.commitAll(options)).rejects.toMatchObject({ code: 'BAD_INPUT' });
  });
});

describe('merging', () => {
  test('a diamond holds the work of both sides, and the same inputs give the same commits', async () => {
    const build = async (): Promise<string[]> => {
      const design = await phase('design', [], { 'docs/design.md': 'design' }, 1);
      const backend = await phase('backend', [design], { 'src/backend/a.js': 'b' }, 2);
      const frontend = await phase('frontend', [design], { 'src/frontend/a.js': 'f' }, 3);
      const { workspace, conflicts } = await open(`testing-${Math.random()}`, [backend, frontend]);
      expect(conflicts).toEqual([]);
      const files = readdirSync(workspace.dir, { recursive: true }).map(String);
      expect(files).toEqual(expect.arrayContaining(['docs/design.md', 'src/backend/a.js', 'src/frontend/a.js']));
      return [design.commit, backend.commit, frontend.commit, await workspace.head()];
    };
    expect(await build()).toEqual(await build());
  });

  test('parallel roots share their beginning and merge', async () => {
    const [one, two] = [await phase('one', [], { a: '1' }), await phase('two', [], { b: '2' })];
    const three = await phase('three', [], { c: '3' });
    const { workspace, conflicts } = await open('w', [one, two, three]);
    expect(conflicts).toEqual([]);
    expect(readdirSync(workspace.dir)).toEqual(['a', 'b', 'c']);
  });

  test('a source that holds another is taken as it is', async () => {
    const first = await phase('first', [], { a: '1' });
    const second = await phase('second', [first], { b: '2' });
    expect(await (await open('forward', [first, second])).workspace.head()).toBe(second.commit);
    expect(await (await open('back', [second, first])).workspace.head()).toBe(second.commit);
  });

  test('a conflict names the file and both sides, changes nothing, and the others still merge', async () => {
    const design = await phase('design', [], { 'package.json': 'base\n', other: 'o' });
    const backend = await phase('backend', [design], { 'package.json': 'backend\n' });
    const docs = await phase('docs', [design], { 'docs.md': 'd' });
    const frontend = await phase('frontend', [design], { 'package.json': 'frontend\n', page: 'p' });
    const more = await phase('more', [design], { more: 'm' });
    const { workspace, conflicts } = await open('w', [backend, docs, frontend, more]);
    expect(conflicts).toEqual([{ file: 'package.json', labels: ['backend', 'frontend'] }]);
    expect(readFileSync(join(workspace.dir, 'package.json'), 'utf8')).toBe('backend\n');
    expect(readdirSync(workspace.dir)).toEqual(['docs.md', 'more', 'other', 'package.json']);
    expect(await commit(workspace)).toBeNull();
  });

  test('a conflict cannot be merged away by attributes in the tree', async () => {
    const design = await phase('design', [], { '.gitattributes': '* merge=union\n', list: 'base\n' });
    const left = await phase('left', [design], { list: 'left\n' });
    const right = await phase('right', [design], { list: 'right\n' });
    expect((await open('w', [left, right])).conflicts).toEqual([{ file: 'list', labels: ['left', 'right'] }]);
  });

  test('the base of a rework comes first', async () => {
    const design = await phase('design', [], { a: '1' });
    const before = await phase('backend', [design], { b: '1' });
    const other = await phase('frontend', [design], { c: '1' });
    const dir = join(place, 'w');
    const { workspace } = await openWorkspace({ dir, blobs, sources: [other], base: before });
    expect(readdirSync(workspace.dir)).toEqual(['a', 'b', 'c']);
  });
});

describe('hostile work', () => {
  test('cannot plant hooks, configuration or repositories', async () => {
    const { workspace } = await open('w');
    const proof = join(place, 'ran');
    const hook = `#!/bin/sh\ntouch ${proof}\n`;
    write(workspace.dir, {
      '.git/hooks/pre-commit': hook,
      '.git/config': `[core]\n\tfsmonitor = "touch ${proof}"\n\thooksPath = hooks\n`,
      '.git/HEAD': 'ref: refs/heads/evil\n',
      '.gitattributes': '* filter=evil diff=evil\n',
      'sub/.GIT/config': `[core]\n\tfsmonitor = "touch ${proof}"\n`,
      'nested/kept.txt': 'kept',
      'empty/.git': 'gitdir: /etc\n',
    });
    gitIn(join(workspace.dir, 'nested'), 'init', '--quiet');
    gitIn(join(workspace.dir, 'nested'), 'add', '.');
    gitIn(join(workspace.dir, 'nested'), '-c', 'user.name=x', '-c', 'user.email=x@y', 'commit', '--quiet', '-m', 'x');
    execFileSync('chmod', ['-R', '755', join(workspace.dir, '.git')]);
    const before = await workspace.head();
    await commit(workspace);
    expect(existsSync(proof)).toBe(false);
    expect((await workspace.changedFiles(before)).map(({ file }) => file)).toEqual([
      '.gitattributes',
      'nested/kept.txt',
    ]);
    expect(existsSync(join(workspace.dir, '.git'))).toBe(false);
  });

  test('cannot hide files from an export or change their bytes through attributes', async () => {
    const { workspace } = await open('w');
    write(workspace.dir, {
      '.gitattributes': 'secret.js export-ignore\n*.txt text eol=crlf ident\n',
      'secret.js': 's',
      'a.txt': 'line\r\nline\n$Id$\n',
    });
    await commit(workspace);
    expect(await workspace.exportTo(join(place, 'out'))).toEqual({ leftOut: [] });
    expect(readdirSync(join(place, 'out'))).toEqual(['.gitattributes', 'a.txt', 'secret.js']);
    expect(readFileSync(join(place, 'out/a.txt'), 'utf8')).toBe('line\r\nline\n$Id$\n');
  });

  test('cannot lead a reader out of an export through links', async () => {
    const { workspace } = await open('w');
    write(workspace.dir, { 'd/e/real.txt': 'r' });
    symlinkSync('/etc/passwd', join(workspace.dir, 'absolute'));
    symlinkSync('../../etc', join(workspace.dir, 'upwards'));
    symlinkSync('../..', join(workspace.dir, 'd/e/top'));
    symlinkSync(`top/../${readdirSync(place)[0] ?? ''}`, join(workspace.dir, 'd/e/sly'));
    symlinkSync('e/real.txt', join(workspace.dir, 'd/fine'));
    await commit(workspace);
    const { leftOut } = await workspace.exportTo(join(place, 'out'));
    expect(leftOut).toEqual(['absolute', 'd/e/sly', 'upwards']);
    expect(readFileSync(join(place, 'out/d/fine'), 'utf8')).toBe('r');
    expect(existsSync(join(place, 'out/.git'))).toBe(false);
  });

  test('written in the sandbox under another user is committed all the same', async () => {
    const cache = join(homedir(), '.cache', 'maestro-fleet');
    const sandbox = await openSandbox({ mode: 'auto', cache, logger: silentLogger() });
    const { workspace } = await open('w');
    write(workspace.dir, { 'a.txt': 'a' });
    const before = await workspace.head();
    const script = 'umask 077; mkdir d; echo b > d/b; echo c >> a.txt; git init -q .; ls -a /work/..; chmod 000 d/b';
    const mounts = [{ host: workspace.dir, inside: '/work', writable: true }];
    const result = await sandbox.run({ argv: ['sh', '-c', script], mounts, cwd: '/work' });
    expect(result).toMatchObject({ exitCode: 0, stderr: '' });
    await commit(workspace);
    expect((await workspace.changedFiles(before)).map(({ file }) => file)).toEqual(['a.txt', 'd/b']);
    expect(lstatSync(join(place, 'w', 'git')).uid).toBe(process.getuid?.());
  });
});

describe('a bundle', () => {
  test('carries the whole history to another folder, as an ordinary clean repository', async () => {
    const first = await phase('design', [], { 'a.txt': 'one\n' }, 1);
    const second = await phase('backend', [first], { 'a.txt': 'two\n', 'run.sh': '#!/bin/sh\n' }, 2);
    const dir = join(place, 'deep', 'clone');
    await cloneBundle({ bundle: second.bundle, commit: second.commit, blobs, dir, branch: 'main' });
    expect(gitIn(dir, 'status', '--porcelain', '--branch')).toBe('## main\n');
    expect(gitIn(dir, 'log', '--format=%s').trim().split('\n')).toEqual(['backend: work', 'design: work', 'Beginning']);
    expect(gitIn(dir, 'diff', '--stat', 'HEAD~1')).toContain('a.txt');
    expect(gitIn(dir, 'remote')).toBe('');
    expect(gitIn(dir, 'rev-parse', 'HEAD').trim()).toBe(second.commit);
    gitIn(place, 'clone', '--quiet', dir, 'again');
    expect(readFileSync(join(place, 'again/a.txt'), 'utf8')).toBe('two\n');
    expect(gitIn(dir, 'fsck', '--strict')).toBe('');
  });

  test('of the same commit has the same address', async () => {
    const { workspace } = await open('w');
    write(workspace.dir, { a: 'a' });
    await commit(workspace);
    expect(await workspace.bundle()).toEqual(await workspace.bundle());
  });

  test('that holds another commit than promised is refused', async () => {
    const [one, two] = [await phase('one', [], { a: '1' }), await phase('two', [], { a: '2' })];
    const forged = { ...one, commit: two.commit };
    await expect(open('w', [forged])).rejects.toMatchObject({ code: 'GIT_FAILED' });
    const later = await phase('later', [one], { b: '2' });
    const stale = { ...later, commit: one.commit };
    await expect(open('w', [stale])).rejects.toThrow(`holds commit ${later.commit}, not ${one.commit}`);
  });

  test('that is no bundle, or is missing, is an error', async () => {
    const one = await phase('one', [], { a: '1' });
    const junk = await blobs.put(Buffer.from('no bundle'));
    await expect(open('w', [{ ...one, bundle: junk }])).rejects.toMatchObject({ code: 'GIT_FAILED' });
    const elsewhere = openBlobStore(join(place, 'empty-store'));
    const opening = openWorkspace({ dir: join(place, 'x'), blobs: elsewhere, sources: [one] });
    await expect(opening).rejects.toMatchObject({ code: 'BLOB_UNAVAILABLE' });
  });

  test('is not cloned over files that are there', async () => {
    const one = await phase('one', [], { a: '1' });
    write(place, { 'full/mine.txt': 'mine' });
    const cloning = cloneBundle({ ...one, blobs, dir: join(place, 'full'), branch: 'main' });
    await expect(cloning).rejects.toMatchObject({ code: 'CONFLICT' });
    expect(readdirSync(join(place, 'full'))).toEqual(['mine.txt']);
  });
});
