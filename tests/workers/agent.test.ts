import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { AgentCheckpoint, type Loaded } from '../../src/workers/agent/checkpoint.ts';
import { checkHandoff } from '../../src/workers/agent/check-handoff.ts';
import type { AgentTurn } from '../../src/workers/agent/agent-options.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { HAND_OFF, playing, runWith } from './agent-support.ts';

const write = (path: string, content: string) => ({ tool: 'write_file', input: { path, content } });

/** Keeps every checkpoint as the text a blob store would hold. */
function memoryStore(start: string | null = null) {
  const saved: string[] = [];
  const restarts: string[] = [];
  return {
    saved,
    restarts,
    load: () =>
      Promise.resolve<Loaded>(
        start === null ? { state: 'none' } : { state: 'saved', checkpoint: AgentCheckpoint.parse(JSON.parse(start)) },
      ),
    restore: () => Promise.resolve(undefined),
    startOver: (reason: string) => {
      restarts.push(reason);
      return Promise.resolve();
    },
    save: (checkpoint: AgentCheckpoint) => {
      saved.push(JSON.stringify(checkpoint));
      return Promise.resolve();
    },
  };
}

describe('a conversation', () => {
  test('writes files with several tools in one turn, and ends with what was handed over', async () => {
    const server = await playing([
      { say: 'I write two files.', tools: [write('src/a.js', 'export const a = 1;\n'), write('b.txt', 'b')] },
      { tools: [{ tool: 'hand_off', input: { summary: 'two files', files: ['src/a.js'] } }] },
    ]);
    const turns: AgentTurn[] = [];
    const result = await runWith(server.url, { onTurn: (turn) => void turns.push(turn) });
    expect(result.final).toMatchObject({ summary: 'two files', files: ['src/a.js'], claims: [] });
    expect(await readFile(join(result.root, 'src/a.js'), 'utf8')).toBe('export const a = 1;\n');
    expect(turns.map((turn) => turn.tools)).toEqual([['write_file', 'write_file'], ['hand_off']]);
    expect(result).toMatchObject({ turns: 2, simulated: true, wroteFiles: true, resumed: 'fresh' });
    expect(server.requests).toBe(2);
  });

  test('records every call, and every file with the call and message that wrote it', async () => {
    const server = await playing([{ tools: [write('a.txt', 'one')] }, { tools: [HAND_OFF] }]);
    const { calls, lineage, usage } = await runWith(server.url);
    expect(calls).toHaveLength(2);
    expect(calls[0]).toMatchObject({
      outcome: 'answered',
      modelAsked: 'claude-sonnet-5-5',
      modelAnswered: 'scripted-1',
      host: new URL(server.url).host,
      status: 200,
      stopReason: 'tool_use',
      simulated: true,
    });
    expect(calls[0]?.requestId).toMatch(/^req_scripted_/);
    expect(calls[0]?.requestSha256).not.toBe(calls[1]?.requestSha256);
    expect(calls[0]?.responseSha256).toMatch(/^[0-9a-f]{64}$/);
    expect(lineage).toEqual([
      {
        path: 'a.txt',
        sha256: '7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed',
        tool: 'write_file',
        toolUseId: `${calls[0]?.messageId?.replace('msg_', 'toolu_')}_0`,
        messageId: calls[0]?.messageId,
      },
    ]);
    expect(usage).toMatchObject({ calls: 2, costUsd: 0 });
  });

  test('tells of each turn when it began, and how long the model and the tools took', async () => {
    const server = await playing([{ tools: [{ tool: 'run_gates', input: {} }], delay_ms: 150 }, { tools: [HAND_OFF] }]);
    const turns: AgentTurn[] = [];
    const began = Date.now();
    const runGates = () => new Promise<string>((done) => setTimeout(done, 120, 'measured'));
    await runWith(server.url, { tools: ['run_gates'], runGates, onTurn: (turn) => void turns.push(turn) });
    const [first, second] = turns.map((turn) => turn.timing);
    expect(first?.modelMs).toBeGreaterThanOrEqual(149);
    expect(first?.toolMs).toBeGreaterThanOrEqual(119);
    const ends = Date.parse(first?.startedAt ?? '') + (first?.modelMs ?? 0) + (first?.toolMs ?? 0);
    expect(Date.parse(first?.startedAt ?? '')).toBeGreaterThanOrEqual(began);
    expect(Date.parse(second?.startedAt ?? '')).toBeGreaterThanOrEqual(ends - 2);
    expect(second?.toolMs).toBeLessThan(119);
  });

  test('reads from the cache what the turn before it wrote', async () => {
    const big = write('a.txt', 'x'.repeat(20_000));
    const server = await playing([{ tools: [big] }, { tools: [write('b.txt', 'b')] }, { tools: [HAND_OFF] }]);
    const { calls } = await runWith(server.url);
    // The first request is shorter than anything that is cached.
    expect(calls.map((call) => call.usage.cacheReadTokens > 0)).toEqual([false, false, true]);
    expect(calls[2]?.usage.cacheReadTokens).toBeGreaterThan(5_000);
    expect(calls[2]?.usage.inputTokens).toBe(0);
  });

  test('is given the tools of the persona and no others; asking for another is refused and recorded', async () => {
    const server = await playing([{ tools: [{ tool: 'shell', input: { command: 'id' } }] }, { tools: [HAND_OFF] }]);
    const result = await runWith(server.url);
    expect(result.refusedCalls).toMatchObject([{ tool: 'shell' }]);
    expect(JSON.stringify(result.transcript)).toContain('the tool shell is not among your tools');
    expect(result.wroteFiles).toBe(false);
  });

  test('tells the model what is wrong with an input, and goes on', async () => {
    const server = await playing([
      { tools: [{ tool: 'write_file', input: { path: 7 } }] },
      { tools: [{ tool: 'read_file', input: { path: 'nothing.txt' } }] },
      { tools: [HAND_OFF] },
    ]);
    const text = JSON.stringify((await runWith(server.url)).transcript);
    expect(text).toContain('the input of write_file is not valid:\\npath: ');
    expect(text).toContain('content: ');
    expect(text).toContain('read_file failed');
  });

  test('a hand-off that is not valid is sent back with the reasons, three times at most', async () => {
    const bad = { tools: [{ tool: 'hand_off', input: { sumary: 'typo' } }] };
    const mended = await playing([bad, { tools: [HAND_OFF] }]);
    const result = await runWith(mended.url);
    expect(JSON.stringify(result.transcript)).toContain('summary: ');
    const hopeless = await playing([bad, bad, bad, bad, { tools: [HAND_OFF] }]);
    await expect(runWith(hopeless.url)).rejects.toMatchObject({ code: 'AGENT_STUCK', retry: false });
    expect(hopeless.requests).toBe(4);
  });

  test('nothing is handed over in a turn in which a tool failed', async () => {
    const server = await playing([
      { tools: [{ tool: 'read_file', input: { path: 'gone.txt' } }, HAND_OFF] },
      { tools: [HAND_OFF] },
    ]);
    const result = await runWith(server.url);
    expect(result.turns).toBe(2);
    expect(JSON.stringify(result.transcript)).toContain('read_file failed in the same turn');
  });

  test('a model that goes round in circles is warned once and then stopped', async () => {
    const again = { tools: [{ tool: 'list_files', input: {} }] };
    const server = await playing([again, again, again, again, again, { tools: [HAND_OFF] }]);
    await expect(runWith(server.url)).rejects.toMatchObject({ code: 'AGENT_STUCK', retry: false });
    expect(server.requests).toBe(4);
    const warned = await playing([again, again, again, { tools: [HAND_OFF] }]);
    const text = JSON.stringify((await runWith(warned.url)).transcript);
    expect(text.split('3 times in a row').length - 1).toBe(1);
  });

  test('a model that never hands over is stopped at the limit of turns', async () => {
    const turns = Array.from({ length: 6 }, (_, index) => ({ tools: [write('a.txt', `${index}`)] }));
    const server = await playing(turns);
    await expect(runWith(server.url, { maxTurns: 4 })).rejects.toThrow('within 4 turns');
    expect(server.requests).toBe(4);
  });
});

describe('a hand-off', () => {
  test('that names files which are not there leaves findings', async () => {
    const root = await tempFolder();
    const handoff = {
      summary: 's',
      decisions: [],
      contracts: [],
      files: ['a.js', '../../etc/passwd'],
      open_questions: [],
      claims: [],
    };
    const findings = await checkHandoff({ handoff, root });
    expect(findings.map((finding) => finding.file)).toEqual(['a.js', '../../etc/passwd']);
  });
});

describe('a checkpoint', () => {
  const turns = [
    { tools: [write('a.txt', 'a')] },
    { tools: [write('b.txt', 'b')] },
    { tools: [{ tool: 'hand_off', input: { summary: 'both' } }] },
  ];

  test('lets another worker go on from every point, and buys no turn twice', async () => {
    const server = await playing(turns);
    const first = memoryStore();
    const whole = await runWith(server.url, { checkpoint: first });
    expect(first.saved).toHaveLength(6);
    for (const [index, saved] of first.saved.entries()) {
      const other = await playing(turns);
      const resumed = await runWith(other.url, { checkpoint: memoryStore(saved), root: whole.root, attempt: 2 });
      expect(resumed.final).toEqual(whole.final);
      expect(resumed.transcript).toEqual(whole.transcript);
      expect(resumed.lineage).toEqual(whole.lineage);
      expect(resumed.calls).toHaveLength(3);
      expect(resumed.resumed).toBe('resumed');
      expect(other.requests).toBe(2 - Math.floor(index / 2));
    }
  });

  test('is where a pause leaves the conversation: no call is made after it, and none is bought twice', async () => {
    const server = await playing(turns);
    const store = memoryStore();
    let left = 2;
    const pausePoint = (): void => {
      left -= 1;
      if (left < 0) throw new Error('paused');
    };
    const root = await tempFolder();
    await expect(runWith(server.url, { checkpoint: store, pausePoint, root })).rejects.toThrow('paused');
    expect(server.requests).toBe(2);
    const resumed = await runWith(server.url, { checkpoint: memoryStore(store.saved.at(-1) ?? null), root });
    expect(resumed.calls).toHaveLength(3);
    expect(server.requests).toBe(3);
  });

  test('of another conversation is not gone on with, and its calls stay on the record', async () => {
    const server = await playing(turns);
    const store = memoryStore();
    await runWith(server.url, { checkpoint: store });
    const other = memoryStore(store.saved[2] ?? null);
    const again = await runWith(server.url, { checkpoint: other, system: 'You build other things.' });
    expect(again.resumed).toBe('discarded');
    expect(other.restarts).toEqual([expect.stringContaining('another conversation')]);
    expect(again.calls).toHaveLength(2 + 3);
  });

  test('is also kept of a call that failed', async () => {
    const server = await playing([{ fault: { status: 529, type: 'overloaded_error' } }]);
    const store = memoryStore();
    await expect(runWith(server.url, { checkpoint: store })).rejects.toMatchObject({ code: 'MODEL_UNAVAILABLE' });
    const kept = AgentCheckpoint.parse(JSON.parse(store.saved[0] ?? ''));
    expect(kept).toMatchObject({ stage: 'completed', turns: 0, calls: [{ outcome: 'failed', status: 529 }] });
  });
});
