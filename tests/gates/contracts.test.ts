import { readFileSync } from 'node:fs';
import pc from 'picocolors';
import { describe, expect, test } from 'vitest';
import { describePolicy } from '../../src/gates/describe-policy.ts';
import { evaluatePhase } from '../../src/gates/evaluate.ts';
import { metricsOf } from '../../src/gates/contracts/contract-of.ts';
import { findPolicy, loadPolicySet } from '../../src/gates/load-policy.ts';
import { suppliedReport } from '../../src/gates/reports/phase-report.ts';
import { REPORT_FORMATS, renderPhase } from '../../src/gates/reports/render.ts';
import type { Bypass } from '../../src/shared/bypass-log.ts';
import { packagePath } from '../../src/shared/package-root.ts';
import type { PersonaWork } from '../../src/shared/round-evidence.ts';
import { BlobRef } from '../../src/shared/run-record.ts';
import { type ArtifactResult, type Measurement, PhaseVerdict } from '../../src/shared/verdict.ts';
import { fullRecord } from '../cases/records.ts';
import { shippedText } from './support.ts';

const CONTRACTS = readFileSync(packagePath('policies', 'persona_contracts.yaml'), 'utf8');
const load = (policies: string, contracts = CONTRACTS) =>
  loadPolicySet([
    { file: 'p.yaml', text: policies },
    { file: 'persona_contracts.yaml', text: contracts },
  ]);
const shipped = load(shippedText());

/** What the contracts read beside the policies, at a value that passes all of them. */
const MORE: Readonly<Record<string, number>> = {
  test_pass_rate: 1,
  critical_bugs: 0,
  test_coverage: 0.95,
  build_success_rate: 1,
  code_quality_score: 9,
  component_complexity: 6,
  documentation_coverage: 0.95,
  stub_rate: 0,
  security_vulnerabilities: 0,
  security_scan_complete: 1,
  requirements_traceability: 1,
  acceptance_criteria_defined: 1,
};

interface Case {
  set?: typeof shipped;
  metrics?: Record<string, number | null>;
  missing?: string;
  deliverables?: PersonaWork['deliverables'];
  bypass?: Bypass;
}

/** A phase with everything in order, worked in by one persona, and changed as the case says. */
function judged(phase: string, persona: string, { set = shipped, missing, ...of }: Case = {}): PhaseVerdict {
  const { policy, fallback } = findPolicy(set, phase);
  const values: Record<string, number | null> = { ...fullRecord(phase), ...MORE, ...of.metrics };
  const measurements = metricsOf(set, policy, [persona]).map((metric): Measurement => {
    const value = values[metric] ?? null;
    const base = { metric, collector: 'test', collectorVersion: '1', evidence: [] };
    return value === null
      ? { ...base, status: 'not_evaluable', reason: 'was not measured' }
      : { ...base, status: 'measured', value, examined: 100, source: 'collector', simulated: false };
  });
  const artifacts = Object.keys(set.artifacts).map((artifact): ArtifactResult => ({
    artifact,
    required: true,
    outcome: artifact === missing ? 'missing' : 'present',
    files: [],
    message: artifact === missing ? 'no file' : '1 file',
  }));
  const work = { personas: [persona], deliverables: of.deliverables ?? [] };
  const bypasses = of.bypass === undefined ? {} : { bypasses: { now: of.bypass.requestedAt, known: [of.bypass] } };
  return evaluatePhase({ policySet: set, policy, phase, fallback, measurements, artifacts, work, ...bypasses });
}

const contractOf = (verdict: PhaseVerdict, name: string) => verdict.contracts?.find((each) => each.name === name);

describe('the contract of a persona', () => {
  test.each([
    ['implementation', 'backend_developer'],
    ['implementation', 'frontend_developer'],
    ['testing', 'qa_engineer'],
    ['review', 'project_reviewer'],
    ['deployment', 'deployment_specialist'],
  ])('in %s of %s passes with everything in order, and every line of it is shown', (phase, persona) => {
    const verdict = judged(phase, persona);
    expect(verdict.verdict).toBe('passed');
    expect(PhaseVerdict.parse(verdict)).toEqual(verdict);
    const contract = shipped.contracts?.personas[persona];
    expect(verdict.contracts?.map((each) => each.name)).toEqual([
      ...Object.keys(contract?.quality_gates ?? {}),
      ...(contract?.required_artifacts ?? []),
      'gates_passed_ratio',
    ]);
  });

  const lines = Object.entries(shipped.contracts?.personas ?? {}).flatMap(([persona, { quality_gates }]) =>
    Object.entries(quality_gates).map(([name, gate]) => ({ persona, name, ...gate })),
  );
  const PHASES: Readonly<Record<string, string>> = {
    qa_engineer: 'testing',
    project_reviewer: 'review',
    deployment_specialist: 'deployment',
  };

  test.each(lines)('of $persona: $name fails below its line and holds on it', ({ persona, name, ...gate }) => {
    const phase = PHASES[persona] ?? 'implementation';
    const step = shipped.metrics[gate.metric]?.type === 'count' ? 1 : 0.01;
    const beyond = gate.threshold + (gate.direction === 'min' ? -1 : 1) * (gate.threshold === 1 ? 1 : step);
    const on = contractOf(judged(phase, persona, { metrics: { [gate.metric]: gate.threshold } }), name);
    expect(on?.outcome).toBe('passed');
    const verdict = judged(phase, persona, { metrics: { [gate.metric]: beyond } });
    expect(contractOf(verdict, name)).toMatchObject({ outcome: 'failed', value: beyond, severity: gate.severity });
    expect(verdict.verdict).not.toBe('passed');
  });

  test.each(lines)('of $persona: $name that was not measured blocks', ({ persona, name, metric }) => {
    const verdict = judged(PHASES[persona] ?? 'implementation', persona, { metrics: { [metric]: null } });
    expect(contractOf(verdict, name)?.outcome).toBe('error');
    expect(verdict.verdict).toBe('blocked');
    expect(verdict.errors).toContainEqual({ persona, metric, reason: 'was not measured' });
  });

  test('blocks where the policy of the phase only warns', () => {
    const metrics = { documentation_coverage: 0.65 };
    expect(judged('implementation', 'writer', { metrics }).verdict).toBe('passed_with_warnings');
    const verdict = judged('implementation', 'backend_developer', { metrics });
    expect(verdict.verdict).toBe('blocked');
    expect(contractOf(verdict, 'documentation')?.message).toBe('documentation_coverage 0.65, required >= 0.7');
  });

  test('warns with what only warns', () => {
    const verdict = judged('testing', 'qa_engineer', { metrics: { component_complexity: 9 } });
    expect(verdict.verdict).toBe('passed_with_warnings');
    expect(contractOf(verdict, 'complexity')).toMatchObject({ outcome: 'failed', severity: 'WARNING' });
  });

  test('blocks when something that it requires is missing', () => {
    const verdict = judged('review', 'project_reviewer', { missing: 'risk_analysis' });
    expect(verdict.verdict).toBe('blocked');
    expect(contractOf(verdict, 'risk_analysis')).toMatchObject({ kind: 'artifact', outcome: 'failed' });
  });

  const deliverable = { persona: 'writer', deliverable: 'readme', paths: ['README.md'] };

  test('blocks when something that its own file names was not handed on', () => {
    const of = (files: number) => judged('implementation', 'writer', { deliverables: [{ ...deliverable, files }] });
    expect(of(1).verdict).toBe('passed');
    expect(of(0).verdict).toBe('blocked');
    expect(contractOf(of(0), 'readme')).toMatchObject({ kind: 'deliverable', message: 'no file README.md' });
  });

  test('blocks when that was only left by an earlier phase, and warns when the run was given it', () => {
    const found = (asFound: 'left' | 'given', problems: string[] = []) =>
      judged('implementation', 'writer', { deliverables: [{ ...deliverable, files: 1, asFound, problems }] });
    expect(found('left').verdict).toBe('blocked');
    expect(contractOf(found('left'), 'readme')?.message).toMatch(/^handed on as it was found: this phase changed no/);
    expect(found('given').verdict).toBe('passed_with_warnings');
    expect(found('given', ['0 links']).verdict).toBe('blocked');
  });

  test('asks what the deliverables must hold, and says what they lack', () => {
    const lacking = { ...deliverable, files: 2, problems: ['README.md has no heading "Use"', '0 links'] };
    const verdict = judged('implementation', 'writer', { deliverables: [lacking] });
    expect(verdict.verdict).toBe('blocked');
    expect(contractOf(verdict, 'readme')?.message).toBe('README.md has no heading "Use"; 0 links');
  });

  test('is covered by a bypass of the criterion that reads the same metric, and says so', () => {
    const at = '2026-11-23T12:00:00.000Z';
    const bypass: Bypass = {
      id: 'byp-01k00000000000000000000000',
      scope: { kind: 'folder' },
      phase: 'implementation',
      gate: 'documentation_coverage',
      by: 'Ann',
      reason: 'generated',
      adr: { file: 'adr.md', sha256: BlobRef.parse('a'.repeat(64)), bytes: 9 },
      role: 'tech_lead',
      until: '2026-11-30T12:00:00.000Z',
      requestedAt: at,
      approval: { by: 'Bob', role: 'tech_lead', at },
      revocation: null,
    };
    const verdict = judged('implementation', 'backend_developer', { bypass, metrics: { documentation_coverage: 0.5 } });
    expect(verdict.verdict).toBe('passed_with_warnings');
    expect(contractOf(verdict, 'documentation')).toMatchObject({ outcome: 'bypassed' });
    expect(contractOf(verdict, 'documentation')?.message).toMatch(/by Bob/);
    const coverage = { ...bypass, gate: 'test_coverage' };
    expect(
      judged('implementation', 'backend_developer', { bypass: coverage, metrics: { test_coverage: 0.5 } }).verdict,
    ).toBe('blocked');
  });

  test.each(REPORT_FORMATS.map((format) => [format] as const))('is shown in a report as %s', (format) => {
    const verdict = judged('implementation', 'backend_developer', { metrics: { documentation_coverage: 0.65 } });
    const text = renderPhase(suppliedReport(verdict), format, pc.createColors(false)).replaceAll('\\', '');
    expect(text).toMatch(/backend_developer[^]*documentation_coverage 0.65, required (>=|&gt;=) 0.7/);
  });

  test('is told to the persona', () => {
    const text = describePolicy(shipped, 'testing', 'qa_engineer');
    expect(text).toContain('Your own contract as qa_engineer:');
    expect(text).toMatch(/- test_coverage >= 0.9, BLOCKING/);
    expect(describePolicy(shipped, 'testing', 'writer')).not.toContain('contract');
  });
});

describe('a persona without a contract', () => {
  test('is held to nothing more where the policy is as strict as the defaults', () => {
    const names = judged('implementation', 'writer').contracts?.map((each) => each.name);
    expect(names).toEqual(['gates_passed_ratio']);
  });

  test('is held to the defaults under a policy that asks for less', () => {
    const loose = load(
      shippedText()
        .replaceAll('code_quality_score: { threshold: 8.0', 'code_quality_score: { threshold: 4.0')
        .replaceAll('code_quality_score >= 8.0', 'code_quality_score >= 4.0'),
    );
    const verdict = judged('implementation', 'writer', { set: loose, metrics: { code_quality_score: 5 } });
    expect(verdict.gates.every((gate) => gate.outcome === 'passed')).toBe(true);
    expect(contractOf(verdict, 'code_quality')).toMatchObject({ persona: 'writer', outcome: 'failed' });
    expect(verdict.verdict).toBe('blocked');
  });
});

describe('the share of gates that passed', () => {
  test('blocks when too many gates only warned', () => {
    const text = shippedText().replaceAll(/(condition: '(?:stub_rate|code_quality_score)[^\n]*)BLOCKING/g, '$1WARNING');
    const looser = text.replaceAll(
      /(stub_rate|code_quality_score|test_coverage): (\{[^\n]*)BLOCKING/g,
      '$1: $2WARNING',
    );
    const set = load(looser);
    const one = judged('implementation', 'writer', { set, metrics: { stub_rate: 0.2 } });
    expect(contractOf(one, 'gates_passed_ratio')).toMatchObject({ outcome: 'passed', value: 0.8 });
    const two = judged('implementation', 'writer', { set, metrics: { stub_rate: 0.2, code_quality_score: 7.5 } });
    expect(contractOf(two, 'gates_passed_ratio')).toMatchObject({ outcome: 'failed', value: 0.6 });
    expect(two.verdict).toBe('blocked');
  });
});
