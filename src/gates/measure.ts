import { copyFile, mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { FleetError } from '../shared/errors.ts';
import type { Logger } from '../shared/logger.ts';
import type { Sandbox } from '../shared/sandbox/sandbox.ts';
import type { ArtifactResult, Finding, Measurement } from '../shared/verdict.ts';
import { checkArtifacts, resolveArtifacts } from './artifacts.ts';
import type { Collector, RunContext } from './collector.ts';
import { provenWithDeclared } from './collectors/code/declared/prove-readers.ts';
import { contractArtifacts, metricsOf } from './contracts/contract-of.ts';
import { withDeclared } from './collectors/code/declared/with-declared.ts';
import { allCollectors } from './collectors/registry.ts';
import type { Report } from './harvest-reports.ts';
import type { MeasureCache, ReusableRun } from './measure-cache.ts';
import { hashTree } from './hostile-files.ts';
import { inParallel } from './in-parallel.ts';
import { NO_POLICY, type PolicySet, policyOf } from './load-policy.ts';
import type { MetricSpec } from './policy-schema.ts';
import { notEvaluable, runCollector } from './run-collector.ts';
import type { MeasuringProcesses } from './separate/measuring-processes.ts';
import { type SelfTestResults, describeProof, faultOfProof } from './selftest/self-test.ts';

const PARALLEL_COLLECTORS = 2;

export interface MeasureOptions {
  root: string;
  phase: string;
  policySet: PolicySet;
  policy: string;
  /** Whose contracts are measured beside the policy. */
  personas?: readonly string[];
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
  /** When given, a collector whose self-test did not pass, or that has none, measures nothing. */
  selftest?: SelfTestResults | undefined;
  /** Where collectors run; in this process when it is not given. */
  processes?: MeasuringProcesses | undefined;
  /** Results of earlier measurements of the same files. */
  cache?: MeasureCache | undefined;
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
export async function measurePhase(given: MeasureOptions): Promise<PhaseMeasurement> {
  const options = { ...given, ...declaredBy(given) };
  const { root, policySet, policy, scratch, personas = [] } = options;
  const tree = await hashTree(root);
  if (policy === NO_POLICY) {
    const findings = given.only?.previous.findings ?? [];
    return { measurements: [], findings, artifacts: [], reports: [], tree };
  }
  const previous = options.only?.previous;
  if (previous && previous.tree !== tree) {
    throw new FleetError('CONFLICT', 'the files changed since they were measured', {
      remedy: 'Measure all of them again.',
    });
  }
  const reportsDir = join(scratch, 'reports');
  await mkdir(reportsDir, { recursive: true });
  const artifacts = await resolveArtifacts(root, policySet.artifacts);
  const groups = groupByCollector(policySet, metricsOf(policySet, policy, personas));
  const runs = await inParallel([...groups], PARALLEL_COLLECTORS, ([id, metrics]) =>
    measureGroup(options, id, metrics, { artifacts, tree, reportsDir }),
  );
  const kept = await keepReports(previous?.reports ?? [], reportsDir);
  const reports = [...kept, ...runs.flatMap((run) => run.reports)];
  const measurements = runs.flatMap((run) => run.measurements);
  const changed = (await hashTree(root)) !== tree;
  if (!changed) await Promise.all(runs.flatMap((run) => run.keep?.() ?? []));
  return {
    measurements: sorted(changed ? measurements.map(invalidated) : measurements, (each) => each.metric),
    findings: sorted([...(previous?.findings ?? []), ...runs.flatMap((run) => run.findings)], findingKey),
    artifacts: await checkArtifacts({
      root,
      phase: options.phase,
      policy: policyOf(policySet, policy),
      alsoRequired: contractArtifacts(policySet, policy, personas),
      artifacts,
      run: options.run,
      reportsDir,
      read: options.processes?.readDocument(options.signal),
    }),
    reports: sorted(reports, (report) => report.name),
    tree,
  };
}

/** The collectors and their proofs, with the commands that the policies declare in the place of what they measure. */
function declaredBy({
  policySet,
  collectors = allCollectors,
  processes,
  selftest,
  sandbox,
}: MeasureOptions): Pick<MeasureOptions, 'selftest'> & { collectors: readonly Collector[] } {
  const own = processes === undefined ? collectors : collectors.map((collector) => processes.separate(collector));
  if (policySet.declared === undefined) return { collectors: own, selftest };
  const { commands } = policySet.declared;
  const declared = withDeclared(own, commands, policySet.metrics);
  const { metrics: catalogue } = policySet;
  const ids = declared.replaced.map(({ id }) => id);
  return {
    collectors: declared.collectors.map((each) =>
      processes !== undefined && ids.includes(each.id) ? processes.separate(each, { commands, catalogue }) : each,
    ),
    selftest: selftest && provenWithDeclared(selftest, declared.replaced, sandbox.description),
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

async function measureGroup(
  options: MeasureOptions & { collectors: readonly Collector[] },
  id: string,
  metrics: Readonly<Record<string, MetricSpec>>,
  shared: Shared,
): Promise<ReusableRun> {
  const names = Object.keys(metrics);
  const only = options.only;
  if (only && !only.collectors.includes(id)) {
    const known = only.previous.measurements.filter((measurement) => names.includes(measurement.metric));
    return { measurements: known, findings: [], reports: [] };
  }
  const refuse = (version: string, reason: string): ReusableRun => ({
    measurements: names.map((metric) => notEvaluable(metric, id, version, reason)),
    findings: [],
    reports: [],
  });
  const collector = options.collectors.find((candidate) => candidate.id === id);
  if (!collector) return refuse('none', `no collector \`${id}\` is installed, so nothing measures this`);
  if (options.skipCollectors?.includes(id)) return refuse(collector.version, `not measured yet: waits for \`${id}\``);
  const { selftest, cache } = options;
  if (!selftest) return measureBy(options, collector, metrics, { ...shared, cache });
  const proof = await selftest.resultOf(collector, options.signal, options.root);
  const fault = faultOfProof(collector, proof);
  if (fault !== undefined) return refuse(collector.version, fault);
  const run = await measureBy(options, collector, metrics, { ...shared, cache });
  const proven = proof ? [describeProof(proof)] : [];
  return {
    ...run,
    measurements: run.measurements.map((each) => ({ ...each, evidence: [...each.evidence, ...proven] })),
  };
}

function measureBy(
  options: MeasureOptions,
  collector: Collector,
  metrics: Readonly<Record<string, MetricSpec>>,
  { artifacts, tree, reportsDir, cache }: Shared & Pick<MeasureOptions, 'cache'>,
): Promise<ReusableRun> {
  const { retry_on_failure, max_retries, gate_evaluation_timeout } = options.policySet.settings;
  const { root, sandbox, phase, run, logger, scratch, signal } = options;
  const context = { root, sandbox, phase, metrics, artifacts, run, tree, logger };
  const measure = (): Promise<ReusableRun> =>
    runCollector({
      collector,
      context,
      scratch,
      reportsDir,
      timeoutMs: gate_evaluation_timeout * 1000,
      retries: retry_on_failure ? max_retries : 0,
      signal,
    });
  return cache ? cache.reuse({ collector, context, reportsDir }, measure) : measure();
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
