import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type Revision, openRevision } from '../../../src/gates/integrity/revision.ts';
import { FleetError } from '../../../src/shared/errors.ts';
import { tempFolder } from '../../support/temp-folder.ts';
import { type Files, put } from './support.ts';

function git(cwd: string, ...args: string[]): string {
  const who = ['-c', 'user.name=A', '-c', 'user.email=a@example.invalid', '-c', 'init.defaultBranch=main'];
  return execFileSync('git', [...who, ...args], { cwd, encoding: 'utf8' }).trim();
}

async function repository(files: Files): Promise<string> {
  const root = await tempFolder();
  await put(root, files);
  git(root, 'init', '-q');
  git(root, 'add', '-A');
  git(root, 'commit', '-q', '-m', 'first');
  return root;
}

const open = async (root: string, ref = 'main'): Promise<Revision> =>
  openRevision({ root, ref, dir: await tempFolder() });
const changesOf = ({ changed }: Revision): string[] => changed.map(({ status, file }) => `${status} ${file}`);

test('a revision is the code before and the tests handed down; the work is the folder as it lies', async () => {
  const root = await repository({ 'a.txt': 'a\n', 'b.txt': 'b\n', 'c.txt': 'c\n', 'tests/a.test.js': '1\n' });
  const first = git(root, 'rev-parse', 'HEAD');
  await put(root, { 'a.txt': 'changed\n', 'b.txt': null, 'new.txt': 'new\n', 'c.txt': '-> a.txt' });
  const revision = await open(root);
  expect(revision.commit).toBe(first);
  expect(changesOf(revision)).toEqual(['modified a.txt', 'deleted b.txt', 'type-changed c.txt', 'added new.txt']);
  expect(await readFile(join(revision.baseRoot, 'a.txt'), 'utf8')).toBe('a\n');
  expect(revision.owners.get('tests/a.test.js')).toBe('the revision main');
  expect(revision.personas).toEqual([]);
  git(root, 'add', '-A');
  git(root, 'commit', '-q', '-m', 'second');
  expect(changesOf(await open(root, 'HEAD~1'))).toEqual(changesOf(revision));
  expect(changesOf(await open(root))).toEqual([]);
});

test('a folder of a repository is held against the same folder', async () => {
  const root = await repository({ 'app/src/a.js': '1\n', 'other/b.js': '2\n' });
  await put(root, { 'app/src/a.js': '3\n', 'other/b.js': '4\n' });
  expect(changesOf(await open(join(root, 'app')))).toEqual(['modified src/a.js']);
  await put(root, { 'young/src/a.js': '1\n' });
  expect(changesOf(await open(join(root, 'young')))).toEqual(['added src/a.js']);
});

test('a linked work tree is as good as the repository itself', async () => {
  const root = await repository({ 'a.txt': 'a\n' });
  const linked = join(await tempFolder(), 'linked');
  git(root, 'worktree', 'add', '-q', linked, '-b', 'side');
  await put(linked, { 'a.txt': 'b\n' });
  expect(changesOf(await open(linked))).toEqual(['modified a.txt']);
});

test('what git ignores is a leaving of tools, unless a collector would measure it', async () => {
  const root = await repository({
    '.gitignore': 'out/\n*.log\ntests/own/\nsrc/made.js\n__pycache__/\n',
    'src/a.js': '1\n',
  });
  await put(root, {
    'out/x.js': '',
    'b.log': '',
    'tests/own/new.test.js': '',
    'src/made.js': '',
    'src/__pycache__/a.pyc': '',
    'node_modules/a/index.js': '',
  });
  expect(changesOf(await open(root))).toEqual(['added src/made.js', 'added tests/own/new.test.js']);
});

test('links that were there are left alone; one that was added and leads out is stray', async () => {
  const root = await repository({ 'a.txt': '', old: '-> /etc/hostname' });
  await put(root, { out: '-> /etc/passwd', inside: '-> a.txt', nowhere: '-> gone' });
  expect((await open(root)).strayLinks).toEqual(['nowhere', 'out']);
});

test('no setting, filter or hook of the repository runs anything', async () => {
  const root = await repository({ 'a.txt': 'a\n', '.gitattributes': '*.txt filter=evil\n' });
  const ran = join(root, 'ran');
  for (const key of ['filter.evil.smudge', 'filter.evil.clean', 'core.fsmonitor', 'core.sshCommand'])
    git(root, 'config', key, `touch ${ran}; cat`);
  expect(changesOf(await open(root))).toEqual([]);
  expect(existsSync(ran)).toBe(false);
});

const faultOf = async (opening: Promise<Revision>): Promise<{ code: string; said: string }> => {
  const fault: unknown = await opening.catch((err: unknown) => err);
  if (!(fault instanceof FleetError)) throw new Error('it was opened');
  return { code: fault.code, said: `${fault.message}. ${fault.remedy}` };
};

test.each(['gone', '--upload-pack=touch x', ''])(
  'a revision that is not there (%j) is a mistake with a remedy',
  async (ref) => {
    const { code, said } = await faultOf(open(await repository({ 'a.txt': '' }), ref));
    expect(code).toBe('BAD_USAGE');
    expect(said).toMatch(/has no such revision\. Name a branch, a tag or a commit/);
  },
);

test('a folder in no repository is a mistake with a remedy', async () => {
  const { code, said } = await faultOf(open(await tempFolder()));
  expect(code).toBe('BAD_USAGE');
  expect(said).toMatch(/is in no git repository\. Run it in a clone, or leave --against out/);
});
