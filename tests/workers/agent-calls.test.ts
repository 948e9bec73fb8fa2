import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import type { Sandbox } from '../../src/shared/sandbox/sandbox.ts';
import type { AgentNote } from '../../src/workers/agent/agent-options.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { HAND_OFF, NO_SANDBOX, playing, runWith } from './agent-support.ts';

/** Where commands take a while, and which of them ran at the same time is noted. */
function slowSandbox() {
  const log: string[] = [];
  let running = 0;
  const most = { atOnce: 0 };
  const sandbox: Sandbox = {
    ...NO_SANDBOX,
    kind: 'bwrap',
    async run({ argv }) {
      const name = argv.at(-1) === '200' ? `search ${argv.at(-3)}` : `shell ${argv.at(-1)}`;
      running += 1;
      most.atOnce = Math.max(most.atOnce, running);
      log.push(`begin ${name}`);
      await sleep(60);
      log.push(`end ${name}`);
      running -= 1;
      return {
        exitCode: 0,
        endedBy: 'exit',
        stdout: '\n0 0',
        stderr: '',
        truncated: false,
        durationMs: 60,
        signal: null,
      };
    },
  };
  return { sandbox, log, most };
}

const search = (pattern: string) => ({ tool: 'search', input: { pattern } });
const shell = (command: string) => ({ tool: 'shell', input: { command } });
const write = (path: string, content = path) => ({ tool: 'write_file', input: { path, content } });

describe('the calls of one answer', () => {
  test('run at the same time when they only read, and their results come back in the order they were asked', async () => {
    const { sandbox, log, most } = slowSandbox();
    const server = await playing([{ tools: ['a', 'b', 'c', 'd'].map(search) }, { tools: [HAND_OFF] }]);
    const { transcript } = await runWith(server.url, { tools: ['search'], sandbox });
    expect(most.atOnce).toBe(4);
    expect(log.slice(0, 4).toSorted()).toEqual([
      'begin search a',
      'begin search b',
      'begin search c',
      'begin search d',
    ]);
    const asked = JSON.stringify(transcript[1]).match(/toolu_\w+/g);
    expect(JSON.stringify(transcript[2]).match(/toolu_\w+/g)).toEqual(asked);
  });

  test('run one after the other when they change something, and what reads after them sees it', async () => {
    const { sandbox, log, most } = slowSandbox();
    const tools = [search('a'), search('b'), shell('one'), shell('two'), search('c')];
    const server = await playing([{ tools }, { tools: [HAND_OFF] }]);
    await runWith(server.url, { tools: ['search', 'shell'], sandbox });
    expect(most.atOnce).toBe(2);
    expect(log.slice(4)).toEqual(
      ['one', 'two']
        .flatMap((name) => [`begin shell ${name}`, `end shell ${name}`])
        .concat('begin search c', 'end search c'),
    );
    expect(log.slice(0, 4).toSorted()).toEqual(['begin search a', 'begin search b', 'end search a', 'end search b']);
  });

  test('are at most 128: what goes beyond is not run, and the model is told', async () => {
    const tools = Array.from({ length: 130 }, (_, index) => write(`${index}.txt`));
    const server = await playing([{ tools }, { tools: [HAND_OFF] }]);
    const { transcript, lineage, root } = await runWith(server.url);
    expect(lineage).toHaveLength(128);
    expect([127, 128].map((index) => existsSync(join(root, `${index}.txt`)))).toEqual([true, false]);
    expect(JSON.stringify(transcript).split('may hold 128 calls at most').length - 1).toBe(2);
  });

  test('count for the whole conversation, which is ended at its limit', async () => {
    const turn = (index: number) => ({ tools: [write(`${index}a`), write(`${index}b`)] });
    const server = await playing([turn(0), turn(1), turn(2), { tools: [HAND_OFF] }]);
    const root = await tempFolder();
    const failure = runWith(server.url, { maxCalls: 5, root });
    await expect(failure).rejects.toMatchObject({ code: 'AGENT_STUCK' });
    await expect(failure).rejects.toThrow('more than 5 tool calls');
    expect(await readFile(join(root, '1b'), 'utf8')).toBe('1b');
    expect(existsSync(join(root, '2a'))).toBe(false);
  });
});

describe('going round in circles', () => {
  const rounds = (count: number, tools: readonly unknown[]) => Array.from({ length: count }, () => ({ tools }));

  test('in a round of several calls is seen as well as with one', async () => {
    const notes: string[] = [];
    const [a, b] = [
      { tool: 'list_files', input: {} },
      { tool: 'read_file', input: { path: 'gone.txt' } },
    ];
    const turns = [[a], [b], [a], [b], [a], [b], [a], [b]].map((tools) => ({ tools }));
    const server = await playing([...turns, { tools: [HAND_OFF] }]);
    const failure = runWith(server.url, { onNote: (note) => void notes.push(JSON.stringify(note)) });
    await expect(failure).rejects.toMatchObject({ code: 'AGENT_STUCK', details: { circle: 'calls' } });
    expect(server.requests).toBe(7);
    expect(notes).toEqual([expect.stringContaining('a round of 2 calls that ends with read_file 3 times in a row')]);
  });

  test('is not taken for it when a command differs in its time alone, but that is no news either', async () => {
    const { sandbox } = slowSandbox();
    let ms = 100;
    const timed: Sandbox = {
      ...sandbox,
      run: async (command) => ({
        ...(await sandbox.run(command)),
        durationMs: (ms += 7),
        stdout: `# duration_ms ${ms}.25`,
      }),
    };
    const server = await playing([...rounds(5, [shell('npm test')]), { tools: [HAND_OFF] }]);
    await expect(runWith(server.url, { tools: ['shell'], sandbox: timed })).rejects.toMatchObject({
      code: 'AGENT_STUCK',
    });
    expect(server.requests).toBe(4);
  });

  test('by editing and undoing is warned of once and then ended', async () => {
    const edit = (from: string, to: string) => ({
      tools: [{ tool: 'edit_file', input: { path: 'a.js', old_text: from, new_text: to } }],
    });
    const pingPong = Array.from({ length: 8 }, (_, index) =>
      index % 2 === 0 ? edit('one', 'two') : edit('two', 'one'),
    );
    const server = await playing([{ tools: [write('a.js', 'one')] }, ...pingPong, { tools: [HAND_OFF] }]);
    const notes: AgentNote[] = [];
    const failure = runWith(server.url, { onNote: (note) => void notes.push(note) });
    await expect(failure).rejects.toMatchObject({ code: 'AGENT_STUCK', details: { circle: 'edits' } });
    await expect(failure).rejects.toThrow('a.js was set back 4 times');
    expect(notes).toMatchObject([{ type: 'circling', turn: 4 }]);
    expect(JSON.stringify(notes)).toContain('a.js was set back 2 times');
    expect(server.requests).toBe(6);
  });

  test('is not what undoing one edit is', async () => {
    const edits = ['one', 'two', 'one', 'three'].map((content) => ({ tools: [write('a.js', content)] }));
    const server = await playing([...edits, { tools: [HAND_OFF] }]);
    const notes: AgentNote[] = [];
    expect((await runWith(server.url, { onNote: (note) => void notes.push(note) })).turns).toBe(5);
    expect(notes).toEqual([]);
  });

  test('without any change and any news over several turns is warned of once and then ended', async () => {
    const reads = ['a', 'b', 'c', 'd', 'e'].map((name) => ({ tool: 'read_file', input: { path: `${name}.txt` } }));
    const files = { tools: ['a', 'b', 'c', 'd', 'e'].map((name) => write(`${name}.txt`)) };
    const [first, again] = [reads, [...reads, ...reads].slice(0, 8)].map((list) =>
      list.map((tool) => ({ tools: [tool] })),
    );
    const server = await playing([files, ...(first ?? []), ...(again ?? []), { tools: [HAND_OFF] }]);
    const notes: AgentNote[] = [];
    const failure = runWith(server.url, { maxTurns: 30, onNote: (note) => void notes.push(note) });
    await expect(failure).rejects.toMatchObject({ code: 'AGENT_STUCK', details: { circle: 'idle' } });
    expect(notes).toMatchObject([{ type: 'circling', turn: 11 }]);
    expect(JSON.stringify(notes)).toContain('5 turns in a row');
    expect(server.requests).toBe(14);
  });
});
