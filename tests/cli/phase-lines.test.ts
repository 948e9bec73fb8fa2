import { expect, test } from 'vitest';
import picocolors from 'picocolors';
import { phaseLines } from '../../src/cli/phase-lines.ts';
import { BlobRef, NO_USAGE, PhaseRecord } from '../../src/shared/run-record.ts';

const record = (more: Record<string, unknown>): PhaseRecord =>
  PhaseRecord.parse({
    phase: 'backend',
    status: 'passed',
    reason: '',
    round: 0,
    rounds: [],
    commit: null,
    bundle: null,
    handoffs: {},
    transcripts: {},
    usage: NO_USAGE,
    simulated: true,
    startedAt: '2026-01-01T00:00:00.000Z',
    finishedAt: '2026-01-01T00:00:09.000Z',
    ...more,
  });
const lines = (...phases: PhaseRecord[]): string[] => phaseLines(picocolors.createColors(false), phases);

const blocked = (round: number): PhaseRecord['rounds'][number] => ({
  round,
  verdict: {
    phase: 'backend',
    policy: 'backend',
    fallback: false,
    verdict: 'blocked',
    gates: [],
    criteria: [],
    artifacts: [],
    targets: [],
    errors: [{ metric: 'merge_conflict', reason: 'src/a.js' }],
    simulated: true,
  },
  findings: 0,
  evidence: BlobRef.parse('0'.repeat(64)),
  at: '2026-01-01T00:00:00.000Z',
});

test('a phase that is judged again after a resume is not called reworked; one that is reworked then is', () => {
  const resumed = { rounds: [blocked(0)], firstRound: 1 };
  expect(lines(record({ ...resumed, round: 1 })).join()).not.toContain('rework');
  expect(lines(record({ ...resumed, round: 2 }))[0]).toContain('rework 1');
});

test('what blocked a phase is shown, and not any more once it was taken up again', () => {
  expect(lines(record({ status: 'blocked', reason: 'short', rounds: [blocked(0)] })).join()).toContain('src/a.js');
  const again = record({ status: 'running', finishedAt: null, round: 1, firstRound: 1, rounds: [blocked(0)] });
  expect(lines(again)).toHaveLength(1);
});

test.each(['failed', 'not_started', 'cancelled'] as const)(
  'a phase that is %s tells why, not what was found before',
  (status) => {
    const [, why] = lines(record({ status, reason: 'the reason', round: 1, rounds: [blocked(0)] }));
    expect(why?.trim()).toBe('the reason');
  },
);

test('names of instances stand in one column, within the width of a terminal', () => {
  const both = lines(record({ phase: 'service--billing-and-invoices' }), record({ phase: 'a' }));
  const columns = both.map((line) => line.indexOf('✔'));
  expect(columns[0]).toBe(columns[1]);
  expect(Math.max(...both.map((line) => line.length))).toBeLessThanOrEqual(80);
});
