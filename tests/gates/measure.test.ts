import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readFile, readdir, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import type { CollectContext, Collected, Collector, RunContext } from '../../src/gates/collector.ts';
import { evaluatePhase } from '../../src/gates/evaluate.ts';
import { loadPolicySet } from '../../src/gates/load-policy.ts';
import { type MeasureOptions, type PhaseMeasurement, measurePhase } from '../../src/gates/measure.ts';
import { MeasuringProcesses } from '../../src/gates/separate/measuring-processes.ts';
import { FleetError } from '../../src/shared/errors.ts';
import { silentLogger } from '../../src/shared/logger.ts';
import type { Sandbox } from '../../src/shared/sandbox/sandbox.ts';
import { NOTHING_RUNS, slowDocument } from '../support/slow-document.ts';

const metric = (collector: string, more = ''): string =>
  `{ description: d, type: count, unit: u, direction: min, collector: ${collector}, examined: files, minimum_examined: 1${more} }`;
const POLICY = `
version: '1'
schema_version: '1.0'
global_settings: { enforcement_mode: blocking, gate_evaluation_timeout: 0.4, retry_on_failure: true, max_retries: 2 }
metrics:
  file_count: ${metric('files')}
  line_count: ${metric('files')}
  slow_count: ${metric('slow')}
  judged_count: ${metric('review', ', reviewer: phase_reviewer, question: Is it good?')}
artifacts:
  source: { description: d, paths: ['src/**/*.js'] }
  notes: { description: d, paths: ['docs/notes.md'], sections: [Goals], fenced: mermaid }
  logs: { description: d, paths: [], source: evidence, reports: ['files/*.json'] }
  reviews: { description: d, paths: [], source: reviews }
  signoff: { description: d, paths: [], source: approvals }
phases:
  custom_component:
    phase_name: Custom
    phase_id: custom_component
    description: d
    success_criteria: { line_count: { threshold: 1, direction: min, severity: WARNING } }
    required_artifacts: [source, logs]
    optional_artifacts: [notes, reviews, signoff]
    exit_gates:
      - { gate: has_files, condition: file_count >= 1, severity: BLOCKING }
      - { gate: is_judged, condition: judged_count >= 1, severity: BLOCKING }
    metrics: [{ metric: slow_count, target: '>= 1' }]
cross_phase_policies: {}
bypass_rules: { bypassable_gates: [], non_bypassable_gates: [], audit_trail: { log: l, alert_threshold: 0.1 } }
reporting:
  phase_completion_report: { enabled: true }
  gate_evaluation_report: { enabled: true, format: json, include_recommendations: true }
  trend_analysis: { enabled: true, period_days: 30 }
fallback_validation: { gate: g, condition: 'true', severity: WARNING, audit_log: l }
`;
const policySet = loadPolicySet([{ file: 'p.yaml', text: POLICY }]);
const noRun: RunContext = { approvals: [], judgements: [], phaseStartedAt: undefined, round: 0, inputs: {} };
/** None of the collectors here runs a command. */
const sandbox: Sandbox = {
  kind: 'off',
  description: 'none',
  pathOf: (_mounts, inside) => inside,
  run: () => Promise.reject(new FleetError('SANDBOX_UNAVAILABLE', 'there is no sandbox here')),
};

type Collect = (context: CollectContext) => Promise<Collected>;
const collector = (id: string, metrics: string[], collect: Collect): Collector => ({
  id,
  version: '7',
  metrics,
  timeoutMs: 10_000,
  collect,
});
/** Counts files and lines below `src`, and leaves a report of it. */
const files = (after?: Collect): Collector =>
  collector('files', ['file_count', 'line_count'], async (context) => {
    const names = await readdir(join(context.root, 'src'));
    const texts = await Promise.all(names.map((name) => readFile(join(context.root, 'src', name), 'utf8')));
    await writeFile(join(context.outDir, 'count.json'), JSON.stringify({ files: names.length }));
    await after?.(context);
    const lines = texts.join('').split('\n').length;
    const report = { kind: 'file', summary: `${names.length} files`, report: 'count.json' } as const;
    return {
      values: {
        file_count: { value: names.length, examined: names.length },
        line_count: { value: lines, examined: names.length },
      },
      findings: [
        { rule: 'b', message: 'second', severity: 'error', file: 'src/b.js', line: 10 },
        { rule: 'a', message: 'first', severity: 'error', file: 'src/b.js', line: 9 },
      ],
      evidence: [report],
    };
  });
const slow = (value: number): Collector =>
  collector('slow', ['slow_count'], () =>
    Promise.resolve({ values: { slow_count: { value, examined: 1 } }, findings: [], evidence: [] }),
  );
const review = collector('review', ['judged_count'], (context) =>
  Promise.resolve({
    values: {
      judged_count: {
        value: context.run.judgements.length,
        examined: context.run.judgements.length,
        source: 'review',
        simulated: context.run.judgements.some((judgement) => judgement.simulated),
      },
    },
    findings: [],
    evidence: [],
  }),
);
const reviewed: RunContext = {
  ...noRun,
  judgements: [
    { reviewer: 'phase_reviewer', simulated: true, judgement: { metric: 'judged_count', items: [], summary: '' } },
  ],
};

let folder = '';
let root = '';
const put = async (path: string, text: string): Promise<void> => {
  await mkdir(dirname(join(root, path)), { recursive: true });
  await writeFile(join(root, path), text);
};
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'measure-'));
  root = join(folder, 'root');
  await put('src/a.js', 'one\ntwo\n');
});
afterEach(() => rm(folder, { recursive: true, force: true }));

let count = 0;
async function measure(change: Partial<MeasureOptions> = {}): Promise<PhaseMeasurement> {
  const scratch = join(folder, `scratch-${(count += 1)}`);
  await mkdir(scratch);
  return measurePhase({
    root,
    phase: 'build',
    policySet,
    policy: 'custom_component',
    sandbox,
    run: noRun,
    scratch,
    signal: new AbortController().signal,
    logger: silentLogger(),
    collectors: [files(), slow(3), review],
    ...change,
  });
}
const of = (measurement: PhaseMeasurement, name: string) =>
  measurement.measurements.find((each) => each.metric === name);
const reasonOf = (measurement: PhaseMeasurement, name: string): string => {
  const found = of(measurement, name);
  return found?.status === 'not_evaluable' ? found.reason : '';
};
const artifact = (measurement: PhaseMeasurement, name: string) =>
  measurement.artifacts.find((each) => each.artifact === name);

describe('measuring', () => {
  test('gives one measurement per metric of the policy, in order, with evidence bound to tree and report', async () => {
    const measured = await measure({ run: reviewed });
    expect(measured.measurements.map((each) => each.metric)).toEqual([
      'file_count',
      'judged_count',
      'line_count',
      'slow_count',
    ]);
    const sha256 = createHash('sha256').update('{"files":1}').digest('hex');
    expect(of(measured, 'file_count')).toEqual({
      status: 'measured',
      metric: 'file_count',
      collector: 'files',
      collectorVersion: '7',
      value: 1,
      examined: 1,
      source: 'collector',
      simulated: false,
      evidence: [
        { kind: 'file', summary: '1 files', report: 'files/count.json', reportSha256: sha256, tree: measured.tree },
      ],
    });
    expect(measured.reports).toMatchObject([{ name: 'files/count.json', sha256, bytes: 11 }]);
    expect(measured.findings.map((finding) => finding.message)).toEqual(['first', 'second']);
    const verdict = evaluatePhase({
      policySet,
      policy: 'custom_component',
      phase: 'build',
      fallback: true,
      ...measured,
    });
    expect(verdict).toMatchObject({ verdict: 'passed', simulated: true });
  });

  test('names the collector that is not there', async () => {
    const measured = await measure({ collectors: [files(), review] });
    expect(of(measured, 'slow_count')).toMatchObject({
      status: 'not_evaluable',
      reason: 'no collector `slow` is installed, so nothing measures this',
    });
  });

  test.each([
    ['leaves a metric out', {}, /gave no value for slow_count/],
    ['gives NaN', { slow_count: { value: Number.NaN, examined: 1 } }, /gave NaN/],
    ['does not say how much it examined', { slow_count: { value: 1, examined: 0.5 } }, /how much it examined/],
    ['gives a reason', { slow_count: { notEvaluable: 'nothing to time' } }, /^nothing to time$/],
  ])('is not evaluable when a collector %s', async (_, values, reason) => {
    const odd = collector('slow', ['slow_count'], () => Promise.resolve({ values, findings: [], evidence: [] }));
    expect(reasonOf(await measure({ collectors: [files(), odd, review] }), 'slow_count')).toMatch(reason);
  });

  test('runs a crashed collector again, in a fresh folder, and says so when it gives up', async () => {
    const folders: string[] = [];
    const crash = collector('slow', ['slow_count'], (context) => {
      folders.push(context.outDir);
      return Promise.reject(new Error('it broke'));
    });
    const measured = await measure({ collectors: [files(), crash, review] });
    expect(new Set(folders).size).toBe(3);
    expect(of(measured, 'slow_count')).toMatchObject({
      status: 'not_evaluable',
      reason: 'collector `slow` failed: it broke (3 attempts)',
    });
  });

  test('runs a collector again after a crash, but never because of its value', async () => {
    let runs = 0;
    const flaky = collector('slow', ['slow_count'], () => {
      runs += 1;
      if (runs === 1) return Promise.reject(new Error('once'));
      return Promise.resolve({ values: { slow_count: { value: 0, examined: 1 } }, findings: [], evidence: [] });
    });
    expect(of(await measure({ collectors: [flaky] }), 'slow_count')).toMatchObject({ status: 'measured', value: 0 });
    expect(runs).toBe(2);
  });

  test('does not wait for a collector that does not end', async () => {
    let aborted = false;
    const endless = collector('slow', ['slow_count'], (context) => {
      context.signal.addEventListener('abort', () => (aborted = true));
      return new Promise<never>(() => undefined);
    });
    const measured = await measure({ collectors: [files(), endless, review] });
    expect(reasonOf(measured, 'slow_count')).toContain('did not finish within 0.4 s');
    expect(aborted).toBe(true);
    expect(of(measured, 'file_count')?.status).toBe('measured');
  });

  test('ends when it is cancelled', async () => {
    const controller = new AbortController();
    const endless = collector('slow', ['slow_count'], () => {
      controller.abort();
      return new Promise<never>(() => undefined);
    });
    await expect(measure({ collectors: [endless], signal: controller.signal })).rejects.toMatchObject({
      code: 'CANCELLED',
    });
  });

  test('trusts nothing when the files changed while they were measured', async () => {
    const tamper = files(async (context) => {
      await writeFile(join(context.root, 'src', 'a.js'), 'edited');
      return { values: {}, findings: [], evidence: [] };
    });
    const measured = await measure({ collectors: [tamper, slow(1), review] });
    expect(measured.measurements.map((each) => each.status)).toEqual(measured.measurements.map(() => 'not_evaluable'));
  });

  test('leaves judgements for later, and adds them to what was measured before', async () => {
    const first = await measure({ skipCollectors: ['review'] });
    expect(reasonOf(first, 'judged_count')).toMatch(/waits for `review`/);
    const only = { collectors: ['review'], previous: first };
    const second = await measure({ run: reviewed, only, collectors: [review] });
    expect(of(second, 'judged_count')).toMatchObject({ status: 'measured', source: 'review', simulated: true });
    expect(of(second, 'file_count')).toEqual(of(first, 'file_count'));
    expect(artifact(second, 'logs')?.outcome).toBe('present');
    await put('src/b.js', 'more');
    await expect(measure({ run: reviewed, only })).rejects.toMatchObject({ code: 'CONFLICT' });
  });

  test('hashes the same files to the same tree, and others to another', async () => {
    const { tree } = await measure();
    expect((await measure()).tree).toBe(tree);
    await put('src/a.js', 'one\ntwo!\n');
    expect((await measure()).tree).not.toBe(tree);
  });
});

describe('hostile outputs of a collector', () => {
  test('are refused when they are links, FIFOs or too large, and each is a finding', async () => {
    await writeFile(join(folder, 'secret'), 'secret');
    const hostile = files(async ({ outDir }) => {
      await symlink(join(folder, 'secret'), join(outDir, 'link.json'));
      await symlink(folder, join(outDir, 'folder'));
      execFileSync('mkfifo', [join(outDir, 'pipe.json')]);
      await writeFile(join(outDir, 'huge.json'), '');
      await truncate(join(outDir, 'huge.json'), 100 * 1024 ** 2);
      return { values: {}, findings: [], evidence: [] };
    });
    const measured = await measure({ collectors: [hostile, slow(1), review] });
    expect(measured.reports.map((report) => report.name)).toEqual(['files/count.json']);
    const refused = measured.findings.filter((finding) => finding.rule === 'evidence/refused-output');
    expect(refused.map((finding) => finding.message.split(':')[0])).toEqual([
      'files/folder',
      'files/huge.json',
      'files/link.json',
      'files/pipe.json',
    ]);
  });
});

describe('artifacts', () => {
  test('are missing without a file, and a link is no file', async () => {
    await rm(join(root, 'src', 'a.js'));
    await writeFile(join(folder, 'elsewhere.js'), 'x');
    await symlink(join(folder, 'elsewhere.js'), join(root, 'src', 'a.js'));
    expect(artifact(await measure(), 'source')).toMatchObject({ outcome: 'missing', message: 'no file src/**/*.js' });
  });

  test('are not found outside of the folder through a linked folder', async () => {
    await mkdir(join(folder, 'other'));
    await writeFile(join(folder, 'other', 'x.js'), 'x');
    await rm(join(root, 'src', 'a.js'));
    await symlink(join(folder, 'other'), join(root, 'src', 'linked'));
    expect(artifact(await measure({ collectors: [] }), 'source')?.outcome).toBe('missing');
  });

  test('a document that takes minutes to parse lacks what it must hold, and holds up nothing meanwhile', async () => {
    const processes = new MeasuringProcesses(NOTHING_RUNS, { readMs: 300 });
    onTestFinished(() => processes.close());
    await put('docs/notes.md', slowDocument(18_000));
    let turns = 0;
    const ticking = setInterval(() => (turns += 1), 5);
    const measured = await measure({ collectors: [], processes });
    clearInterval(ticking);
    expect(artifact(measured, 'notes')).toMatchObject({
      outcome: 'missing',
      message: 'docs/notes.md cannot be read: that takes more than 0.3 s',
    });
    expect(turns).toBeGreaterThan(20);
  });

  test('are missing when they are empty', async () => {
    await put('src/a.js', '');
    expect(artifact(await measure(), 'source')?.message).toMatch(/src\/a.js has 0 bytes/);
  });

  test('are missing without their sections and blocks, and say which', async () => {
    await put('docs/notes.md', '# Notes\n\n## Goals\n\n## Other\n\nSome text that stands here.\n');
    expect(artifact(await measure(), 'notes')?.message).toBe(
      'docs/notes.md:3 nothing is written under "Goals"; docs/notes.md has no block ```mermaid',
    );
    await put('docs/notes.md', '## Goals\n\nReach the goal with care.\n\n```mermaid\ngraph TD; a-->b\n```\n');
    expect(artifact(await measure(), 'notes')).toMatchObject({ outcome: 'present', files: ['docs/notes.md'] });
  });

  test('that the fleet records come from its records and from the reports of collectors', async () => {
    const bare = await measure({ collectors: [] });
    expect(['logs', 'reviews', 'signoff'].map((name) => artifact(bare, name)?.outcome)).toEqual([
      'missing',
      'missing',
      'missing',
    ]);
    const approval = {
      phase: 'build',
      role: 'stakeholder',
      by: 'Ann',
      decision: 'approved',
      note: '',
      at: '',
    } as const;
    const approvals = [{ ...approval, round: 0, simulated: true }];
    const recorded = await measure({ run: { ...reviewed, approvals } });
    expect(artifact(recorded, 'logs')).toMatchObject({ outcome: 'present', files: ['files/count.json'] });
    expect(artifact(recorded, 'reviews')?.message).toBe('reviewed by phase_reviewer');
    expect(artifact(recorded, 'signoff')?.message).toBe('approved by Ann (stakeholder), simulated');
    const older = await measure({ run: { ...noRun, round: 1, approvals } });
    expect(artifact(older, 'signoff')?.outcome).toBe('missing');
    const rejected = approvals.map((each) => ({ ...each, decision: 'rejected' as const }));
    expect(artifact(await measure({ run: { ...noRun, approvals: rejected } }), 'signoff')?.outcome).toBe('missing');
  });
});
