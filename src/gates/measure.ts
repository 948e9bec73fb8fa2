import { copyFile, mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { FleetError } from '../shared/errors.ts';
import type { Logger } from '../shared/logger.ts';
import type { Sandbox } from '../shared/sandbox/sandbox.ts';
import type { ArtifactResult, Finding, Measurement } from '../shared/verdict.ts';
import { checkArtifacts, resolveArtifacts } from './artifacts.ts';
import type { Collector, RunContext } from './collector.ts';
import { allCollectors } from './collectors/registry.ts';
import type { Report } from './harvest-reports.ts';
import { hashTree } from './hostile-files.ts';
import { NO_POLICY, type PolicySet, policyOf, requiredMetrics } from './load-policy.ts';
import type { MetricSpec } from './policy-schema.ts';
import { type CollectorRun, notEvaluable, runCollector } from './run-collector.ts';

const PARALLEL_COLLECTORS = 2;

export interface MeasureOptions {
  root: string;
  phase: string;
  policySet: PolicySet;
  policy: string;
  sandbox: Sandbox;
  run: RunContext;
  /** An empty folder of this measurement's own. Reports stay in it. */
  scratch: string;
  signal: AbortSignal;
  logger: Logger;
  collectors?: readonly Collector[];
  /** Collectors to leave for later, such as `review` and `approval`; their metrics are not evaluable until then. */
  skipCollectors?: readonly string[];
  /** Only these run; everything else is taken from `previous`, which must be of the same files. */
  only?: { collectors: readonly string[]; previous: PhaseMeasurement };
}

export interface PhaseMeasurement {
  /** One for every metric the policy reads, in alphabetical order. */
  measurements: Measurement[];
  findings: Finding[];
  artifacts: ArtifactResult[];
  reports: Report[];
  /** A hash of the measured files. */
  tree: string;
}

/** Measures everything that a policy reads. Never decides anything. */
export async function measurePhase(options: MeasureOptions): Promise<PhaseMeasurement> {
  const { root, policySet, policy, scratch } = options;
  const tree = await hashTree(root);
  if (policy === NO_POLICY) return { measurements: [], findings: [], artifacts: [], reports: [], tree };
  const previous = options.only?.previous;
  if (previous && previous.tree !== tree) {
    throw new FleetError('CONFLICT', 'the files changed since they were measured', {
      remedy: 'Measure all of them again.',
    });
  }
  const reportsDir = join(scratch, 'reports');
  await mkdir(reportsDir, { recursive: true });
  const artifacts = await resolveArtifacts(root, policySet.artifacts);
  const groups = groupByCollector(policySet, requiredMetrics(policySet, policy));
  const runs = await inParallel([...groups], PARALLEL_COLLECTORS, ([id, metrics]) =>
    measureGroup(options, id, metrics, { artifacts, tree, reportsDir }),
  );
  const kept = await keepReports(previous?.reports ?? [], reportsDir);
  const reports = [...kept, ...runs.flatMap((run) => run.reports)];
  const measurements = runs.flatMap((run) => run.measurements);
  const changed = (await hashTree(root)) !== tree;
  return {
    measurements: sorted(changed ? measurements.map(invalidated) : measurements, (each) => each.metric),
    findings: sorted([...(previous?.findings ?? []), ...runs.flatMap((run) => run.findings)], findingKey),
    artifacts: await checkArtifacts({
      root,
      phase: options.phase,
      policy: policyOf(policySet, policy),
      artifacts,
      run: options.run,
      reportsDir,
    }),
    reports: sorted(reports, (report) => report.name),
    tree,
  };
}

/** Reports of an earlier measurement, copied beside the new ones. */
async function keepReports(reports: readonly Report[], reportsDir: string): Promise<Report[]> {
  return Promise.all(
    reports.map(async (report) => {
      const path = join(reportsDir, report.name);
      if (path === report.path) return report;
      await mkdir(dirname(path), { recursive: true });
      await copyFile(report.path, path);
      return { ...report, path };
    }),
  );
}

function groupByCollector(set: PolicySet, metrics: readonly string[]): Map<string, Record<string, MetricSpec>> {
  const groups = new Map<string, Record<string, MetricSpec>>();
  for (const metric of metrics) {
    const spec = set.metrics[metric];
    if (spec) groups.set(spec.collector, { ...groups.get(spec.collector), [metric]: spec });
  }
  return groups;
}

type Shared = Pick<Parameters<typeof runCollector>[0]['context'], 'artifacts' | 'tree'> & { reportsDir: string };

function measureGroup(
  options: MeasureOptions,
  id: string,
  metrics: Readonly<Record<string, MetricSpec>>,
  shared: Shared,
): Promise<CollectorRun> {
  const names = Object.keys(metrics);
  const only = options.only;
  if (only && !only.collectors.includes(id)) {
    const known = only.previous.measurements.filter((measurement) => names.includes(measurement.metric));
    return Promise.resolve({ measurements: known, findings: [], reports: [] });
  }
  const refuse = (version: string, reason: string): Promise<CollectorRun> =>
    Promise.resolve({
      measurements: names.map((metric) => notEvaluable(metric, id, version, reason)),
      findings: [],
      reports: [],
    });
  const collector = (options.collectors ?? allCollectors).find((candidate) => candidate.id === id);
  if (!collector) return refuse('none', `no collector \`${id}\` is installed, so nothing measures this`);
  if (options.skipCollectors?.includes(id)) return refuse(collector.version, `not measured yet: waits for \`${id}\``);
  const { retry_on_failure, max_retries, gate_evaluation_timeout } = options.policySet.settings;
  const { root, sandbox, phase, run, logger, scratch, signal } = options;
  return runCollector({
    collector,
    context: { root, sandbox, phase, metrics, artifacts: shared.artifacts, run, tree: shared.tree, logger },
    scratch,
    reportsDir: shared.reportsDir,
    timeoutMs: gate_evaluation_timeout * 1000,
    retries: retry_on_failure ? max_retries : 0,
    signal,
  });
}

/** Measured files are mounted read-only; when they changed all the same, nothing that was read can be trusted. */
const invalidated = (measurement: Measurement): Measurement =>
  notEvaluable(
    measurement.metric,
    measurement.collector,
    measurement.collectorVersion,
    'the measured files changed while they were measured',
    measurement.evidence,
  );

async function inParallel<T, R>(items: readonly T[], limit: number, work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let index = next++; index < items.length; index = next++) {
      const item = items[index];
      if (item !== undefined) results[index] = await work(item);
    }
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, worker));
  return results;
}

const findingKey = (finding: Finding): string =>
  [
    finding.file ?? '',
    String(finding.line ?? 0).padStart(9, '0'),
    String(finding.column ?? 0).padStart(9, '0'),
    finding.rule,
    finding.message,
  ].join('\0');

function sorted<T>(items: readonly T[], key: (item: T) => string): T[] {
  return items
    .map((item) => ({ item, key: key(item) }))
    .toSorted((a, b) => (a.key < b.key ? -1 : Number(a.key > b.key)))
    .map(({ item }) => item);
}
