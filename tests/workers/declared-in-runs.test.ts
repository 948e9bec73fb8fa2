import { expect, test } from 'vitest';
import { loadPolicySet } from '../../src/gates/load-policy.ts';
import { getJson } from '../../src/shared/blob-store.ts';
import type { GivenFile } from '../../src/shared/definitions.ts';
import type { PhaseRecord } from '../../src/shared/run-record.ts';
import { RoundEvidence } from '../../src/shared/round-evidence.ts';
import { type Work, startFleetOf } from '../support/gate-fleet.ts';
import { PHASE, RUN_CHECKS, check, overlayOf, policyOf, write } from '../support/small-project.ts';
import { testRedis } from '../support/test-redis.ts';

const MEASURED = overlayOf(['sh', '-c', RUN_CHECKS, 'sh', '{out}/junit.xml']);
const TESTED = policyOf({ tests_pass: 'test_pass_rate >= 1 AND test_count >= 2', small: 'lines_of_code <= 100' });
const PROJECT = {
  'src/add.sh': 'echo $(( $1 + $2 ))\n',
  'checks/small.sh': check(1, 2, 3),
  'checks/large.sh': check(4, 5, 9),
};

const gatesOf = (record: PhaseRecord): string[][] =>
  record.rounds.map(({ verdict }) => verdict.gates.map(({ gate, outcome }) => `${gate} ${outcome}`));

type Beside = NonNullable<Parameters<Awaited<ReturnType<typeof startFleetOf>>['start']>[3]>;

/** A fleet whose persona does this work: each call runs a phase to its end, and gives its record and its evidence. */
async function fleetDoing(work: Work) {
  const fleet = await startFleetOf(testRedis(), work);
  return async ({ rework = 0, ...beside }: Beside & { rework?: number }) => {
    const plan = await fleet.start({ ...PHASE, rework }, true, {}, beside);
    await fleet.ended(plan);
    const record = await fleet.phaseOf(plan);
    const evidence = await Promise.all(
      record.rounds.map((round) => getJson(fleet.blobs, round.evidence, RoundEvidence)),
    );
    return { record, evidence };
  };
}

test('a run measures another stack by the commands of its policies: what fails goes back, what is mended passes', async () => {
  const policies = [TESTED, MEASURED];
  const runPhase = await fleetDoing((tree, round) =>
    write(tree, { ...PROJECT, ...(round === 0 ? { 'src/add.sh': 'echo $(( $1 + 2 ))\n' } : {}) }),
  );
  const { record, evidence } = await runPhase({ rework: 1, policies });
  expect(record.status).toBe('passed');
  expect(gatesOf(record)).toEqual([
    ['tests_pass failed', 'small passed'],
    ['tests_pass passed', 'small passed'],
  ]);
  expect(evidence[0]?.findings).toContainEqual(
    expect.objectContaining({ rule: 'tests/failed', file: 'checks/large.sh', message: 'checks/large.sh: wrong sum' }),
  );
  const measured = evidence[1]?.measurements.find(({ metric }) => metric === 'test_pass_rate');
  expect(measured).toMatchObject({ value: 1, examined: 2 });
  expect(measured?.collectorVersion).toContain('+declared.');
  expect(measured?.evidence[0]).toMatchObject({
    summary: 'declared command checks ended with code 0',
    report: 'tests/checks-junit.xml',
  });
  expect(record.rounds[0]?.verdict.policyDigest).toBe(loadPolicySet(policies).digest);
});

test('a declared command that leaves no report, or cannot be run, is an error and blocks', async () => {
  const runPhase = await fleetDoing((tree) => write(tree, PROJECT));
  const seen = await Promise.all(
    [['true'], ['sh', '-c', 'exit 7'], ['no-such-runner']].map(async (argv) => {
      const { record } = await runPhase({ policies: [TESTED, overlayOf(argv)] });
      return [record.status, record.rounds.at(-1)?.verdict.gates[0]?.outcome, record.reason];
    }),
  );
  expect(seen).toEqual([
    ['blocked', 'error', expect.stringMatching(/checks: left no regular file junit\.xml/)],
    ['blocked', 'error', expect.stringMatching(/checks: .*exit code 7/)],
    ['blocked', 'error', expect.stringMatching(/checks: /)],
  ]);
});

test('a persona changes neither what is declared nor what it reports, whatever it writes', async () => {
  const green = '<testsuites tests="2"><testsuite><testcase name="a"/><testcase name="b"/></testsuite></testsuites>';
  const own = overlayOf(['sh', '-c', 'printf %s "$1" > "$2"', 'sh', green, '{out}/junit.xml']);
  const runPhase = await fleetDoing((tree) =>
    write(tree, {
      ...PROJECT,
      'src/add.sh': 'echo 3\n',
      'maestro.policies.yaml': own.text,
      'junit.xml': green,
      'out/junit.xml': green,
    }),
  );
  const { record } = await runPhase({ policies: [TESTED, MEASURED] });
  expect(record.status).toBe('blocked');
  expect(record.rounds.at(-1)?.verdict.gates[0]).toMatchObject({
    outcome: 'failed',
    values: { test_pass_rate: { value: 0.5, source: 'collector' } },
  });
});

const RECOVERY = policyOf({ recovery: 'mean_time_to_recovery_minutes <= 60' });
/** Records of a week that ends now, with an incident of half an hour. */
function recordsOf(): GivenFile {
  const now = Date.now();
  const before = (minutes: number): string => new Date(now - minutes * 60_000).toISOString();
  const incident = { id: 'INC-1', title: 'Full disk', severity: 'high', opened: before(90) };
  return {
    name: 'records.yaml',
    text: JSON.stringify({
      schema: 'maestro.operations/v1',
      service: 'links',
      source: 'the pager',
      period: { from: before(7 * 24 * 60), to: before(0) },
      incidents: [{ ...incident, acknowledged: before(85), resolved: before(60) }],
    }),
  };
}

test('records that are handed in with a run are read by its gates, and not those that a persona writes', async () => {
  const records = recordsOf();
  const runPhase = await fleetDoing((tree) => write(tree, { 'records.yaml': records.text }));
  const [given, none] = await Promise.all([
    runPhase({ policies: [RECOVERY], given: { records } }),
    runPhase({ policies: [RECOVERY] }),
  ]);
  expect(given.record.status).toBe('passed');
  expect(given.evidence[0]?.measurements).toEqual([
    expect.objectContaining({ metric: 'mean_time_to_recovery_minutes', value: 30, examined: 1 }),
  ]);
  expect(none.record.status).toBe('blocked');
  expect(none.record.reason).toMatch(/no records of the service/);
});

/** A project with one locked package. */
const WITH_PACKAGE = {
  'package.json': JSON.stringify({
    name: 'p',
    version: '1.0.0',
    type: 'module',
    dependencies: { 'left-pad': '1.0.0' },
  }),
  'package-lock.json': JSON.stringify({
    name: 'p',
    version: '1.0.0',
    lockfileVersion: 3,
    packages: {
      '': { name: 'p', version: '1.0.0', dependencies: { 'left-pad': '1.0.0' } },
      'node_modules/left-pad': {
        version: '1.0.0',
        resolved: 'https://registry.npmjs.org/left-pad/-/left-pad-1.0.0.tgz',
        integrity: `sha512-${Buffer.alloc(64).toString('base64')}`,
      },
    },
  }),
  'src/index.js': 'export const one = 1;\n',
};
const advisoriesFor = (vulns: unknown[]): GivenFile => ({
  name: 'advisories.json',
  text: JSON.stringify({
    schema: 'maestro.advisories/v1',
    source: 'osv.dev',
    taken: new Date().toISOString(),
    ecosystem: 'npm',
    covers: 'all',
    vulns,
  }),
});

test('packages of a run are held against the advisories that were handed in with it', async () => {
  const policies = [policyOf({ secure: 'security_vulnerabilities == 0' })];
  const affected = { package: { ecosystem: 'npm', name: 'left-pad' }, versions: ['1.0.0'] };
  const runPhase = await fleetDoing((tree) => write(tree, WITH_PACKAGE));
  const runs = await Promise.all([
    runPhase({ policies, given: { advisories: advisoriesFor([]) } }),
    runPhase({ policies, given: { advisories: advisoriesFor([{ id: 'GHSA-1', affected: [affected] }]) } }),
    runPhase({ policies }),
  ]);
  expect(runs.map(({ record }) => record.rounds[0]?.verdict.gates[0]?.outcome)).toEqual(['passed', 'failed', 'error']);
  expect(JSON.stringify(runs[1]?.evidence[0]?.findings)).toContain('GHSA-1');
});
