import { execFileSync } from 'node:child_process';
import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { readConfig } from '../../src/shared/config.ts';
import { silentLogger } from '../../src/shared/logger.ts';
import { ToolName } from '../../src/shared/persona-schema.ts';
import { openSandbox } from '../../src/shared/sandbox/open-sandbox.ts';
import type { Sandbox } from '../../src/shared/sandbox/sandbox.ts';
import { createToolBox } from '../../src/workers/agent/tools.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { NO_SANDBOX } from './agent-support.ts';

let sandbox: Sandbox;
beforeAll(async () => {
  const { cache } = readConfig({ XDG_CACHE_HOME: process.env['XDG_CACHE_HOME'] }, process.cwd());
  sandbox = await openSandbox({ mode: 'auto', cache, logger: silentLogger() });
});

async function toolsOn(options: {
  root?: string;
  tools?: readonly ToolName[];
  sandbox?: Sandbox;
  signal?: AbortSignal;
  runGates?: () => Promise<string>;
}) {
  const root = options.root ?? (await tempFolder());
  const box = createToolBox({
    root,
    sandbox: options.sandbox ?? NO_SANDBOX,
    runGates: options.runGates ?? (() => Promise.resolve('nothing')),
    signal: options.signal ?? new AbortController().signal,
    logger: silentLogger(),
    tools: options.tools ?? ToolName.options,
  });
  let calls = 0;
  const call = (name: string, input: unknown) => {
    calls += 1;
    return box.invoke({ id: `toolu_${calls}`, name, input, messageId: 'msg_1' });
  };
  return { root, box, call };
}

describe('the tools of a persona', () => {
  test('are only those its file lists, with a schema for each', async () => {
    const { box, call } = await toolsOn({ tools: ['read_file', 'search'] });
    expect(box.definitions.map((tool) => tool.name)).toEqual(['read_file', 'search']);
    expect(box.definitions[0]?.input_schema).toMatchObject({ type: 'object', required: ['path'] });
    expect(await call('shell', { command: 'id' })).toMatchObject({ isError: true, isRefused: true });
    expect((await call('raed_file', {})).text).toContain('did you mean "read_file"?');
  });

  test('say what is wrong with an input', async () => {
    const { call } = await toolsOn({});
    const answer = await call('read_file', { path: 'a', form: 1 });
    expect(answer).toMatchObject({ isError: true, isRefused: false });
    expect(answer.text).toContain('form');
  });

  test('answer with an error when they fail, and end only when the work is cancelled', async () => {
    const controller = new AbortController();
    const { call } = await toolsOn({ signal: controller.signal });
    expect(await call('shell', { command: 'id' })).toMatchObject({
      isError: true,
      text: 'shell failed: this test has no sandbox',
    });
    controller.abort();
    await expect(call('read_file', { path: 'a' })).rejects.toMatchObject({ code: 'CANCELLED' });
  });
});

describe('paths', () => {
  const OUTSIDE = [
    '../secret.txt',
    '/etc/passwd',
    'src/../../secret.txt',
    'link/secret.txt',
    'link',
    'file-link',
    'a\0b',
  ];
  const folder = async () => {
    const parent = await tempFolder();
    const root = join(parent, 'work');
    await mkdir(join(root, 'src'), { recursive: true });
    await writeFile(join(parent, 'secret.txt'), 'secret');
    await symlink('..', join(root, 'link'));
    await symlink('../secret.txt', join(root, 'file-link'));
    return { parent, root };
  };

  test.each(OUTSIDE)('that lead out are refused by every tool: %j', async (path) => {
    const { parent, root } = await folder();
    const { call } = await toolsOn({ root, sandbox });
    const inputs: [string, object][] = [
      ['read_file', { path }],
      ['write_file', { path, content: 'owned' }],
      ['edit_file', { path, old_text: 'secret', new_text: 'owned' }],
      ['list_files', { path }],
      ['search', { pattern: 'secret', path }],
    ];
    for (const [tool, input] of inputs) {
      const answer = await call(tool, input);
      expect({ tool, isError: answer.isError }).toEqual({ tool, isError: true });
      expect(answer.text).not.toContain('\tsecret');
    }
    expect(await readFile(join(parent, 'secret.txt'), 'utf8')).toBe('secret');
  });

  test('of links are deleted themselves, never what they point to', async () => {
    const { parent, root } = await folder();
    const { call } = await toolsOn({ root });
    expect(await call('delete_file', { path: 'link/secret.txt' })).toMatchObject({ isError: true });
    expect(await call('delete_file', { path: '../secret.txt' })).toMatchObject({ isError: true });
    expect(await call('delete_file', { path: join(parent, 'secret.txt') })).toMatchObject({
      isError: true,
      isRefused: true,
    });
    expect(await call('delete_file', { path: 'file-link' })).toMatchObject({ isError: false });
    expect(await readFile(join(parent, 'secret.txt'), 'utf8')).toBe('secret');
  });

  test('inside .git are out of reach', async () => {
    const { root } = await folder();
    await mkdir(join(root, '.git'));
    await writeFile(join(root, '.git/config'), 'x');
    await symlink('../.git', join(root, 'src/g'));
    const { call } = await toolsOn({ root });
    for (const path of ['.git/config', '.GIT/config', 'src/../.git/hooks/x', 'src/g/config']) {
      expect(await call('write_file', { path, content: 'y' })).toMatchObject({ isError: true });
      expect(await call('delete_file', { path })).toMatchObject({ isError: true });
      expect(await call('read_file', { path })).toMatchObject({ isError: true });
    }
    expect(await call('delete_file', { path: 'src/g/config' })).toMatchObject({ isError: true });
    expect(await readFile(join(root, '.git/config'), 'utf8')).toBe('x');
    expect((await call('list_files', {})).text).not.toContain('.git/');
  });
});

describe('files', () => {
  test('are read with numbers, by range, and marked as data', async () => {
    const { root, call } = await toolsOn({});
    await writeFile(join(root, 'a.txt'), 'one\ntwo\nthree\n');
    expect((await call('read_file', { path: 'a.txt' })).text).toMatch(
      /^<data-[0-9a-f]{16} file="a\.txt" lines="1-3 of 3">\n1\tone\n2\ttwo\n3\tthree\n<\/data-[0-9a-f]{16}>$/,
    );
    expect((await call('read_file', { path: 'a.txt', from: 2, to: 2 })).text).toContain('lines="2-2 of 3">\n2\ttwo\n<');
    expect(await call('read_file', { path: 'a.txt', from: 9 })).toMatchObject({ isError: true });
  });

  test('that are long come in pieces, and say where to go on', async () => {
    const { root, call } = await toolsOn({});
    await writeFile(
      join(root, 'long.txt'),
      Array.from({ length: 3_000 }, (_, index) => `line ${index + 1}`).join('\n'),
    );
    expect((await call('read_file', { path: 'long.txt' })).text).toContain('Continue with from: 2001.');
    await writeFile(join(root, 'wide.txt'), 'x'.repeat(300_000));
    expect((await call('read_file', { path: 'wide.txt' })).text.length).toBeLessThan(101_000);
  });

  test('that are binary or huge are refused', async () => {
    const { root, call } = await toolsOn({});
    await writeFile(join(root, 'a.bin'), Buffer.from([1, 0, 2]));
    await writeFile(join(root, 'latin.txt'), Buffer.from([0x66, 0xfc, 0x72]));
    await writeFile(join(root, 'huge.txt'), Buffer.alloc(5 * 1024 ** 2, 'a'));
    for (const path of ['a.bin', 'latin.txt', 'huge.txt']) {
      expect(await call('read_file', { path })).toMatchObject({ isError: true });
    }
  });

  test('that are pipes do not hold the tool up', async () => {
    const { root, call } = await toolsOn({});
    execFileSync('mkfifo', [join(root, 'pipe')]);
    expect(await call('read_file', { path: 'pipe' })).toMatchObject({ isError: true });
  });

  test('are edited only where the text occurs exactly once', async () => {
    const { root, call } = await toolsOn({});
    await writeFile(join(root, 'a.txt'), 'aaa $& b');
    const edit = (before: string, after: string) =>
      call('edit_file', { path: 'a.txt', old_text: before, new_text: after });
    expect((await edit('x', 'y')).text).toContain('does not occur');
    expect((await edit('aa', 'y')).text).toContain('occurs 2 times');
    expect(await edit('b', "$' $$")).toMatchObject({ isError: false });
    expect(await readFile(join(root, 'a.txt'), 'utf8')).toBe("aaa $& $' $$");
  });

  test('are traced to the call and message that wrote them, under the name git knows', async () => {
    const { root, call } = await toolsOn({});
    await mkdir(join(root, 'real'));
    await symlink('real', join(root, 'alias'));
    const { lineage } = await call('write_file', { path: './alias/../alias/x.txt', content: 'one' });
    expect(lineage).toEqual([
      {
        path: 'real/x.txt',
        sha256: '7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed',
        tool: 'write_file',
        toolUseId: 'toolu_1',
        messageId: 'msg_1',
      },
    ]);
    expect((await call('delete_file', { path: 'real/x.txt' })).lineage).toMatchObject([
      { path: 'real/x.txt', sha256: null },
    ]);
  });

  test('are listed with sizes, and links are not followed', async () => {
    const { root, call } = await toolsOn({});
    await mkdir(join(root, 'src'));
    await writeFile(join(root, 'src/a.js'), 'abc');
    await symlink('/etc', join(root, 'etc'));
    expect((await call('list_files', {})).text).toMatch(/\netc \(link\)\nsrc\/\nsrc\/a\.js 3 bytes\n/);
    expect((await call('list_files', { path: 'src' })).text).toContain('\na.js 3 bytes\n');
  });
});

describe('searching', () => {
  test('finds lines by a regular expression', async () => {
    const { root, call } = await toolsOn({ sandbox });
    await mkdir(join(root, 'src'));
    await writeFile(join(root, 'src/a.js'), 'const one = 1;\nconst two = 2;\n');
    await writeFile(join(root, '-b.txt'), 'const three');
    expect((await call('search', { pattern: 'const (two|three)' })).text).toContain(
      '-b.txt:1:const three\nsrc/a.js:2:const two = 2;',
    );
    expect((await call('search', { pattern: 'one', path: 'src/a.js' })).text).toContain('src/a.js:1:const one');
    expect((await call('search', { pattern: 'nothing like it' })).text).toBe('no match in 2 files');
    expect(await call('search', { pattern: '(' })).toMatchObject({ isError: true });
  });

  test('says which files are too large for it', async () => {
    const { root, call } = await toolsOn({ sandbox });
    await writeFile(join(root, 'large.js'), `needle\n${'x'.repeat(2_000_000)}`);
    const left = 'Files of more than 2 MB are not searched: 1 were left out.';
    expect((await call('search', { pattern: 'needle' })).text).toBe(`no match in 0 files\n${left}`);
    await writeFile(join(root, 'small.js'), 'needle');
    const { text } = await call('search', { pattern: 'needle' });
    expect(text).toContain('small.js:1:needle');
    expect(text).toContain(left);
  });

  test('with a pattern that never ends is ended', { timeout: 30_000 }, async () => {
    const { root, call } = await toolsOn({ sandbox });
    await writeFile(join(root, 'a.txt'), `${'a'.repeat(60)}!`);
    const answer = await call('search', { pattern: '^(a+)+$' });
    expect(answer).toMatchObject({ isError: true });
    expect(answer.text).toContain('took longer than');
  });
});

describe('commands', () => {
  test('run in the sandbox, and give exit code, output and what they changed', async () => {
    const { root, call } = await toolsOn({ sandbox });
    await writeFile(join(root, 'old.txt'), 'old');
    await writeFile(join(root, 'gone.txt'), 'gone');
    const answer = await call('shell', {
      command: 'printf one > new.txt; echo more >> old.txt; rm gone.txt; echo said; echo complained >&2; exit 3',
    });
    expect(answer.isError).toBe(false);
    expect(answer.text).toMatch(/^exit code 3 after \d+ ms\n<data-\w+ stream="stdout">\nsaid\n/);
    expect(answer.text).toContain('stream="stderr">\ncomplained\n');
    expect(answer.lineage.map(({ path, sha256 }) => [path, sha256?.slice(0, 8) ?? null])).toEqual([
      ['gone.txt', null],
      ['new.txt', '7692c3ad'],
      ['old.txt', expect.stringMatching(/^[0-9a-f]{8}$/)],
    ]);
  });

  test('that say very much are cut in the middle', async () => {
    const { call } = await toolsOn({ sandbox });
    const answer = await call('shell', { command: 'echo first; seq 1 20000; echo last' });
    expect(answer.text.length).toBeLessThan(32_000);
    expect(answer.text).toMatch(/first[\s\S]*characters left out[\s\S]*last/);
  });

  test('cannot write into .git', async () => {
    const { root, call } = await toolsOn({ sandbox });
    await mkdir(join(root, '.git'));
    await writeFile(join(root, '.git/config'), 'x');
    await call('shell', { command: 'echo y > .git/config; echo y > .git/more; rm -rf .git' });
    expect(await readFile(join(root, '.git/config'), 'utf8')).toBe('x');
  });
});

test('the gates can be asked for, and their table is data', async () => {
  const { call } = await toolsOn({ runGates: () => Promise.resolve('build_success_rate 1.0 passed') });
  expect((await call('run_gates', {})).text).toContain('build_success_rate 1.0 passed');
});
