import pc from 'picocolors';
import { describe, expect, test } from 'vitest';
import { exitOf } from '../../src/cli/commands/run-result.ts';
import { ProgressView } from '../../src/cli/progress.ts';
import { count, cutTo, oneLine } from '../../src/cli/text.ts';
import { wrapTo } from '../../src/gates/reports/columns.ts';
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
