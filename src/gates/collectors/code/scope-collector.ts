import type { CollectContext, Collected, Collector } from '../../collector.ts';
import { notEvaluable, removeWork } from './run-tool.ts';

type Reading<S> = { scope: S } | { notEvaluable: string };

export interface ScopeCollectorSpec<S> {
  id: string;
  metrics: readonly string[];
  timeoutMs: number;
  measure: (context: CollectContext, scope: S) => Promise<Collected>;
}

/** Makes collectors over the code of one scope: every way of having no scope makes all their metrics not evaluable. */
export const scopeCollectors =
  <S>(version: string, read: (root: string, phase: string) => Promise<Reading<S>>) =>
  (spec: ScopeCollectorSpec<S>): Collector => ({
    id: spec.id,
    version,
    metrics: spec.metrics,
    timeoutMs: spec.timeoutMs,
    collect: async (context) => {
      const wanted = spec.metrics.filter((metric) => metric in context.metrics);
      const reading = await read(context.root, context.phase);
      if ('notEvaluable' in reading) return notEvaluable(wanted, reading.notEvaluable);
      try {
        const collected = await spec.measure(context, reading.scope);
        const values = Object.entries(collected.values).filter(([name]) => wanted.includes(name));
        return { ...collected, values: Object.fromEntries(values) };
      } finally {
        await removeWork(context);
      }
    },
  });
