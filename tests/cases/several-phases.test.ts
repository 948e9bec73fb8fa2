import { access, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { lastVerdict } from '../support/supplied-fleet.ts';
import { type Shape, eventsOf, playCase, statuses, tally, untilTogether } from './play-case.ts';
import { AUTHORS } from './records.ts';

/** Phases one after the other. */
const chain = (...names: string[]): Shape =>
  Object.fromEntries(names.map((name, index) => [name, names.slice(Math.max(0, index - 1), index)]));
/** `a+`, `a-`, `b+`, `b-`: each begins when the one before it has ended. */
const inTurn = (...names: string[]): string[] => names.flatMap((name) => [`${name}+`, `${name}-`]);
const allPassed = (gates: number) => ({ passed: gates, failed: [], errors: [], warnings: [] });
const AFTER_REQUIREMENTS: Shape = { requirements: [], backend: ['requirements'], frontend: ['requirements'] };

test('simple-05: in order, and the second phase receives what the first handed on', async () => {
  let received = '';
  const ended = await playCase(chain('requirements', 'implementation'), {
    work: async ({ phase, dir }) => {
      if (phase === 'implementation') received = await readFile(join(dir, 'note-requirements-author-0.md'), 'utf8');
    },
  });
  expect(ended.run.status).toBe('passed');
  expect(tally(ended)).toEqual(allPassed(8));
  expect(ended.log).toEqual(inTurn('requirements', 'implementation'));
  expect(received).toBe('Round 0 of requirements.\n');
});

test.each<[string, string[], number]>([
  ['medium-01', ['requirements', 'design', 'implementation'], 11],
  ['medium-05', ['requirements', 'design', 'implementation', 'testing'], 15],
  ['complex-01', ['requirements', 'design', 'implementation', 'testing', 'deployment', 'monitoring'], 21],
  ['smoke-1', ['requirements', 'design', 'implementation'], 11],
])('%s: %o in order, %i gates pass', async (_, names, gates) => {
  const ended = await playCase(chain(...names));
  expect(ended.run.status).toBe('passed');
  expect(tally(ended)).toEqual(allPassed(gates));
  expect(ended.log).toEqual(inTurn(...names));
  expect(eventsOf(ended, 'run.finished')).toHaveLength(1);
});

test('medium-02: a design that its reviewer refuses is blocked by that gate, and implementation never starts', async () => {
  const ended = await playCase(chain('requirements', 'design', 'implementation'), {
    measured: { design: { design_review_approval: 0 } },
  });
  expect(ended.run.status).toBe('blocked');
  expect(statuses(ended)).toEqual({ requirements: 'passed', design: 'blocked', implementation: 'not_started' });
  expect(tally(ended)).toMatchObject({ failed: ['design/architecture_approved'], errors: [] });
  expect(ended.log).toEqual(inTurn('requirements', 'design'));
});

test('medium-02: with the record of its authors the design is blocked by three metrics that are missing', async () => {
  const ended = await playCase(chain('requirements', 'design', 'implementation'), {
    only: { design: { ...AUTHORS.pass, ...AUTHORS.quality_fail } },
  });
  expect(ended.run.status).toBe('blocked');
  expect(statuses(ended)).toMatchObject({ design: 'blocked', implementation: 'not_started' });
  const missing = lastVerdict(ended, 'design').errors.filter((error) => error.gate !== undefined);
  expect(missing.map(({ metric }) => metric)).toEqual([
    'design_review_approval',
    'api_specification_completeness',
    'security_design_review',
  ]);
});

test('medium-03: back end and front end are under way at the same time, and 16 gates pass', async () => {
  const ended = await playCase(AFTER_REQUIREMENTS, { work: untilTogether(['backend', 'frontend']) });
  expect(ended.run.status).toBe('passed');
  expect(tally(ended)).toEqual(allPassed(3 + 6 + 7));
  expect(ended.log.slice(2, 4).toSorted()).toEqual(['backend+', 'frontend+']);
});

test('medium-04: the front end fails with both numbers, the back end is completed and kept', async () => {
  const ended = await playCase(AFTER_REQUIREMENTS, { measured: { frontend: AUTHORS.quality_fail } });
  expect(ended.run.status).toBe('blocked');
  expect(statuses(ended)).toEqual({ requirements: 'passed', backend: 'passed', frontend: 'blocked' });
  expect(ended.phases['backend']?.bundle).not.toBeNull();
  expect(ended.phases['frontend']?.bundle).toBeNull();
  expect(tally(ended)).toMatchObject({ failed: ['frontend/quality_threshold'], errors: [] });
  expect(ended.phases['frontend']?.reason).toContain(
    'code_quality_score 6, required >= 8.0; test_coverage 0.6, required >= 0.75',
  );
});

test('medium-06: the warnings of two phases are both in the report of the run', async () => {
  const ended = await playCase(chain('requirements', 'implementation', 'testing'), {
    measured: { requirements: { clarity_score: 0.75 }, testing: { high_priority_bugs: 3 } },
  });
  expect(ended.run).toMatchObject({ status: 'passed_with_warnings', reason: 'warnings in requirements, testing' });
  expect(tally(ended)).toEqual({
    ...allPassed(12),
    warnings: ['requirements/clarity_score', 'testing/high_priority_bugs'],
  });
});

test('complex-02: both come before implementation, which runs once and has the work of both', async () => {
  const seen: boolean[] = [];
  const ended = await playCase(
    {
      requirements: [],
      design: ['requirements'],
      architecture: ['requirements'],
      implementation: ['design', 'architecture'],
    },
    {
      work: async ({ phase, dir }) => {
        if (phase !== 'implementation') return;
        for (const name of ['design', 'architecture'])
          seen.push(await access(join(dir, `note-${name}-author-0.md`)).then(() => true));
      },
    },
  );
  expect(ended.run.status).toBe('passed');
  expect(tally(ended)).toEqual(allPassed(15));
  expect(seen).toEqual([true, true]);
  expect(ended.log.filter((entry) => entry === 'implementation+')).toHaveLength(1);
  const before = ended.log.slice(0, ended.log.indexOf('implementation+'));
  expect(before).toEqual(expect.arrayContaining(['design-', 'architecture-']));
});

test('complex-03: integration is judged by the five gates of custom_component, said to be a fallback', async () => {
  const ended = await playCase({ ...AFTER_REQUIREMENTS, integration: ['backend', 'frontend'] });
  expect(ended.run.status).toBe('passed');
  expect(tally(ended)).toEqual(allPassed(3 + 6 + 7 + 5));
  expect(lastVerdict(ended, 'integration')).toMatchObject({ policy: 'custom_component', fallback: true });
});

test('complex-04: both failures are reported, each by its own gate, and integration never runs', async () => {
  const ended = await playCase(
    { ...AFTER_REQUIREMENTS, integration: ['backend', 'frontend'] },
    { measured: { backend: AUTHORS.quality_fail, frontend: AUTHORS.security_fail } },
  );
  expect(ended.run.status).toBe('blocked');
  expect(statuses(ended)).toEqual({
    requirements: 'passed',
    backend: 'blocked',
    frontend: 'blocked',
    integration: 'not_started',
  });
  expect(tally(ended)).toMatchObject({
    failed: ['backend/quality_threshold', 'frontend/security_clean'],
    errors: [],
  });
  expect(ended.run.reason).toMatch(/backend: gate quality_threshold.*frontend: gate security_clean/);
  expect(ended.log.some((entry) => entry.startsWith('integration'))).toBe(false);
  expect(eventsOf(ended, 'run.finished')).toHaveLength(1);
});

const SERVICES = ['service_1', 'service_2', 'service_3', 'service_4', 'service_5'];
const FIVE_SERVICES: Shape = {
  requirements: [],
  ...Object.fromEntries(SERVICES.map((name) => [name, ['requirements']])),
};

test('complex-05: five services are all under way at the same time, 6 gates each', async () => {
  const ended = await playCase(FIVE_SERVICES, { work: untilTogether(SERVICES) });
  expect(ended.run.status).toBe('passed');
  expect(tally(ended)).toEqual(allPassed(3 + 5 * 6));
  for (const name of SERVICES)
    expect(lastVerdict(ended, name)).toMatchObject({ policy: 'service_template', fallback: false });
});

test('complex-05: with a concurrency limit of 2, never more than two services are under way', async () => {
  let [now, most] = [0, 0];
  const ended = await playCase(FIVE_SERVICES, {
    more: Object.fromEntries(SERVICES.map((name) => [name, 'concurrency: { group: services, limit: 2 }'])),
    work: async ({ phase }) => {
      if (!SERVICES.includes(phase)) return;
      now += 1;
      most = Math.max(most, now);
      await sleep(300);
      now -= 1;
    },
  });
  expect(ended.run.status).toBe('passed');
  expect(tally(ended)).toEqual(allPassed(3 + 5 * 6));
  expect(most).toBe(2);
});
