import { createServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { policyLine } from '../../src/gates/reports/phase-report.ts';
import { lastVerdict } from '../support/supplied-fleet.ts';
import { eventsOf, playCase, statuses, tally } from './play-case.ts';
import { AUTHORS } from './records.ts';

const IMPLEMENTATION = { implementation: [] };
const CLEAN = { failed: [], errors: [], warnings: [] };

test('simple-01: 5 of 5 gates are evaluated and pass, without an error or a warning', async () => {
  const ended = await playCase(IMPLEMENTATION);
  expect(ended.run.status).toBe('passed');
  expect(tally(ended)).toEqual({ ...CLEAN, passed: 5 });
});

test('simple-01: with the fixture of its authors it is blocked, stub_rate is missing', async () => {
  const ended = await playCase(IMPLEMENTATION, { only: { implementation: AUTHORS.pass } });
  expect(ended.run.status).toBe('blocked');
  expect(tally(ended)).toMatchObject({ passed: 4, failed: [], errors: ['implementation/no_stubs'] });
  const gateErrors = lastVerdict(ended, 'implementation').errors.filter((error) => error.gate !== undefined);
  expect(gateErrors).toEqual([{ gate: 'no_stubs', metric: 'stub_rate', reason: 'not supplied' }]);
});

test('simple-02: quality_threshold alone fails, and so does the workflow', async () => {
  const ended = await playCase(IMPLEMENTATION, { measured: { implementation: AUTHORS.quality_fail } });
  expect(ended.run.status).toBe('blocked');
  expect(tally(ended)).toMatchObject({ passed: 4, failed: ['implementation/quality_threshold'], errors: [] });
  expect(ended.run.reason).toContain('quality_threshold');
});

test('simple-03: security_clean alone fails', async () => {
  const ended = await playCase(IMPLEMENTATION, { measured: { implementation: AUTHORS.security_fail } });
  expect(ended.run.status).toBe('blocked');
  expect(tally(ended)).toMatchObject({ passed: 4, failed: ['implementation/security_clean'], errors: [] });
});

test('simple-04: completed with exactly one warning, documentation_coverage 0.55 below 0.7', async () => {
  const ended = await playCase(IMPLEMENTATION, { measured: { implementation: AUTHORS.warning_only } });
  expect(ended.run.status).toBe('passed_with_warnings');
  expect(tally(ended)).toEqual({ ...CLEAN, passed: 5, warnings: ['implementation/documentation_coverage'] });
  const failed = lastVerdict(ended, 'implementation').criteria.filter(({ outcome }) => outcome !== 'passed');
  expect(failed.map(({ message }) => message)).toEqual(['documentation_coverage 0.55, required >= 0.7']);
});

test('medium-07: three attempts at the gates, each with its own result, and two events that send it back', async () => {
  const ended = await playCase(IMPLEMENTATION, {
    measured: { implementation: AUTHORS.quality_fail },
    defaults: 'rework: 2',
  });
  expect(ended.run.status).toBe('blocked');
  const rounds = ended.phases['implementation']?.rounds ?? [];
  expect(rounds.map(({ round, verdict }) => [round, verdict.verdict])).toEqual([
    [0, 'blocked'],
    [1, 'blocked'],
    [2, 'blocked'],
  ]);
  const failedOf = rounds.map(({ verdict }) => verdict.gates.filter(({ outcome }) => outcome === 'failed'));
  expect(failedOf.map((gates) => gates.map(({ gate }) => gate))).toEqual(rounds.map(() => ['quality_threshold']));
  expect(new Set(rounds.map(({ evidence }) => evidence)).size).toBe(3);
  expect(eventsOf(ended, 'rework.requested').map(({ round }) => round)).toEqual([1, 2]);
  expect(eventsOf(ended, 'gate.verdict').map(({ round }) => round)).toEqual([0, 1, 2]);
  expect(ended.log).toEqual(Array.from({ length: 3 }, () => ['implementation+', 'implementation-']).flat());
});

test('edge-01: a slow phase completes when it is done, judged by custom_component as a fallback', async () => {
  const begun = performance.now();
  const ended = await playCase({ slow_phase: [] }, { work: () => sleep(2_000) });
  expect(performance.now() - begun).toBeGreaterThanOrEqual(2_000);
  expect(ended.run.status).toBe('passed');
  expect(tally(ended)).toEqual({ ...CLEAN, passed: 5 });
  const verdict = lastVerdict(ended, 'slow_phase');
  expect(verdict).toMatchObject({ policy: 'custom_component', fallback: true });
  expect(policyLine(verdict)).toContain('a fallback: no policy names this phase');
});

test('edge-01: after 1 s of 2 s it has failed, timed out, and its work was stopped', async () => {
  let stopped: () => void = () => undefined;
  const isStopped = new Promise<void>((resolve) => (stopped = resolve));
  let isAnswered = false;
  const slow = createServer((_request, response) => {
    const answer = setTimeout(() => (isAnswered = true), 2_000);
    response.on('close', () => {
      clearTimeout(answer);
      stopped();
    });
  });
  onTestFinished(() => {
    slow.close();
    slow.closeAllConnections();
  });
  await new Promise<void>((resolve) => slow.listen(0, '127.0.0.1', resolve));
  const address = slow.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const model = `http://127.0.0.1:${port}`;
  const ended = await playCase({ slow_phase: [] }, { model, defaults: 'rework: 0, timeout: 1s' });
  await isStopped;
  expect(isAnswered).toBe(false);
  expect(ended.run.status).toBe('failed');
  expect(statuses(ended)).toEqual({ slow_phase: 'failed' });
  expect(ended.phases['slow_phase']?.reason).toMatch(/timed out after 1 s; its work was stopped/);
  expect(ended.phases['slow_phase']?.rounds).toEqual([]);
  expect(eventsOf(ended, 'run.finished')).toMatchObject([{ status: 'failed' }]);
});

test('edge-03: no gate is evaluated, and that is recorded as not gated and never as passed', async () => {
  const ended = await playCase({ custom: [] }, { more: { custom: 'policy: none' } });
  expect(statuses(ended)).toEqual({ custom: 'not_gated' });
  expect(ended.run).toMatchObject({ status: 'passed_with_warnings', reason: 'not gated: custom' });
  expect(lastVerdict(ended, 'custom')).toMatchObject({ verdict: 'not_gated', policy: 'none', gates: [], criteria: [] });
  expect(tally(ended).passed).toBe(0);
});

test('smoke-2: quality 6.5 and documentation 0.6 fail, and the workflow stops', async () => {
  const ended = await playCase(
    { implementation: [], testing: ['implementation'] },
    { measured: { implementation: { code_quality_score: 6.5, documentation_coverage: 0.6 } } },
  );
  expect(ended.run.status).toBe('blocked');
  expect(statuses(ended)).toEqual({ implementation: 'blocked', testing: 'not_started' });
  expect(tally(ended)).toMatchObject({
    failed: ['implementation/quality_threshold'],
    warnings: ['implementation/documentation_coverage'],
  });
});

test('smoke-3: quality 8.2 with documentation 0.55 completes with exactly that warning', async () => {
  const ended = await playCase(IMPLEMENTATION, {
    measured: { implementation: { code_quality_score: 8.2, documentation_coverage: 0.55 } },
  });
  expect(ended.run).toMatchObject({ status: 'passed_with_warnings', reason: 'warnings in implementation' });
  expect(tally(ended).warnings).toEqual(['implementation/documentation_coverage']);
});
