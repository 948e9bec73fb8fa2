import { createHash } from 'node:crypto';
import type { CollectContext, Collected, Collector } from '../../../collector.ts';
import type { MetricSpec } from '../../../policy-schema.ts';
import { removeWork } from '../run-tool.ts';
import type { DeclaredCommand } from './measure-file.ts';
import { runDeclared } from './run-declared.ts';

/** A collector of which some metrics, or all, are measured by declared commands. Its results are never reused. */
export interface DeclaredCollector extends Collector {
  readonly own: Collector | undefined;
  readonly declared: readonly string[];
}

/**
 * The collectors with declared commands in the place of what they measure themselves. A metric that is declared is
 * measured by its command alone: when that establishes nothing, there is no second opinion.
 */
export function withDeclared(
  collectors: readonly Collector[],
  commands: readonly DeclaredCommand[],
  catalogue: Readonly<Record<string, MetricSpec>>,
): { collectors: Collector[]; replaced: DeclaredCollector[] } {
  const digest = createHash('sha256').update(JSON.stringify(commands)).digest('hex').slice(0, 12);
  const declared = new Map(
    commands.flatMap((command) => Object.keys(command.metrics).map((metric) => [metric, command])),
  );
  const ids = new Set([...declared.keys()].flatMap((metric) => catalogue[metric]?.collector ?? []));
  const replaced = [...ids].map((id): DeclaredCollector => {
    const own = collectors.find((collector) => collector.id === id);
    const metrics = [...declared.keys()].filter((metric) => catalogue[metric]?.collector === id);
    const seconds = new Map(
      [...metrics].map((metric) => [declared.get(metric)?.id, declared.get(metric)?.timeout_seconds ?? 0]),
    );
    return {
      id,
      own,
      declared: metrics,
      version: `${own?.version ?? '1'}+declared.${digest}`,
      metrics: [...new Set([...(own?.metrics ?? []), ...metrics])],
      timeoutMs: (own?.timeoutMs ?? 30_000) + [...seconds.values()].reduce((sum, each) => sum + each * 1000, 0),
      collect: (context) => collect(context, own, declared),
    };
  });
  return { collectors: [...collectors.filter(({ id }) => !ids.has(id)), ...replaced], replaced };
}

async function collect(
  context: CollectContext,
  own: Collector | undefined,
  declared: ReadonlyMap<string, DeclaredCommand>,
): Promise<Collected> {
  const wanted = Object.keys(context.metrics);
  const commands = new Set(wanted.flatMap((metric) => declared.get(metric) ?? []));
  const parts: Collected[] = [];
  try {
    for (const command of commands) {
      const metrics = wanted.filter((metric) => declared.get(metric) === command);
      parts.push(await runDeclared(context, command, metrics));
    }
  } finally {
    await removeWork(context);
  }
  const others = wanted.filter((metric) => !declared.has(metric));
  if (own !== undefined && others.length > 0) {
    const metrics = Object.fromEntries(Object.entries(context.metrics).filter(([metric]) => others.includes(metric)));
    parts.push(await own.collect({ ...context, metrics }));
  }
  return {
    values: Object.fromEntries(parts.flatMap(({ values }) => Object.entries(values))),
    findings: parts.flatMap(({ findings }) => findings),
    evidence: parts.flatMap(({ evidence }) => evidence),
  };
}
