import { expect, test } from 'vitest';
import { renderRunHtml, renderRunMarkdown } from '../../../src/gates/reports/run-report.ts';
import { RunId } from '../../../src/shared/names.ts';
import { RoundEvidence } from '../../../src/shared/round-evidence.ts';
import { BlobRef, NO_USAGE, type PhaseRecord, type RunRecord } from '../../../src/shared/run-record.ts';
import { goodRecord, judge } from '../support.ts';

const at = '2026-01-01T00:00:00.000Z';
const runId = RunId.parse('01ARZ3NDEKTSV4RRFFQ69G5FAV');
const blob = BlobRef.parse('b'.repeat(64));

test('the report of a run shows each claim beside what was measured, and each check of integrity', () => {
  const run: RunRecord = {
    runId,
    workflow: 'w',
    status: 'blocked',
    reason: '',
    provider: 'scripted',
    simulated: true,
    generation: 0,
    usage: NO_USAGE,
    createdAt: at,
    startedAt: at,
    finishedAt: at,
  };
  const verdict = judge('implementation', goodRecord('implementation'));
  const phase: PhaseRecord = {
    phase: 'implementation',
    status: 'blocked',
    reason: '',
    round: 0,
    firstRound: 0,
    faults: 0,
    rounds: [{ round: 0, verdict, findings: 0, evidence: blob, at }],
    commit: null,
    bundle: null,
    handoffs: {},
    transcripts: {},
    usage: NO_USAGE,
    simulated: true,
    startedAt: at,
    finishedAt: at,
  };
  const evidence = RoundEvidence.parse({
    schemaVersion: 1,
    runId,
    phase: 'implementation',
    round: 0,
    commit: 'c',
    tree: 't',
    sandbox: 's',
    measurements: [],
    findings: [],
    artifacts: [],
    reports: [],
    reviews: [],
    approvals: [],
    integrity: [
      {
        check: 'handed_down_tests',
        outcome: 'violated',
        examined: 1,
        message: 'tests/a.test.js was deleted',
        evidence: [],
      },
    ],
    claims: [
      {
        persona: 'dev',
        claim: 'it is pretty <b>',
        measured: 'nothing measures this',
        contradicted: false,
        blocks: false,
      },
      {
        persona: 'dev',
        claim: 'all tests pass',
        measured: 'no command of this job ran a test',
        contradicted: true,
        blocks: true,
      },
    ],
  });
  const input = { run, phases: [phase], evidence: new Map([[String(blob), evidence]]) };
  const html = renderRunHtml(input);
  const markdown = renderRunMarkdown(input).replaceAll('\\', '');
  for (const text of [html, markdown]) {
    expect(text).toContain('no command of this job ran a test');
    expect(text).toContain('contradicted: not done');
    expect(text).toContain('violated: blocks');
    expect(text).toContain('tests/a.test.js was deleted');
    expect(text.indexOf('all tests pass')).toBeLessThan(text.indexOf('it is pretty'));
  }
  expect(html).not.toContain('pretty <b>');
});
