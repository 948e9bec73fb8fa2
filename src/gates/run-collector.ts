import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { FleetError, errorMessage } from '../shared/errors.ts';
import type { Evidence, Finding, Measurement } from '../shared/verdict.ts';
import type { CollectContext, Collected, CollectedValue, Collector } from './collector.ts';
import { type Report, harvestReports } from './harvest-reports.ts';

export interface CollectorRun {
  measurements: Measurement[];
  findings: Finding[];
  reports: Report[];
}

export interface CollectorRunOptions {
  collector: Collector;
  context: Omit<CollectContext, 'outDir' | 'signal'>;
  scratch: string;
  reportsDir: string;
  /** A collector gets the time it asks for, but never more than this. */
  timeoutMs: number;
  retries: number;
  signal: AbortSignal;
}

/** Runs one collector to its end, or to its limit. Whatever goes wrong is the reason of its metrics, never an exception. */
export async function runCollector(options: CollectorRunOptions): Promise<CollectorRun> {
  const { collector, context } = options;
  for (let attempt = 0; ; attempt += 1) {
    const outDir = join(options.scratch, 'out', `${collector.id}.${attempt}`);
    await mkdir(outDir, { recursive: true });
    try {
      const collected = await collectInTime(options, outDir);
      const harvest = await harvestReports(collector.id, outDir, options.reportsDir);
      return {
        measurements: Object.keys(context.metrics).map((metric) =>
          toMeasurement(options, collected, harvest.reports, metric),
        ),
        findings: [...collected.findings, ...harvest.findings],
        reports: harvest.reports,
      };
    } catch (err) {
      if (options.signal.aborted) throw new FleetError('CANCELLED', 'measuring was cancelled', { cause: err });
      const again = attempt < options.retries && (!(err instanceof FleetError) || err.retry);
      const reason = reasonOf(err);
      context.logger.warn({ collector: collector.id, attempt, again, reason }, 'collector failed');
      if (!again) return failedRun(options, reason, attempt);
    }
  }
}

function reasonOf(err: unknown): string {
  const remedy = err instanceof FleetError && err.remedy ? ` ${err.remedy}` : '';
  return `${errorMessage(err)}${remedy}`;
}

/** The collector's own signal ends it; when it does not listen, it is no longer waited for. */
async function collectInTime(options: CollectorRunOptions, outDir: string): Promise<Collected> {
  const { collector, context } = options;
  const timeoutMs = Math.min(collector.timeoutMs, options.timeoutMs);
  const controller = new AbortController();
  const abort = (): void => controller.abort(new FleetError('CANCELLED', 'measuring was cancelled'));
  const timer = setTimeout(() => {
    const message = `collector \`${collector.id}\` did not finish within ${timeoutMs / 1000} s`;
    controller.abort(new FleetError('TIMEOUT', message, { retry: true }));
  }, timeoutMs);
  options.signal.addEventListener('abort', abort, { once: true });
  if (options.signal.aborted) abort();
  try {
    const ended = new Promise<never>((_resolve, reject) => {
      const end = (): void => {
        const reason: unknown = controller.signal.reason;
        reject(reason instanceof Error ? reason : new FleetError('INTERNAL', 'the collector was ended'));
      };
      if (controller.signal.aborted) end();
      else controller.signal.addEventListener('abort', end, { once: true });
    });
    return await Promise.race([collector.collect({ ...context, outDir, signal: controller.signal }), ended]);
  } finally {
    clearTimeout(timer);
    options.signal.removeEventListener('abort', abort);
  }
}

function failedRun({ collector, context }: CollectorRunOptions, reason: string, attempt: number): CollectorRun {
  const tried = attempt > 0 ? ` (${attempt + 1} attempts)` : '';
  return {
    measurements: Object.keys(context.metrics).map((metric) =>
      notEvaluable(metric, collector.id, collector.version, `collector \`${collector.id}\` failed: ${reason}${tried}`),
    ),
    findings: [],
    reports: [],
  };
}

export const notEvaluable = (
  metric: string,
  collector: string,
  collectorVersion: string,
  reason: string,
  evidence: Evidence[] = [],
): Measurement => ({ status: 'not_evaluable', metric, collector, collectorVersion, evidence, reason });

function toMeasurement(
  { collector, context }: CollectorRunOptions,
  collected: Collected,
  reports: readonly Report[],
  metric: string,
): Measurement {
  const refuse = (reason: string, evidence: Evidence[] = []): Measurement =>
    notEvaluable(metric, collector.id, collector.version, reason, evidence);
  if (!collector.metrics.includes(metric)) return refuse(`collector \`${collector.id}\` does not measure ${metric}`);
  const value: CollectedValue | undefined = Object.hasOwn(collected.values, metric)
    ? collected.values[metric]
    : undefined;
  if (!value) return refuse(`collector \`${collector.id}\` gave no value for ${metric}`);
  const evidence = [...(value.evidence ?? []), ...collected.evidence].map((each) => bound(each, reports, context));
  if ('notEvaluable' in value) return refuse(value.notEvaluable, evidence);
  if (!Number.isFinite(value.value)) return refuse(`collector \`${collector.id}\` gave ${value.value}`, evidence);
  if (!Number.isInteger(value.examined) || value.examined < 0) {
    return refuse(`collector \`${collector.id}\` does not say how much it examined`, evidence);
  }
  if (value.source === undefined && (collector.id === 'review' || collector.id === 'approval')) {
    return refuse(`collector \`${collector.id}\` does not say who judged`, evidence);
  }
  const base = { status: 'measured', metric, collector: collector.id, collectorVersion: collector.version } as const;
  const source = value.source ?? 'collector';
  return {
    ...base,
    evidence,
    value: value.value,
    examined: value.examined,
    source,
    simulated: value.simulated ?? false,
  };
}

/** Ties evidence to the tree it is about, and to the bytes of its report as they were kept. */
function bound(evidence: Evidence, reports: readonly Report[], context: CollectorRunOptions['context']): Evidence {
  const tied = { ...evidence, tree: evidence.tree ?? context.tree };
  const report = reports.find(({ name }) => name === evidence.report || name.endsWith(`/${evidence.report ?? '\0'}`));
  return report ? { ...tied, report: report.name, reportSha256: report.sha256 } : tied;
}
