import { describe, expect, it } from 'vitest';
import type { CollectedValue, Collector } from '../../../src/gates/collector.ts';
import { createOverallCollector } from '../../../src/gates/collectors/documents/overall.ts';
import { traceabilityCollector } from '../../../src/gates/collectors/documents/traceability.ts';
import { Project, measure } from './documents-support.ts';

/** A collector with given readings: what it measures is other tests' business. */
const given = (id: string, values: Record<string, CollectedValue>): Collector => ({
  id,
  version: '1',
  timeoutMs: 1000,
  metrics: Object.keys(values),
  collect: () => Promise.resolve({ values, findings: [], evidence: [] }),
});
const of = (value: number): CollectedValue => ({ value, examined: 10 });

const score = (changed: Record<string, Record<string, CollectedValue>>, project = new Project()) => {
  const values: Record<string, Record<string, CollectedValue>> = {
    tests: { test_pass_rate: of(1), test_coverage: of(1) },
    quality: { code_quality_score: of(10) },
    'docs-coverage': { documentation_coverage: of(1) },
    ...changed,
  };
  const collectors = [traceabilityCollector, ...Object.entries(values).map(([id, own]) => given(id, own))];
  const overall = createOverallCollector((id) => collectors.find((collector) => collector.id === id));
  return measure(overall, project, 'quality_score', { phase: 'review' });
};

describe('the overall collector', () => {
  it('gives a hundred when every part is full', async () => {
    expect(await score({})).toEqual({ value: 100, examined: 5 });
  });

  it('weighs the parts by its formula', async () => {
    expect(await score({ tests: { test_pass_rate: of(1), test_coverage: of(0.8) } })).toEqual({
      value: 95,
      examined: 5,
    });
    expect(await score({ quality: { code_quality_score: of(8) } })).toEqual({ value: 95, examined: 5 });
    expect(await score({ 'docs-coverage': { documentation_coverage: of(0) } })).toEqual({ value: 90, examined: 5 });
    const untraced = new Project().edit('tests/acceptance/links.test.js', 'US-', 'no ');
    expect(await score({}, untraced)).toEqual({ value: 85, examined: 5 });
  });

  it('gives no more than its weight to a part', async () => {
    expect(
      await score({ quality: { code_quality_score: of(20) }, tests: { test_pass_rate: of(0), test_coverage: of(1) } }),
    ).toEqual({
      value: 75,
      examined: 5,
    });
  });

  it('has no score when one part has none', async () => {
    expect(await score({ quality: { code_quality_score: { notEvaluable: 'no lint report' } } })).toContain(
      'code_quality_score could not be measured: no lint report',
    );
    expect(await score({ quality: {} })).toContain('left it out');
    expect(await score({ quality: { code_quality_score: { value: 10, examined: 0 } } })).toContain('no reading');
    expect(await score({ quality: { code_quality_score: of(Number.NaN) } })).toContain('no reading');
    expect(
      await measure(
        createOverallCollector(() => undefined),
        new Project(),
        'quality_score',
      ),
    ).toContain('there is no collector');
  });
});
