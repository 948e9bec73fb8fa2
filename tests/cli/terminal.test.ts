import pc from 'picocolors';
import { describe, expect, test } from 'vitest';
import { exitOf } from '../../src/cli/commands/run-result.ts';
import { ProgressView } from '../../src/cli/progress.ts';
import { count, cutTo, oneLine } from '../../src/cli/text.ts';
import { wrapTo } from '../../src/gates/reports/columns.ts';
import { transcriptLines } from '../../src/cli/transcript.ts';
import { RunId } from '../../src/shared/names.ts';
import { NO_USAGE, BlobRef, type RunEvent, type RunPlan } from '../../src/shared/run-record.ts';

const HOSTILE = 'one\u001b[2J\u001b]0;title\u0007 two\r\nthree';
const runId = RunId.parse('01M84FY4S1VC88BJ5H9YZEP0XW');

describe('text for a terminal', () => {
  test('is cut at the width, with wide characters counted as two columns', () => {
    expect(cutTo('abcdef', 6)).toBe('abcdef');
    expect(cutTo('abcdefg', 6)).toBe('abcde…');
    expect(cutTo('日本語', 5)).toBe('日本…');
    expect(cutTo('abc', 0)).toBe('');
  });

  test('wraps between words, and inside a word that is longer than a line', () => {
    expect(wrapTo('one two three', 8)).toEqual(['one two', 'three']);
    expect(wrapTo('a abcdefgh', 4)).toEqual(['a', 'abcd', 'efgh']);
    expect(wrapTo('', 4)).toEqual(['']);
  });

  test('shows control characters and never obeys them', () => {
    expect(oneLine(HOSTILE)).toBe('one\ufffd[2J\ufffd]0;title\ufffd two\ufffd three');
  });

  test('counts one thing as one', () => {
    expect([count(0, 'round'), count(1, 'round'), count(2, 'process')]).toEqual(['0 rounds', '1 round', '2 processes']);
  });
});

describe('a transcript', () => {
  const call = {
    outcome: 'answered',
    error: null,
    host: '127.0.0.1',
    modelAnswered: 'scripted-1',
    simulated: true,
  } as const;
  const talk = {
    schemaVersion: 1 as const,
    calls: [call],
    messages: [
      { role: 'user' as const, content: 'Do it.' },
      {
        role: 'assistant' as const,
        content: [
          { type: 'text', text: HOSTILE },
          { type: 'tool_use', id: 't1', name: 'write_file', input: { path: 'a.js', content: 'x\n'.repeat(40) } },
        ],
      },
      {
        role: 'user' as const,
        content: [{ type: 'tool_result', tool_use_id: 't1', is_error: true, content: 'no\n'.repeat(40) }],
      },
    ],
  };
  const lines = (isFull: boolean): string[] => transcriptLines(talk, { colors: pc.createColors(false), isFull });

  test('tells who said and did what, and what was refused, with long texts cut', () => {
    const text = lines(false).join('\n');
    expect(text).toContain('1 call to scripted-1 at 127.0.0.1, simulated');
    expect(text).toContain('turn 1 → write_file\n    path: a.js\n    content: x x x');
    expect(text).toContain('refused or failed');
    expect(text).toContain('… 28 more lines (--full shows them)');
    // oxlint-disable-next-line no-control-regex -- none may be left
    expect(text).not.toMatch(/[\u0000-\u0009\u000b-\u001f]/);
  });

  test('is whole when asked for', () => {
    expect(lines(true).filter((line) => line === '    no')).toHaveLength(40);
    expect(lines(true).filter((line) => line === '    x')).toHaveLength(40);
  });
});

const plan: RunPlan = {
  schemaVersion: 1,
  runId,
  workflow: 'small',
  workflowDigest: 'none',
  definitions: BlobRef.parse('0'.repeat(64)),
  inputs: {},
  provider: 'scripted',
  budget: {},
  scripted: { scenario: 'main', approvals: false },
  phases: [
    {
      name: 'design',
      needs: [],
      personas: ['solution_architect'],
      policy: null,
      policyFallback: false,
      approvalRole: null,
      approvalRoles: [],
      model: 'none',
      attempts: 1,
      rework: 1,
      timeoutMs: 1000,
      description: '',
    },
  ],
  createdAt: new Date().toISOString(),
};

test('progress that leads into a file is one plain line for everything worth keeping', () => {
  const said: string[] = [];
  const colors = pc.createColors(false);
  const view = new ProgressView(
    {
      out: () => undefined,
      err: (text) => void said.push(text),
      isLive: false,
      outColumns: () => undefined,
      colors,
      outColors: colors,
      columns: () => 40,
      outClosed: new AbortController().signal,
    },
    plan,
  );
  const base = {
    seq: 1,
    at: new Date().toISOString(),
    runId,
    phase: 'design',
    persona: 'solution_architect',
    round: 0,
  };
  const events: RunEvent[] = [
    { ...base, type: 'persona.turn', kind: 'work', turn: 1, tools: ['\u001b[2J'], usage: NO_USAGE },
    { ...base, type: 'persona.done', kind: 'work', summary: `${HOSTILE} ${'long '.repeat(100)}`, simulated: true },
    {
      seq: 2,
      at: base.at,
      runId,
      type: 'rework.requested',
      phase: 'design',
      round: 1,
      findings: 1,
      headline: 'gate x',
    },
    { seq: 3, at: base.at, runId, type: 'approval.requested', phase: 'design', role: 'tech_lead' },
  ];
  for (const event of events) view.show(event);
  view.note('a note');
  view.close();
  expect(said).toHaveLength(4);
  expect(said[0]).toMatch(/^design +solution_architect handed off: one\ufffd\[2J.*…$/);
  expect(said[0]?.length).toBeLessThan(220);
  expect(said[1]).toContain('rework round 1 with 1 finding: gate x');
  expect(said[2]).toContain(`maestro approve ${runId} design --role tech_lead --by NAME`);
  expect(said[3]).toBe('a note');
});

test.each([
  ['passed', '', 0],
  ['passed_with_warnings', 'not gated: notes', 0],
  ['blocked', 'design: gate x', 3],
  ['failed', 'design: BUDGET_EXCEEDED: the next call could pass the limit', 3],
  ['failed', 'design: MODEL_UNAVAILABLE: no answer', 4],
  ['failed', 'design: AGENT_STUCK: no hand-off', 1],
  ['cancelled', '', 5],
] as const)('a run that ends %s (%s) ends the command with %i', (status, reason, exit) => {
  expect(exitOf({ status, reason })).toBe(exit);
});
