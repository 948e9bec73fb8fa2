import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import pc from 'picocolors';
import { describe, expect, test } from 'vitest';
import { rateLine, rateOf } from '../../src/gates/bypass/bypass-rate.ts';
import { bypassRule, checkApproval, checkRequest } from '../../src/gates/bypass/bypass-rules.ts';
import { evaluateSupplied } from '../../src/gates/evaluate-supplied.ts';
import { loadPolicySet } from '../../src/gates/load-policy.ts';
import { suppliedReport } from '../../src/gates/reports/phase-report.ts';
import { REPORT_FORMATS, renderPhase } from '../../src/gates/reports/render.ts';
import { type Bypass, FileBypassLog, type NewBypassEntry, RedisBypassLog } from '../../src/shared/bypass-log.ts';
import { BlobRef } from '../../src/shared/run-record.ts';
import { PhaseVerdict } from '../../src/shared/verdict.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { testRedis } from '../support/test-redis.ts';
import { goodRecord, shippedPolicies, shippedWith, unexpected } from './support.ts';

const NOW = '2026-11-23T12:00:00.000Z';
const LATER = '2026-11-30T12:00:00.000Z';
const ID = 'byp-01k00000000000000000000000';
const adr = { file: 'docs/adr/7.md', sha256: BlobRef.parse('a'.repeat(64)), bytes: 200 };

/** A bypass of the documentation criterion in which everything is in order. */
const granted: Bypass = {
  id: ID,
  scope: { kind: 'folder' },
  phase: 'implementation',
  gate: 'documentation_coverage',
  by: 'Ann',
  reason: 'generated client',
  adr,
  role: 'tech_lead',
  until: LATER,
  requestedAt: NOW,
  approval: { by: 'Bob', role: 'tech_lead', at: NOW },
  revocation: null,
};

/** The shipped policies, with the criterion that may be bypassed as a blocking one. */
const strict = loadPolicySet([
  {
    file: 'p.yaml',
    text: shippedWith(
      /documentation_coverage: \{ threshold: 0\.7, direction: min, severity: WARNING[^}]*\}/,
      'documentation_coverage: { threshold: 0.7, direction: min, severity: BLOCKING }',
    ),
  },
]);

const judged = (
  change: Partial<Bypass>,
  metrics: Record<string, unknown> = { documentation_coverage: 0.5 },
  of: { policySet?: typeof strict; phase?: string } = {},
): PhaseVerdict =>
  evaluateSupplied({
    policySet: of.policySet ?? strict,
    phase: of.phase ?? 'implementation',
    text: JSON.stringify({ metrics: { ...goodRecord(of.phase ?? 'implementation'), ...metrics } }),
    file: 'M.json',
    bypasses: { now: NOW, known: [{ ...granted, ...change }] },
  });
const criterionOf = (verdict: PhaseVerdict) =>
  verdict.criteria.find((each) => each.criterion === 'documentation_coverage') ?? unexpected('no criterion');

describe('a bypass', () => {
  test('lets a failed criterion through, says who, why and until when, and is never plainly passed', () => {
    const verdict = judged({});
    expect(verdict.verdict).toBe('passed_with_warnings');
    expect(criterionOf(verdict)).toMatchObject({ outcome: 'bypassed', value: 0.5 });
    for (const word of ['Bob', 'tech_lead', 'Ann', 'generated client', LATER, 'docs/adr/7.md'])
      expect(criterionOf(verdict).message).toContain(word);
    expect(verdict.bypasses).toMatchObject([{ id: ID, outcome: 'applied', adrSha256: adr.sha256 }]);
    expect(PhaseVerdict.parse(verdict)).toEqual(verdict);
  });

  test('lets a failed gate through as well', () => {
    const policySet = loadPolicySet([
      {
        file: 'p.yaml',
        text: shippedWith(
          'bypassable_gates:\n',
          'bypassable_gates:\n    - { gate: no_stubs, phases: [implementation], requires_adr: true, approval_level: tech_lead }\n    - { gate: stub_rate, phases: [implementation], requires_adr: true, approval_level: tech_lead }\n',
        ),
      },
    ]);
    const gateAlone = judged({ gate: 'no_stubs' }, { stub_rate: 0.2 }, { policySet });
    expect(gateAlone.gates.find((gate) => gate.gate === 'no_stubs')?.outcome).toBe('bypassed');
    expect(gateAlone.verdict, 'the criterion of the same metric still stands').toBe('blocked');
  });

  test.each<[string, Partial<Bypass>, RegExp]>([
    ['expired', { until: NOW }, /expired/],
    ['was revoked', { revocation: { by: 'Eve', reason: 'too early', at: NOW } }, /revoked by Eve: too early/],
    ['was approved by nobody', { approval: null }, /waits for approval by a tech_lead/],
    ['was approved in another role', { approval: { by: 'Bob', role: 'qa_lead', at: NOW } }, /asks for tech_lead/],
    ['was approved by who asked', { approval: { by: ' ann ', role: 'tech_lead', at: NOW } }, /Ann asked for it/],
    ['has no reason', { reason: ' ' }, /no reason/],
    ['has an empty ADR', { adr: { ...adr, bytes: 0 } }, /ADR is empty/],
    ['names what no rule names', { gate: 'test_coverage' }, /no bypass rule/],
  ])('does not count when it %s, and the report says why', (_, change, reason) => {
    const verdict = judged(change, { documentation_coverage: 0.5, test_coverage: 0.1 });
    expect(verdict.verdict).toBe('blocked');
    expect(criterionOf(verdict).outcome).toBe('failed');
    expect(verdict.bypasses?.[0]).toMatchObject({ outcome: 'refused' });
    expect(verdict.bypasses?.[0]?.message).toMatch(reason);
  });

  test('of another phase has no part in the verdict', () => {
    const verdict = judged({ phase: 'testing' });
    expect(verdict.verdict).toBe('blocked');
    expect(verdict.bypasses).toBeUndefined();
  });

  test('never covers what could not be evaluated', () => {
    const verdict = judged({}, { documentation_coverage: null });
    expect(verdict.verdict).toBe('blocked');
    expect(criterionOf(verdict).outcome).toBe('error');
    expect(verdict.bypasses?.[0]?.message).toMatch(/could not be evaluated blocks/);
  });

  test('of a failed gate leaves the criterion of the same name in error', () => {
    const policySet = loadPolicySet([
      {
        file: 'p.yaml',
        text: shippedWith(
          "      - { gate: no_stubs, condition: 'stub_rate <= 0.05', severity: BLOCKING }",
          "      - { gate: documentation_coverage, condition: 'lines_of_code >= 500', severity: BLOCKING }",
        ),
      },
    ]);
    const verdict = judged({}, { documentation_coverage: null, lines_of_code: 1 }, { policySet });
    expect(verdict.gates.find((gate) => gate.gate === 'documentation_coverage')?.outcome).toBe('bypassed');
    expect(criterionOf(verdict).outcome).toBe('error');
    expect(verdict.verdict).toBe('blocked');
  });

  test('that was not needed changes nothing', () => {
    const verdict = judged({}, {});
    expect(verdict.verdict).toBe('passed');
    expect(verdict.bypasses?.[0]?.outcome).toBe('not_needed');
  });

  test.each([
    ['implementation', 'build_success', { build_success_rate: 0.1 }],
    ['implementation', 'security_clean', { security_vulnerabilities: 3 }],
    ['backend', 'security_scanned', { security_scan_complete: 0 }],
    ['testing', 'no_critical_bugs', { critical_bugs: 1 }],
    ['testing', 'security_testing_complete', { security_testing_complete: 0 }],
    ['deployment', 'deployment_successful', { deployment_success: 0 }],
    ['requirements', 'stakeholder_approved', { stakeholder_approval: 0 }],
  ])(
    'of %s/%s is refused at the request and at the evaluation, even where a policy forgot to list it',
    (phase, gate, bad) => {
      const policySet = { ...shippedPolicies, file: structuredClone(shippedPolicies.file) };
      policySet.file.bypass_rules.non_bypassable_gates = [];
      policySet.file.bypass_rules.bypassable_gates = [
        { gate, phases: [phase], requires_adr: true, approval_level: 'tech_lead' },
      ];
      expect(bypassRule(policySet, phase, gate)).toEqual({ refused: `"${gate}" is never bypassable` });
      const verdict = judged({ phase, gate }, bad, { policySet, phase });
      expect(verdict.verdict).toBe('blocked');
      expect(verdict.bypasses?.[0]).toMatchObject({ outcome: 'refused' });
      expect(verdict.bypasses?.[0]?.message).toContain('never');
    },
  );

  test.each(REPORT_FORMATS.map((format) => [format] as const))('is shown in a report as %s', (format) => {
    const show = (verdict: PhaseVerdict) =>
      renderPhase(suppliedReport(verdict), format, pc.createColors(false)).replaceAll('\\', '');
    expect(show(judged({}))).toMatch(/bypassed until 2026-11-30.* by Bob/);
    expect(show(judged({ until: NOW }))).toMatch(/does not count: expired/);
  });
});

describe('asking for and approving a bypass', () => {
  const asked = {
    policySet: strict,
    policy: 'testing',
    gate: 'high_priority_bugs',
    by: 'Ann',
    reason: 'r',
    until: LATER,
    now: NOW,
  };

  test('names the role that the policy asks for', () => {
    expect(checkRequest(asked)).toBe('product_manager');
    expect(checkRequest({ ...asked, gate: 'performance_slo_met' })).toBe('tech_lead');
  });

  test.each([
    ['a gate without a rule', { gate: 'tests_passing' }, /no bypass rule/],
    ['a gate that is never bypassable', { gate: 'no_critical_bugs' }, /never bypassable/],
    ['a gate that does not exist', { gate: 'high_priority_bug' }, /did you mean "high_priority_bugs"/],
    ['a rule of another phase', { policy: 'implementation', gate: 'no_stubs' }, /no bypass rule/],
    ['a phase that is not gated', { policy: 'none' }, /not gated/],
    ['no reason', { reason: '  ' }, /needs a reason/],
    ['an end that is past', { until: NOW }, /not in the future/],
    ['nobody asking', { by: ' ' }, /nobody asks/],
  ])('is refused with %s', (_, change, message) => {
    expect(() => checkRequest({ ...asked, ...change })).toThrow(message);
  });

  test('is approved once, by another person in that role, before it expires', () => {
    const waiting: Bypass = { ...granted, approval: null };
    const bob = { by: 'Bob', role: 'tech_lead' };
    expect(() => checkApproval(waiting, bob, NOW)).not.toThrow();
    expect(() => checkApproval(waiting, { ...bob, role: 'qa_lead' }, NOW)).toThrow(/approval of a tech_lead/);
    expect(() => checkApproval(waiting, { by: 'ANN', role: 'tech_lead' }, NOW)).toThrow(/somebody else must approve/);
    expect(() => checkApproval(waiting, bob, LATER)).toThrow(/is expired/);
    expect(() => checkApproval(granted, bob, NOW)).toThrow(/already/);
  });
});

const request: NewBypassEntry = {
  type: 'requested',
  id: ID,
  at: NOW,
  scope: { kind: 'folder' },
  phase: 'implementation',
  gate: 'documentation_coverage',
  by: 'Ann',
  reason: 'generated client',
  adr,
  role: 'tech_lead',
  until: LATER,
};
const approval: NewBypassEntry = { type: 'approved', id: ID, by: 'Bob', role: 'tech_lead', at: NOW };
const revocation: NewBypassEntry = { type: 'revoked', id: ID, by: 'Bob', reason: 'done', at: NOW };

describe('the log of bypasses in Redis', () => {
  const at = testRedis();
  let number = 0;
  const freshLog = async () => {
    const redis = await at.connect();
    const log = new RedisBypassLog(redis, `${at.prefix}${(number += 1)}`);
    for (const entry of [request, approval, revocation]) await log.append(entry);
    return { redis, log };
  };

  test('tells how a bypass stands, and holds together', async () => {
    const { log } = await freshLog();
    const { bypasses, problems, entries } = await log.read();
    expect(problems).toEqual([]);
    expect(entries.map((entry) => entry.seq)).toEqual([1, 2, 3]);
    expect(bypasses).toMatchObject([
      { id: ID, approval: { by: 'Bob', role: 'tech_lead' }, revocation: { reason: 'done' } },
    ]);
  });

  test('keeps its chain when several write at once', async () => {
    const { redis, log } = await freshLog();
    const other = new RedisBypassLog(redis, `${at.prefix}${number}`);
    await Promise.all(Array.from({ length: 10 }, (_, index) => (index % 2 === 0 ? log : other).append(revocation)));
    const { entries, problems } = await log.read();
    expect(problems).toEqual([]);
    expect(entries).toHaveLength(13);
  });

  test.each<[string, (redis: Awaited<ReturnType<typeof at.connect>>, key: string) => Promise<unknown>, RegExp]>([
    ['an entry is removed', (redis, key) => redis.xdel(key, '2-0'), /entry 2 is missing/],
    ['the first entry is removed', (redis, key) => redis.xdel(key, '1-0'), /entry 1 is missing/],
    ['the last entry is removed', (redis, key) => redis.xdel(key, '3-0'), /entry 3 is missing: the log once had 3/],
    ['the whole log is removed', (redis, key) => redis.del(key), /entry 1 is missing: the log once had 3/],
    ['an entry is added by hand', (redis, key) => redis.xadd(key, '4-0', 'entry', '{}'), /entry 4 is not readable/],
    [
      'an entry is edited',
      async (redis, key) => {
        const all = await redis.xrange(key, '-', '+');
        await redis.del(key);
        for (const [id, fields] of all)
          await redis.xadd(key, id, 'entry', (fields[1] ?? '').replace('"tech_lead","until"', '"developer","until"'));
      },
      /entry 2 does not follow/,
    ],
  ])('is broken when %s, and takes no further entry', async (_, tamper, problem) => {
    const { redis, log } = await freshLog();
    await tamper(redis, log.location);
    expect((await log.read()).problems[0]).toMatch(problem);
    await expect(log.append(revocation)).rejects.toThrow(/is broken/);
  });
});

describe('the log of bypasses in a file', () => {
  test('holds the same records, and notices an edit and a removal', async () => {
    const file = join(await tempFolder(), 'logs', 'bypasses.jsonl');
    const log = new FileBypassLog(file);
    for (const entry of [request, approval, revocation]) await log.append(entry);
    expect((await log.read()).problems).toEqual([]);
    expect((await log.read()).bypasses[0]?.revocation?.by).toBe('Bob');
    const text = await readFile(file, 'utf8');
    await writeFile(file, text.replace('"Ann"', '"Eve"'));
    expect((await log.read()).problems[0]).toMatch(/entry 2 does not follow/);
    await writeFile(file, text.split('\n').slice(1).join('\n'));
    expect((await log.read()).problems[0]).toMatch(/entry 1 is missing/);
    await writeFile(file, 'nonsense\n');
    expect((await log.read()).problems[0]).toMatch(/not readable/);
  });
});

describe('the rate of bypasses', () => {
  test('is an alert only above the threshold, and counts no errors as evaluated', () => {
    const verdict = judged({});
    const all = verdict.gates.length + verdict.criteria.length;
    const settings = { days: 30, threshold: 1 / all };
    expect(rateOf([verdict], settings)).toMatchObject({ bypassed: 1, evaluated: all, isAlert: false });
    expect(rateOf([verdict], { ...settings, threshold: 0.9 / all }).isAlert).toBe(true);
    expect(rateOf([judged({}, { stub_rate: null })], settings)).toMatchObject({ evaluated: all - 2 });
    expect(rateOf([], settings)).toMatchObject({ evaluated: 0, isAlert: false });
    expect(rateLine(rateOf([verdict], { days: 30, threshold: 0.01 }))).toMatch(
      /^ALERT: 1 of \d+ gates .*more than 1.0%/,
    );
  });
});
