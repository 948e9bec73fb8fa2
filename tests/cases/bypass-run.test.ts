import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import pc from 'picocolors';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { suppliedReport } from '../../src/gates/reports/phase-report.ts';
import { REPORT_FORMATS, renderPhase } from '../../src/gates/reports/render.ts';
import { type NewBypassEntry, RedisBypassLog, newBypassId } from '../../src/shared/bypass-log.ts';
import { BlobRef } from '../../src/shared/run-record.ts';
import { RoundEvidence } from '../../src/shared/round-evidence.ts';
import { getJson } from '../../src/shared/blob-store.ts';
import { type SuppliedFleet, lastVerdict, startSuppliedFleet } from '../support/supplied-fleet.ts';
import { testRedis } from '../support/test-redis.ts';
import { cleanEnv, jsonOf, run } from '../system/maestro.ts';
import { fullRecord } from './records.ts';
import { workflowText } from './workflow-text.ts';

const BLOCKING = (text: string): string =>
  text.replace(
    /documentation_coverage: \{ threshold: 0\.7, direction: min, severity: WARNING[^}]*\}/,
    'documentation_coverage: { threshold: 0.7, direction: min, severity: BLOCKING }',
  );
const undocumented = (phase: string) => ({ ...fullRecord(phase), documentation_coverage: 0.5 });
const ONE_PHASE = workflowText({ implementation: [] });

/** The command, as somebody at another machine of the fleet runs it. */
async function maestro(fleet: SuppliedFleet, args: readonly string[]) {
  const env = cleanEnv({ REDIS_URL: fleet.at.url, MAESTRO_PREFIX: fleet.at.prefix, MAESTRO_HOME: fleet.home });
  return run(args, env, fleet.home);
}

const ADR = 'adr-7.md';
const Requested = z.object({ id: z.string(), role: z.string(), until: z.string() });

async function request(fleet: SuppliedFleet, where: readonly string[]) {
  await writeFile(join(fleet.home, ADR), '# The generated client is not documented\n\nAccepted for one week.\n');
  const why = ['--by', 'Ann', '--reason', 'generated client', '--adr', ADR, '--expires', '7d', '--json'];
  return maestro(fleet, ['bypass', 'request', ...where, ...why]);
}

const approve = (fleet: SuppliedFleet, id: string, by: string, role: string) =>
  maestro(fleet, ['bypass', 'approve', id, '--by', by, '--role', role]);

/** Entries as somebody writes them who has the Redis and not the command: in a chain that holds. */
async function grant(fleet: SuppliedFleet, change: Partial<Extract<NewBypassEntry, { type: 'requested' }>> = {}) {
  const log = new RedisBypassLog(fleet.redis, fleet.at.prefix);
  const asked = {
    type: 'requested',
    id: newBypassId(),
    at: new Date().toISOString(),
    scope: { kind: 'workflow', workflow: 'case' },
    phase: 'implementation',
    gate: 'documentation_coverage',
    by: 'Ann',
    reason: 'generated client',
    adr: { file: ADR, sha256: BlobRef.parse('a'.repeat(64)), bytes: 200 },
    role: 'tech_lead',
    until: new Date(Date.now() + 3_600_000).toISOString(),
    ...change,
  } as const;
  await log.append(asked);
  await log.append({ type: 'approved', id: asked.id, at: asked.at, by: 'Bob', role: asked.role });
  return { log, ...asked };
}

test('a blocked phase is bypassed between two rounds by the commands of two people, and every report says so', async () => {
  let bypassed: () => void = () => undefined;
  const isBypassed = new Promise<void>((resolve) => (bypassed = resolve));
  const fleet = await startSuppliedFleet(testRedis(), {
    metrics: undocumented,
    policies: BLOCKING,
    work: async ({ round }) => (round === 1 ? isBypassed : undefined),
  });
  const plan = await fleet.start(workflowText({ implementation: [] }, {}, 'rework: 1'));
  const roundOf = async () => (await fleet.store.getPhase(plan.runId, 'implementation')).round;
  await expect.poll(roundOf, { timeout: 20_000 }).toBe(1);

  const { id, role, until } = Requested.parse(
    jsonOf(await request(fleet, [plan.runId, 'implementation', 'documentation_coverage']), 0),
  );
  expect(role).toBe('tech_lead');
  expect(await approve(fleet, id, 'ann', 'tech_lead')).toMatchObject({ exit: 2, stdout: '' });
  expect(await approve(fleet, id, 'Bob', 'qa_lead')).toMatchObject({ exit: 2, stdout: '' });
  expect(await approve(fleet, id, 'Bob', 'tech_lead')).toMatchObject({ exit: 0 });
  bypassed();

  const ended = await fleet.ended(plan);
  expect(ended.run.status).toBe('passed_with_warnings');
  const { rounds } = ended.phases['implementation'] ?? { rounds: [] };
  expect(rounds.map((round) => round.verdict.verdict)).toEqual(['blocked', 'passed_with_warnings']);
  const verdict = lastVerdict(ended, 'implementation');
  expect(verdict.criteria.filter((each) => each.outcome === 'bypassed').map((each) => each.criterion)).toEqual([
    'documentation_coverage',
  ]);
  expect(verdict.bypasses).toMatchObject([{ id, outcome: 'applied', approvedBy: 'Bob', until }]);

  const evidence = await getJson(fleet.blobs, rounds.at(-1)?.evidence ?? BlobRef.parse('0'.repeat(64)), RoundEvidence);
  expect(evidence.judgedWith?.bypasses).toMatchObject([{ id, approval: { by: 'Bob', role: 'tech_lead' } }]);
  const page = join(fleet.home, 'report.html');
  const report = await maestro(fleet, ['report', plan.runId, '--html', page]);
  const asJson = await maestro(fleet, ['report', plan.runId, '--json']);
  const shown = [
    report.stdout,
    asJson.stdout,
    await readFile(page, 'utf8'),
    ...REPORT_FORMATS.map((format) => renderPhase(suppliedReport(verdict), format, pc.createColors(false))),
  ];
  for (const text of shown.map((each) => each.replaceAll('\\', '')))
    for (const word of ['Bob', 'tech_lead', 'Ann', 'generated client', until, id]) expect(text).toContain(word);
  expect(report.stdout).toMatch(/↷|bypassed/);
});

test('a run that ended blocked passes with a bypass when it is resumed, and no persona is asked again', async () => {
  const rounds: number[] = [];
  const fleet = await startSuppliedFleet(testRedis(), {
    metrics: undocumented,
    policies: BLOCKING,
    work: ({ round }) => Promise.resolve(void rounds.push(round)),
  });
  const plan = await fleet.start(ONE_PHASE);
  expect((await fleet.ended(plan)).run.status).toBe('blocked');
  await grant(fleet);
  expect(await maestro(fleet, ['resume', plan.runId])).toMatchObject({ exit: 0 });
  await expect.poll(async () => (await fleet.store.getRun(plan.runId)).status, { timeout: 20_000 }).toMatch(/^passed/);
  const ended = await fleet.ended(plan);
  expect(ended.run).toMatchObject({ status: 'passed_with_warnings', generation: 1 });
  expect(lastVerdict(ended, 'implementation').bypasses).toMatchObject([{ outcome: 'applied', approvedBy: 'Bob' }]);
  expect(rounds).toEqual([0]);
});

test('a bypass of a workflow counts for its next run until it is revoked, and then blocks again', async () => {
  const fleet = await startSuppliedFleet(testRedis(), { metrics: undocumented, policies: BLOCKING });
  expect((await fleet.run(ONE_PHASE)).run.status).toBe('blocked');
  const { id } = await grant(fleet);
  expect((await fleet.run(ONE_PHASE)).run.status).toBe('passed_with_warnings');
  expect((await fleet.run(ONE_PHASE.replace('name: case', 'name: other'))).run.status).toBe('blocked');
  const revoked = await maestro(fleet, ['bypass', 'revoke', id, '--by', 'Eve', '--reason', 'it is documented now']);
  expect(revoked.exit).toBe(0);
  const after = await fleet.run(ONE_PHASE);
  expect(after.run.status).toBe('blocked');
  expect(lastVerdict(after, 'implementation').bypasses).toMatchObject([
    { id, outcome: 'refused', message: 'does not count: revoked by Eve: it is documented now' },
  ]);
});

test('a bypass that has expired blocks, and the report says when it did', async () => {
  const fleet = await startSuppliedFleet(testRedis(), { metrics: undocumented, policies: BLOCKING });
  const until = new Date(Date.now() - 1_000).toISOString();
  await grant(fleet, { until });
  const ended = await fleet.run(ONE_PHASE);
  expect(ended.run.status).toBe('blocked');
  expect(lastVerdict(ended, 'implementation').bypasses?.[0]?.message).toBe(`does not count: expired ${until}`);
});

test.each([
  ['security_clean', { security_vulnerabilities: 5 }],
  ['security_vulnerabilities', { security_vulnerabilities: 5 }],
  ['build_success', { build_success_rate: 0.5 }],
])('%s is refused when asked for, and no entry in the log lets it through', async (gate, bad) => {
  const fleet = await startSuppliedFleet(testRedis(), { metrics: (phase) => ({ ...fullRecord(phase), ...bad }) });
  const plan = await fleet.start(ONE_PHASE);
  const asked = await request(fleet, [plan.runId, 'implementation', gate]);
  expect(asked).toMatchObject({ exit: 2, stdout: '' });
  expect(asked.stderr).toMatch(/never bypassable/);
  await fleet.ended(plan);
  await grant(fleet, { gate });
  const ended = await fleet.run(ONE_PHASE);
  expect(ended.run.status).toBe('blocked');
  const verdict = lastVerdict(ended, 'implementation');
  expect(verdict.bypasses).toMatchObject([{ gate, outcome: 'refused' }]);
  expect(verdict.bypasses?.[0]?.message).toMatch(/never bypassable/);
});

test('in a log that somebody touched no bypass counts, and run, report and list say so', async () => {
  const fleet = await startSuppliedFleet(testRedis(), { metrics: undocumented, policies: BLOCKING });
  const { log, id } = await grant(fleet);
  await log.append({ type: 'revoked', id, at: new Date().toISOString(), by: 'Eve', reason: 'too early' });
  // Whoever removes the revocation would have the bypass back.
  await fleet.redis.xdel(log.location, '3-0');
  const ended = await fleet.run(ONE_PHASE);
  expect(ended.run.status).toBe('blocked');
  const verdict = lastVerdict(ended, 'implementation');
  expect(verdict.brokenBypassLog).toMatch(/entry 3 is missing/);
  expect(verdict.bypasses).toMatchObject([{ id, outcome: 'refused' }]);
  expect(verdict.bypasses?.[0]?.message).toMatch(/the log is broken/);
  for (const format of REPORT_FORMATS)
    expect(renderPhase(suppliedReport(verdict), format, pc.createColors(false)).replaceAll('\\', '')).toMatch(
      /entry 3 is missing/,
    );
  const report = await maestro(fleet, ['report', ended.run.runId]);
  expect(report.stdout).toMatch(/no bypass counts: the log of bypasses is broken/);
  const list = await maestro(fleet, ['bypass', 'list']);
  expect(list).toMatchObject({ exit: 6 });
  expect(list.stderr).toMatch(/IS BROKEN, no bypass counts/);
  expect(await approve(fleet, id, 'Bob', 'tech_lead')).not.toMatchObject({ exit: 0 });
});

test('more than a tenth bypassed is an alert in the list, in the report and in the document of the run', async () => {
  const fleet = await startSuppliedFleet(testRedis(), {
    metrics: (phase) => ({ ...fullRecord(phase), performance_slo_met: 0.5, high_priority_bugs: 9 }),
  });
  await grant(fleet, { phase: 'testing', gate: 'performance_slo_met' });
  const one = await fleet.run(workflowText({ testing: [] }));
  expect(one.run.status).toBe('passed_with_warnings');
  const list = await maestro(fleet, ['bypass', 'list']);
  expect(list.stderr).toMatch(/1 of 11 gates and criteria .* bypassed \(9\.1%\)/);
  expect(list.stderr).not.toMatch(/ALERT/);

  await grant(fleet, { phase: 'testing', gate: 'high_priority_bugs', role: 'product_manager' });
  const two = await fleet.run(workflowText({ testing: [] }));
  const page = join(fleet.home, 'report.html');
  const report = await maestro(fleet, ['report', two.run.runId, '--html', page]);
  for (const text of [report.stdout, await readFile(page, 'utf8')])
    expect(text).toMatch(/ALERT: 3 of 22 gates and criteria .* were bypassed \(13\.6%\), more than 10\.0%/);
  expect(jsonOf(await maestro(fleet, ['report', two.run.runId, '--json']), 0)).toMatchObject({
    bypassRate: { bypassed: 3, evaluated: 22, threshold: 0.1, isAlert: true },
  });
  expect((await maestro(fleet, ['bypass', 'list'])).stderr).toMatch(/ALERT: 3 of 22/);
});
