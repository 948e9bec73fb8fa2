import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { FleetError, errorMessage } from '../../shared/errors.ts';
import type { Logger } from '../../shared/logger.ts';
import { packagePath } from '../../shared/package-root.ts';
import type { Sandbox } from '../../shared/sandbox/sandbox.ts';
import type { Measurement } from '../../shared/verdict.ts';
import type { Collector, RunContext } from '../collector.ts';
import { hashTree, listFiles } from '../hostile-files.ts';
import type { MetricSpec } from '../policy-schema.ts';
import { runCollector } from '../run-collector.ts';
import {
  type Edits,
  type Expected,
  type SelfTest,
  type SelfTestResult,
  type Twin,
  describeExpected,
} from './self-test.ts';

export const FIXTURE = packagePath('config', 'selftest', 'project');

/** Writes the fixture project with its edits; a replacement that finds nothing is a fault of the self-test. */
export async function writeTwin(folder: string, edits: Edits = {}, fixture = FIXTURE): Promise<void> {
  const texts = new Map<string, string>();
  for (const { path } of await listFiles(fixture, new Set()))
    texts.set(path, await readFile(join(fixture, path), 'utf8'));
  for (const [path, edit] of Object.entries(edits)) {
    if (edit === null) texts.delete(path);
    else if (typeof edit === 'string') texts.set(path, edit);
    else {
      for (const [find, put] of edit) {
        const text = texts.get(path);
        if (text?.includes(find) !== true)
          throw new FleetError('INTERNAL', `the self-test's project has no "${find}" in ${path}`);
        texts.set(
          path,
          text.replace(find, () => put),
        );
      }
    }
  }
  for (const [path, text] of texts) {
    await mkdir(join(folder, dirname(path)), { recursive: true });
    await writeFile(join(folder, path), text);
  }
}

export interface SelfTestRun {
  collector: Collector;
  selfTest: SelfTest;
  sandbox: Sandbox;
  logger: Logger;
  signal: AbortSignal;
}

/** Measures the clean twin, which must be green, and then each defect, which must be red. */
export async function runSelfTest(options: SelfTestRun): Promise<SelfTestResult> {
  const { collector, selfTest, sandbox } = options;
  const startedAt = performance.now();
  const checks: SelfTestResult['checks'] = [];
  const tools: Record<string, string> = {};
  let fault: string | undefined;
  try {
    fault = await notRun(options, { fetch: true });
    for (const { what, ...twin } of [{ what: 'clean', ...selfTest.clean }, ...selfTest.defects]) {
      if (fault !== undefined) break;
      const measurements = await measureTwin(options, twin);
      for (const { tool, toolVersion } of measurements.flatMap((measurement) => measurement.evidence)) {
        if (tool !== undefined) tools[tool] = toolVersion ?? tools[tool] ?? 'not stated';
      }
      for (const [metric, expected] of Object.entries(twin.expect)) {
        const measurement = measurements.find((each) => each.metric === metric);
        const ok = measurement !== undefined && holds(expected, measurement);
        checks.push({ twin: what, metric, expected: describeExpected(expected), seen: seenOf(measurement), ok });
      }
      if (checks.some((check) => !check.ok)) break;
    }
  } catch (err) {
    if (options.signal.aborted) throw err;
    fault = errorMessage(err);
  }
  const wrong = checks.find((check) => !check.ok);
  if (wrong) fault ??= `${wrong.metric} of the twin "${wrong.twin}" is ${wrong.seen}, it must be ${wrong.expected}`;
  else if (checks.length === 0) fault ??= 'it checks nothing';
  return {
    collector: collector.id,
    version: collector.version,
    passed: fault === undefined,
    reason: fault ?? null,
    checks,
    tools,
    node: process.version,
    sandbox: sandbox.description,
    at: new Date().toISOString(),
    durationMs: Math.round(performance.now() - startedAt),
  };
}

/** Why a self-test cannot be run on this machine, or undefined when it can be. */
export async function notRun(
  { selfTest, sandbox, logger, signal }: Omit<SelfTestRun, 'collector'>,
  may: { fetch: boolean },
): Promise<string | undefined> {
  if (selfTest.needs === undefined) return undefined;
  const outDir = await mkdtemp(join(tmpdir(), 'maestro-selftest-'));
  try {
    const lacks = await selfTest.needs({ sandbox, outDir, logger, signal }, may);
    return lacks && `not run: ${lacks}`;
  } finally {
    await rm(outDir, { recursive: true, force: true, maxRetries: 3 });
  }
}

const NO_RUN: RunContext = { approvals: [], judgements: [], phaseStartedAt: undefined, round: 0, inputs: {} };

const specOf = (collector: string, metric: string, own: Partial<MetricSpec> | undefined): MetricSpec => ({
  description: metric,
  type: 'amount',
  unit: '',
  direction: 'min',
  collector,
  examined: 'things',
  minimum_examined: 1,
  ...own,
});

async function measureTwin(
  { collector, selfTest, sandbox, logger, signal }: SelfTestRun,
  twin: Twin & { expect: Readonly<Record<string, Expected>> },
): Promise<Measurement[]> {
  const folder = await mkdtemp(join(tmpdir(), 'maestro-selftest-'));
  try {
    const root = join(folder, 'project');
    await writeTwin(root, twin.edits, selfTest.fixture);
    const metrics = Object.keys(twin.expect).map(
      (metric) => [metric, specOf(collector.id, metric, selfTest.specs?.[metric])] as const,
    );
    const run = await runCollector({
      collector,
      context: {
        root,
        sandbox,
        phase: selfTest.phase,
        metrics: Object.fromEntries(metrics),
        artifacts: {},
        run: { ...NO_RUN, ...(typeof twin.run === 'function' ? twin.run() : twin.run) },
        tree: await hashTree(root),
        logger,
      },
      scratch: folder,
      reportsDir: join(folder, 'reports'),
      timeoutMs: collector.timeoutMs,
      retries: 0,
      signal,
    });
    return run.measurements;
  } finally {
    await rm(folder, { recursive: true, force: true, maxRetries: 3 });
  }
}

function holds(expected: Expected, measurement: Measurement): boolean {
  if (measurement.status === 'not_evaluable')
    return 'notEvaluable' in expected && expected.notEvaluable.test(measurement.reason);
  if (measurement.examined === 0) return false;
  if ('atLeast' in expected) return measurement.value >= expected.atLeast;
  return 'atMost' in expected && measurement.value <= expected.atMost;
}

const seenOf = (measurement: Measurement | undefined): string => {
  if (measurement === undefined) return 'left out';
  return measurement.status === 'measured'
    ? `${measurement.value} of ${measurement.examined} examined`
    : `not evaluable: ${measurement.reason.slice(0, 400)}`;
};
