import { describe, expect, it } from 'vitest';
import { createRunRecordCollector } from '../../../src/gates/collectors/documents/run-record.ts';
import { Project, collect, readingOf } from './documents-support.ts';

const collector = createRunRecordCollector(() => Date.parse('2026-11-04T12:00:00Z'));
const METRICS = ['phase_duration_days', 'design_iterations', 'review_iterations'];
const readings = async (phaseStartedAt: string | undefined, round: number) => {
  const collected = await collect(collector, new Project(), METRICS, { run: { phaseStartedAt, round } });
  return METRICS.map((metric) => readingOf(collected, metric));
};

describe('the run-record collector', () => {
  it('reads how long the phase has taken and how many rounds', async () => {
    expect(await readings('2026-11-03T00:00:00Z', 2)).toEqual([
      { value: 1.5, examined: 1 },
      { value: 3, examined: 1 },
      { value: 3, examined: 1 },
    ]);
  });

  it('has no value outside a run', async () => {
    for (const reading of await readings(undefined, 0)) expect(reading).toContain('no phase of a run');
  });

  it('has no duration when the start lies in the future or is no time', async () => {
    expect((await readings('2026-12-01T00:00:00Z', 0))[0]).toContain('no time before now');
    expect((await readings('yesterday', 0))[0]).toContain('no time before now');
  });
});
