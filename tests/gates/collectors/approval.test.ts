import { describe, expect, it } from 'vitest';
import { approvalCollector } from '../../../src/gates/collectors/documents/approval.ts';
import type { Approval } from '../../../src/shared/handoff.ts';
import { Project, collect, readingOf } from './documents-support.ts';

const METRIC = 'stakeholder_approval';
const decision = (own: Partial<Approval>): Approval => ({
  phase: 'requirements',
  role: 'stakeholder',
  round: 0,
  by: 'R. Reader',
  decision: 'approved',
  note: '',
  at: '2026-11-01T10:00:00Z',
  simulated: false,
  ...own,
});
const collected = (approvals: Approval[], metric = METRIC) =>
  collect(approvalCollector, new Project(), [metric], { run: { approvals } });
const reading = async (approvals: Approval[], metric = METRIC) => readingOf(await collected(approvals, metric), metric);

describe('the approval collector', () => {
  it('is 1 when the role approved the phase, and carries who was simulated', async () => {
    const result = await collected([decision({ simulated: true })]);
    expect(readingOf(result, METRIC)).toEqual({ value: 1, examined: 1 });
    expect(result.values[METRIC]).toMatchObject({ source: 'approval', simulated: true });
  });

  it('follows the latest decision, in whatever order they are listed', async () => {
    const rejected = decision({ decision: 'rejected', note: 'no numbers', at: '2026-11-02T10:00:00Z' });
    expect(await reading([rejected, decision({})])).toEqual({ value: 0, examined: 1 });
    expect(await reading([rejected, decision({ at: '2026-11-03T10:00:00Z' })])).toEqual({ value: 1, examined: 1 });
    expect((await collected([rejected])).findings).toMatchObject([{ rule: 'approval/rejected' }]);
  });

  it('takes no decision of another role, on another phase or on an earlier round', async () => {
    for (const other of [decision({ role: 'tech_lead' }), decision({ phase: 'design' }), decision({ round: 1 })]) {
      expect(await reading([other])).toContain('no recorded approval: a stakeholder has to decide');
    }
    expect(await reading([])).toContain('no recorded approval');
  });

  it('takes the share of approved phases for satisfaction', async () => {
    const decisions = [decision({}), decision({ phase: 'design', decision: 'rejected' })];
    expect(await reading(decisions, 'stakeholder_satisfaction')).toEqual({ value: 0.5, examined: 2 });
    expect(await reading([], 'stakeholder_satisfaction')).toContain('no recorded approval');
  });

  it('never makes up a rating', async () => {
    expect(await reading([decision({})], 'customer_satisfaction')).toContain('no rating');
  });
});
