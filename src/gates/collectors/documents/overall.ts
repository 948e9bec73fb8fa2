import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { CollectContext, Collected, CollectedValue, Collector } from '../../collector.ts';
import type { MetricSpec } from '../../policy-schema.ts';
import { type Reading, defineCollector, measured, notEvaluable } from './define-collector.ts';

interface Part {
  metric: string;
  collector: string;
  /** Points of the hundred. */
  weight: number;
  /** The reading that earns all of them. */
  full: number;
}

/**
 * The formula of `quality_score`: each part earns its weight times its reading divided by `full`.
 * A part that could not be measured leaves no score at all.
 */
const PARTS: readonly Part[] = [
  { metric: 'test_pass_rate', collector: 'tests', weight: 25, full: 1 },
  { metric: 'test_coverage', collector: 'tests', weight: 25, full: 1 },
  { metric: 'code_quality_score', collector: 'quality', weight: 25, full: 10 },
  { metric: 'documentation_coverage', collector: 'docs-coverage', weight: 10, full: 1 },
  { metric: 'requirements_met_count', collector: 'traceability', weight: 15, full: 1 },
];

const specOf = (part: Part): MetricSpec => ({
  description: `part of quality_score: ${part.metric}`,
  type: part.full === 10 ? 'score10' : 'ratio',
  unit: '',
  direction: 'min',
  collector: part.collector,
  examined: 'as its collector says',
  minimum_examined: 1,
});

async function collectParts(
  context: CollectContext,
  lookup: CollectorLookup,
): Promise<Map<string, Collected | string>> {
  const results = new Map<string, Collected | string>();
  for (const id of new Set(PARTS.map((part) => part.collector))) {
    const collector = lookup(id);
    if (collector === undefined) {
      results.set(id, `there is no collector "${id}"`);
    } else {
      const outDir = join(context.outDir, id);
      await mkdir(outDir, { recursive: true });
      const metrics = Object.fromEntries(
        PARTS.filter((part) => part.collector === id).map((part) => [part.metric, specOf(part)]),
      );
      results.set(id, await collector.collect({ ...context, metrics, outDir }));
    }
  }
  return results;
}

function valueOf(results: ReadonlyMap<string, Collected | string>, part: Part): CollectedValue {
  const result = results.get(part.collector);
  if (result === undefined || typeof result === 'string') return { notEvaluable: result ?? 'it was not collected' };
  return result.values[part.metric] ?? { notEvaluable: `its collector left it out` };
}

async function qualityScore(context: CollectContext, metric: string, lookup: CollectorLookup): Promise<Reading> {
  const results = await collectParts(context, lookup);
  const findings = [...results.values()].flatMap((result) => (typeof result === 'string' ? [] : result.findings));
  let score = 0;
  const lines: string[] = [];
  for (const part of PARTS) {
    const value = valueOf(results, part);
    const isUsable = !('notEvaluable' in value) && Number.isFinite(value.value) && value.examined > 0;
    if (!isUsable) {
      const why =
        'notEvaluable' in value ? value.notEvaluable : `${value.value} of ${value.examined} examined is no reading`;
      const reading = notEvaluable(metric, 'overall/part', `${part.metric} could not be measured: ${why}`);
      return { ...reading, findings: [...findings, ...reading.findings] };
    }
    const earned = part.weight * Math.min(1, Math.max(0, value.value / part.full));
    score += earned;
    lines.push(`${part.metric} ${value.value} earns ${earned.toFixed(1)} of ${part.weight}`);
  }
  return measured(Math.round(score * 100) / 100, PARTS.length, lines.join(', '), { findings, kind: 'record' });
}

export type CollectorLookup = (id: string) => Collector | undefined;

/** The score of the whole project, from what other collectors measure on the same files at this moment. */
export const createOverallCollector = (lookup: CollectorLookup): Collector =>
  defineCollector({
    id: 'overall',
    version: '1',
    timeoutMs: 600_000,
    prepare: () => Promise.resolve(undefined),
    measures: { quality_score: (_, context, metric) => qualityScore(context, metric, lookup) },
  });
