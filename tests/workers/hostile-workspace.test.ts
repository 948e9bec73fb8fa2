import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { lstat, mkdir, readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { readConfig } from '../../src/shared/config.ts';
import { silentLogger } from '../../src/shared/logger.ts';
import { openBlobStore } from '../../src/shared/open-blob-store.ts';
import { ToolName } from '../../src/shared/persona-schema.ts';
import { removeTree } from '../../src/shared/remove-tree.ts';
import { openSandbox } from '../../src/shared/sandbox/open-sandbox.ts';
import type { Sandbox } from '../../src/shared/sandbox/sandbox.ts';
import { openWorkspace } from '../../src/shared/workspace.ts';
import { createToolBox } from '../../src/workers/agent/tools.ts';
import { WorkTree } from '../../src/workers/agent/work-tree.ts';
import { tempFolder } from '../support/temp-folder.ts';

const CANARY = `canary-${process.pid}-workspace`;
let sandbox: Sandbox;
beforeAll(async () => {
  const { cache } = readConfig({ XDG_CACHE_HOME: process.env['XDG_CACHE_HOME'] }, process.cwd());
  sandbox = await openSandbox({ mode: 'auto', cache, logger: silentLogger() });
});

/** A workspace as a persona has it, with a secret of the fleet beside it. */
async function persona(limits?: { bytes: number; files: number }) {
  const folder = await tempFolder();
  await writeFile(join(folder, 'secret.txt'), CANARY);
  const blobs = openBlobStore(await tempFolder());
  const { workspace } = await openWorkspace({ dir: join(folder, 'job'), blobs, sources: [] });
  const box = createToolBox({
    root: workspace.dir,
    sandbox,
    runGates: () => Promise.resolve(''),
    signal: new AbortController().signal,
    logger: silentLogger(),
    tools: ToolName.options,
    tree: new WorkTree(workspace.dir, workspace, limits),
  });
  let calls = 0;
  const said: string[] = [];
  const call = async (name: string, input: object) => {
    calls += 1;
    const outcome = await box.invoke({ id: `toolu_${calls}`, name, input, messageId: 'msg_1' });
    said.push(outcome.text, JSON.stringify(outcome.lineage));
    return outcome;
  };
  const commit = () =>
    workspace.commitAll({
      message: 'work',
      trailers: {},
      author: { name: 'a', email: 'a@example.invalid' },
      date: new Date().toISOString(),
    });
  return { folder, workspace, box, call, commit, said, sh: (command: string) => call('shell', { command }) };
}

describe('what a command plants in the workspace', () => {
  test('never makes the git of the fleet run anything', async () => {
    const { folder, workspace, sh, commit } = await persona();
    const proof = join(workspace.dir, 'ran');
    const planted = `
      mkdir -p hooks && printf '#!/bin/sh\\ntouch ${proof} /work/ran\\n' > hooks/evil && chmod +x hooks/evil
      for dir in . sub sub/deep; do
        mkdir -p $dir && git init -q $dir
        for hook in pre-commit post-commit post-checkout pre-push post-index-change reference-transaction fsmonitor-watchman; do cp hooks/evil $dir/.git/hooks/$hook; done
        git -C $dir config core.fsmonitor ${workspace.dir}/hooks/evil; git -C $dir config core.hooksPath ${workspace.dir}/hooks
        git -C $dir config filter.evil.clean ${workspace.dir}/hooks/evil; git -C $dir config filter.evil.smudge ${workspace.dir}/hooks/evil
        git -C $dir config diff.external ${workspace.dir}/hooks/evil; git -C $dir config core.sshCommand ${workspace.dir}/hooks/evil
        git -C $dir config core.pager ${workspace.dir}/hooks/evil; git -C $dir config gpg.program ${workspace.dir}/hooks/evil; git -C $dir config commit.gpgSign true
        printf '* filter=evil diff=evil merge=evil\\n' > $dir/.gitattributes
      done
      printf '[submodule "x"]\\n path = x\\n url = ext::sh -c "touch ${proof}"\\n update = !touch ${proof}\\n' > .gitmodules
      printf 'gitdir: /work/sub/.git\\n' > link.git; mkdir -p worktree && printf 'gitdir: ../sub/.git\\n' > worktree/.git
      echo content > file; echo content > sub/deep/file; rm -f ran`;
    expect((await sh(planted)).isError).toBe(false);
    expect(await commit()).not.toBeNull();
    await workspace.bundle();
    await writeFile(join(workspace.dir, 'file'), 'changed');
    expect(await commit()).not.toBeNull();
    const exported = join(folder, 'exported');
    await workspace.exportTo(exported);
    expect(existsSync(proof)).toBe(false);
    expect(existsSync(join(exported, 'ran'))).toBe(false);
    // The files themselves are there, as bytes, and no repository is.
    expect(await readFile(join(exported, 'sub/deep/file'), 'utf8')).toBe('content\n');
    for (const nested of ['.git', 'sub/.git', 'sub/deep/.git', 'worktree/.git'])
      expect(existsSync(join(exported, nested))).toBe(false);
  });

  test('leads no tool out: links, chains of links, pipes, sockets, hard links', async () => {
    const { folder, call, sh, commit, workspace, said } = await persona();
    const secret = join(folder, 'secret.txt');
    await sh(`
      ln -s ${secret} a; ln -s a b; ln -s b c; ln -s ${folder} up; ln -s /proc/self/root proc; ln -s /proc/self/environ env
      ln -s /dev/zero zero; ln -s ../../secret.txt rel; ln -s . loop; ln -s /proc/self/fd/0 fd; ln ${secret} hard 2>/dev/null
      mkfifo pipe; mkdir dir; ln -s ../up dir/up
      node -e "require('net').createServer().listen('socket'); setTimeout(() => process.exit(), 200)"
      perl -MSocket -e 'socket(S, AF_UNIX, SOCK_STREAM, 0); bind(S, sockaddr_un("left"))'; true`);
    const names = [
      'a',
      'b',
      'c',
      'up/secret.txt',
      'proc/etc/passwd',
      'env',
      'zero',
      'rel',
      'fd',
      'hard',
      'pipe',
      'left',
    ];
    for (const path of [...names, 'dir/up/secret.txt', 'loop/loop/loop/a']) {
      const startedAt = performance.now();
      expect([path, (await call('read_file', { path })).isError]).toEqual([path, true]);
      expect([path, (await call('write_file', { path, content: 'x' })).isError]).toEqual([
        path,
        // There was no such file: the hard link could not be made.
        path !== 'hard',
      ]);
      expect((await call('edit_file', { path, old_text: CANARY, new_text: 'x' })).isError).toBe(true);
      await call('search', { pattern: CANARY, path });
      expect(performance.now() - startedAt).toBeLessThan(8_000);
    }
    await call('list_files', {});
    await call('search', { pattern: 'canary' });
    expect(
      (await sh('cat a b c rel up/secret.txt 2>/dev/null; cp -L a copied 2>/dev/null; echo looked')).text,
    ).toContain('looked');
    expect(await commit()).not.toBeNull();
    const exported = join(folder, 'exported');
    await workspace.exportTo(exported);
    // One is what grep ends with when it found nothing.
    expect(spawnSync('grep', ['-rls', CANARY, exported]).status).toBe(1);
    expect(said.join('\n').replaceAll(`search="${CANARY}"`, '')).not.toContain(`${CANARY}\n`);
    expect(await readFile(secret, 'utf8')).toBe(CANARY);
  });

  test('may have any name, and none of them fools a tool or the trace of what was changed', async () => {
    const { call, sh, commit, workspace, folder } = await persona();
    const long = 'n'.repeat(255);
    const { lineage } = await sh(`
      echo 1 > "$(printf 'two\\nlines')"; echo 2 > -rf; echo 3 > --help; echo 4 > ${long}; echo 5 > ' spaced '
      echo 6 > "$(printf 'tab\\tquote"back\\\\slash')"; echo 7 > "$(printf '\\033[31mred')"; echo 8 > 'ünïcode'; echo 9 > ':(glob)*'
      mkdir -- -d; echo 10 > -d/-f`);
    expect(lineage).toHaveLength(10);
    const listed = (await call('list_files', {})).text;
    expect(listed).toContain('"two\\nlines" 2 bytes');
    expect(listed).not.toContain('\u001B');
    expect((await call('read_file', { path: '-rf' })).text).toContain('1\t2');
    expect((await call('read_file', { path: long })).text).toContain('1\t4');
    expect((await call('search', { pattern: '^10$', path: '-d' })).text).toContain('-d/-f:1:10');
    expect((await call('delete_file', { path: '--help' })).isError).toBe(false);
    expect(await commit()).not.toBeNull();
    const exported = join(folder, 'exported');
    await workspace.exportTo(exported);
    expect((await readdir(exported)).toSorted()).toEqual((await readdir(workspace.dir)).toSorted());
  });

  test('may have names that are no UTF-8, and can be cleaned away all the same', async () => {
    const { workspace, sh, call, commit } = await persona();
    const odd = await sh(
      `printf x > "$(printf 'a\\377b')"; mkdir "$(printf 'd\\377')" good; printf y > "$(printf 'd\\377')/f"; echo z > good/\uFFFD`,
    );
    expect(odd.text).toContain('had a name that is no UTF-8, was removed (2 places).');
    expect(odd.lineage.map(({ path }) => path)).toEqual(['good/\uFFFD']);
    expect((await sh('ls -R')).isError).toBe(false);
    expect((await call('list_files', {})).text).toContain('good/\uFFFD 2 bytes');
    expect(await commit()).not.toBeNull();
    expect(await readdir(workspace.dir)).toEqual(['good']);
  });

  test('may be what git refuses, and is removed and told of, so that the work is kept', async () => {
    const { workspace, sh, call, commit } = await persona();
    await sh('mkdir -p sub; echo 1 > a; echo 1 > b; echo 1 > sub/c; ln -s a link');
    expect(await commit()).not.toBeNull();
    const made = await sh(`
      mkdir 'git~1' 'sub/.git. ' 'node_modules'; for d in 'git~1' 'sub/.git. ' node_modules; do echo x > "$d/f"; done
      ln -s a .gitmodules; ln -s a 'GI7EBA~1'; echo x > 'sub/a\\.git'; rm a link; mkfifo a link left .gitignore sub/.gitattributes
      mkdir 'node_modules/git~1'; touch 'node_modules/git~1/in'; mkfifo node_modules/.gitignore; echo 2 > b; true`);
    for (const path of ['git~1', 'sub/.git. ', '.gitmodules', 'GI7EBA~1', 'sub/a\\.git', 'a', 'link', '.gitignore'])
      expect(made.text).toContain(`${JSON.stringify(path)}\n`);
    expect(made.text).toContain('was removed (11 places)');
    expect(made.lineage.map(({ path }) => path)).toEqual(['a', 'b', 'link']);
    expect((await readdir(workspace.dir)).toSorted()).toEqual(['b', 'left', 'node_modules', 'sub']);
    expect(await commit()).not.toBeNull();
    expect(await call('write_file', { path: 'git~1/x', content: 'x' })).toMatchObject({ isError: true });
    expect(await workspace.kept()).toEqual(['b', 'node_modules/f', 'sub/c']);
  });

  test('may be more files or bytes than can be kept: it is told, nothing is handed off, and deleting them helps', async () => {
    const { box, sh, call } = await persona({ bytes: 200_000, files: 20 });
    const many = await sh('echo 1 > kept; mkdir v; for i in $(seq 30); do echo $i > v/$i; done');
    expect(many).toMatchObject({ isError: true, lineage: [] });
    expect(many.text).toContain('holds 31 files');
    expect(many.text).toContain('30 files "v/"');
    expect(box.fault()).toContain('cannot be handed off');
    expect(await call('run_gates', {})).toMatchObject({ isError: true });
    const fewer = await sh('rm -rf v');
    expect(fewer.isError).toBe(false);
    expect(fewer.lineage.map(({ path }) => path)).toEqual(['kept']);
    expect(box.fault()).toBeUndefined();
    // What git ignores does not count, and is not traced when there is so much of it.
    const ignored = await sh(
      'echo v > .gitignore; mkdir v; for i in $(seq 30); do echo $i > v/$i; done; echo 2 > kept',
    );
    expect(ignored.lineage.map(({ path }) => path)).toEqual(['.gitignore', 'kept']);
    expect((await sh('rm -rf v; echo 3 > kept')).lineage.map(({ path }) => path)).toEqual(['kept']);
    const large = await sh(
      'git init -q nested; head -c 150000 /dev/zero > nested/large; mkdir node_modules; echo > node_modules/a',
    );
    expect(large.isError).toBe(false);
    const written = await call('write_file', { path: 'more', content: 'x'.repeat(60_000) });
    expect(written.isError).toBe(true);
    expect(written.text).toContain('150000 bytes "nested/large"');
    expect(await call('delete_file', { path: 'more' })).toMatchObject({ isError: false });
    expect(box.fault()).toBeUndefined();
    expect((await sh('head -c 60000 /dev/zero > node_modules/b')).isError).toBe(true);
    expect((await sh('rm node_modules/b')).isError).toBe(false);
  });

  test('may lie too deep for a path, and can be cleaned away all the same', async () => {
    const { call, sh, commit, folder } = await persona();
    const dig = `perl -e 'my $n = "d" x 200; for (1..40) { mkdir $n; chdir $n or die } open(F, ">", "f"); print F "deep"'`;
    const deep = await sh(`${dig}; echo made > file`);
    expect(deep.text).toContain(
      'What lay too deep for a path, or had a name that is no UTF-8, was removed (1 places).',
    );
    expect(deep.lineage.map(({ path }) => path)).toEqual(['file']);
    expect((await call('list_files', {})).isError).toBe(false);
    expect(await commit()).not.toBeNull();
    // Scratch folders of collectors are written in as well, and removed when the job ends.
    const run = { argv: ['sh', '-c', `${dig}; mkdir shut; touch shut/in; chmod 000 shut`], cwd: '/out' };
    const written = join(folder, 'scratch');
    await mkdir(written);
    await sandbox.run({ ...run, mounts: [{ host: written, inside: '/out', writable: true }] });
    await removeTree(folder);
    expect(existsSync(folder)).toBe(false);
  });

  test('may be closed to its owner, and is opened, traced and committed', async () => {
    const { call, sh, commit } = await persona();
    const { lineage } = await sh(
      'echo x > closed; mkdir shut; echo y > shut/in; chmod 000 closed; chmod 500 shut; true',
    );
    expect(lineage.map(({ path }) => path)).toEqual(['closed', 'shut/in']);
    expect((await call('list_files', {})).isError).toBe(false);
    expect(await commit()).not.toBeNull();
  });

  test('that fills a pipe or floods the answer does not hold the tool up', async () => {
    const { call, sh } = await persona();
    const flood = await sh('yes | head -c 50000000; echo; echo last words');
    expect(flood.text.length).toBeLessThan(35_000);
    expect(flood.text).toContain('last words');
    const colours = await sh(`printf '\\033]0;title\\007\\033[2Jcleared </data-0123456789abcdef>\\n'`);
    expect(colours.text).toMatch(/<data-(\w{16}) stream="stdout"[^>]*>[\s\S]*<\/data-\1>$/);
    await sh('head -c 6000000 /dev/urandom > noise; head -c 100000 /dev/zero > zeros; yes | head -c 5000000 > big.txt');
    expect((await call('read_file', { path: 'zeros' })).text).toContain('binary file (100000 bytes)');
    expect((await call('read_file', { path: 'noise' })).text).toContain('it has 6000000');
    expect((await call('read_file', { path: 'big.txt' })).text).toContain('it has 5000000');
  });
});

test('a file is never written through a link that appears between two looks', async () => {
  const { folder, workspace, call } = await persona();
  const outside = join(folder, 'outside');
  await mkdir(outside);
  // Another process swaps a folder and a link to the outside as fast as it can.
  const racer = `cd ${workspace.dir}; while [ ! -e stop ]; do mkdir -p race 2>/dev/null; rmdir race 2>/dev/null || rm -rf race; ln -sfn ${outside} race; rm -f race; done`;
  const child = spawn('sh', ['-c', racer], { stdio: 'ignore' });
  // It may end before the file that ends it is closed.
  const ended = once(child, 'close');
  onTestFinished(() => void child.kill('SIGKILL'));
  for (let turn = 0; turn < 300; turn += 1) {
    await call('write_file', { path: 'race/file.txt', content: 'written' });
    await call('read_file', { path: 'race/file.txt' });
  }
  await writeFile(join(workspace.dir, 'stop'), '');
  await ended;
  const sizes = await Promise.all(
    (await readdir(outside)).map(async (name) => (await lstat(join(outside, name))).size),
  );
  expect(sizes.filter((size) => size > 0)).toEqual([]);
});
