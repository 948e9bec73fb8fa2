import { XMLParser, XMLValidator } from 'fast-xml-parser';
import pc from 'picocolors';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { evaluatePhase } from '../../src/gates/evaluate.ts';
import { type PhaseReport, suppliedReport } from '../../src/gates/reports/phase-report.ts';
import { REPORT_FORMATS, type ReportFormat, renderPhase } from '../../src/gates/reports/render.ts';
import { renderRunHtml, renderRunMarkdown } from '../../src/gates/reports/run-report.ts';
import { BlobRef, NO_USAGE, type PhaseRecord, type RunRecord } from '../../src/shared/run-record.ts';
import { RunId } from '../../src/shared/names.ts';
import { PhaseVerdict } from '../../src/shared/verdict.ts';
import { goodRecord, judge, shippedPolicies } from './support.ts';

const plain = pc.createColors(false);
const render = (report: PhaseReport, format: ReportFormat): string => renderPhase(report, format, plain);

const HOSTILE = '<script>alert(1)</script> | `x` \u001b[31mred\u001b[0m & "q"';
/** A phase in which one gate fails, one is in error, one criterion warns, with hostile text in its findings. */
const record = { ...goodRecord('implementation'), test_coverage: 0.61, stub_rate: null, documentation_coverage: 0.5 };
const blocked: PhaseReport = {
  ...suppliedReport({ ...judge('implementation', record), simulated: true }),
  findings: [
    { rule: 'eslint/no-unused-vars', message: HOSTILE, severity: 'error', file: 'src/a b.js', line: 3, column: 7 },
    { rule: 'tests/none', message: 'no tests', severity: 'warning' },
    {
      rule: 'stub/empty',
      message: 'empty',
      severity: 'error',
      file: 'src/c.js',
      line: 1,
      persona: 'backend_developer',
    },
  ],
  measurements: [
    {
      status: 'measured',
      metric: 'test_coverage',
      collector: 'tests',
      collectorVersion: '1',
      value: 0.61,
      examined: 200,
      source: 'collector',
      simulated: false,
      evidence: [
        { kind: 'command', summary: HOSTILE, command: 'c8 --all', exitCode: 0, tool: 'c8', toolVersion: '12' },
      ],
    },
  ],
  tree: 'sha256:abc',
};
const notGated = suppliedReport(
  evaluatePhase({
    policySet: shippedPolicies,
    policy: 'none',
    phase: 'notes',
    fallback: false,
    measurements: [],
    artifacts: [],
  }),
);

describe.each(REPORT_FORMATS.map((format) => [format] as const))('a report as %s', (format) => {
  test('names every gate, its value and what was required', () => {
    const text = render(blocked, format).replaceAll('\\', '');
    for (const gate of blocked.verdict.gates) expect(text).toContain(gate.gate);
    expect(text).toMatch(/test_coverage 0\.61, required (>=|&gt;=) 0\.80/);
    expect(text).toContain('supplied');
  });

  test('says that it is simulated, and does not when it is not', () => {
    expect(render(blocked, format)).toMatch(/SIMULATED|"simulated": true/);
    const real = suppliedReport(judge('implementation', goodRecord('implementation')));
    expect(render(real, format)).not.toMatch(/SIMULATED|"simulated": true/);
  });

  test('says that it was replayed, beside that it is simulated where a script had answered', () => {
    const told = (simulated: boolean, replayed: boolean | undefined): [boolean, boolean] => {
      const text = render(
        suppliedReport({ ...judge('implementation', goodRecord('implementation')), simulated, replayed }),
        format,
      );
      return [/REPLAYED|"replayed": true/.test(text), /SIMULATED|"simulated": true/.test(text)];
    };
    expect(told(false, true)).toEqual([true, false]);
    expect(told(true, true)).toEqual([true, true]);
    expect(told(true, undefined)).toEqual([false, true]);
  });

  test('never passes on control characters or markup from measured files', () => {
    const text = render(blocked, format);
    expect(text).not.toContain('\u001b');
    expect(text.includes('<script>')).toBe(format === 'table' || format === 'json' || format === 'sarif');
  });

  test('is the same byte for byte for the same input', () => {
    expect(render(blocked, format)).toBe(render(structuredClone(blocked), format));
  });

  test('says aloud that a phase is not gated', () => {
    expect(render(notGated, format)).toMatch(/not.gated/i);
    expect(render(notGated, format)).not.toMatch(/PASSED/);
  });
});

test('the JSON of supplied values is the verdict itself', () => {
  const { verdict } = blocked;
  expect(PhaseVerdict.parse(JSON.parse(render(suppliedReport(verdict), 'json')))).toEqual(verdict);
});

test('the table shows a fallback policy and each outcome with its own mark', () => {
  expect(render(suppliedReport(judge('integration', {})), 'table')).toContain('a fallback: no policy names this phase');
  const table = render(blocked, 'table');
  expect(table).toMatch(/✗ failed +quality_threshold/);
  expect(table).toMatch(/✗ error +no_stubs/);
  expect(table).toMatch(/! warning +documentation_coverage/);
  expect(table).toContain('src/a b.js:3:7');
});

test('JUnit counts failures and errors apart, and a warning is no failure', () => {
  const xml = render(blocked, 'junit');
  expect(XMLValidator.validate(xml)).toBe(true);
  const Suites = z.object({ testsuites: z.object({ failures: z.string(), errors: z.string(), tests: z.string() }) });
  const parsed: unknown = new XMLParser({ ignoreAttributes: false, attributeNamePrefix: '' }).parse(xml);
  const { testsuites } = Suites.parse(parsed);
  const { verdict } = blocked;
  const failed = [...verdict.gates, ...verdict.criteria].filter(
    (each) => each.outcome === 'failed' && each.severity === 'BLOCKING',
  );
  expect(testsuites.failures).toBe(String(failed.length));
  expect(testsuites.errors).toBe(String(verdict.errors.length));
});

test('SARIF places findings, and carries gates as results', () => {
  const Sarif = z.object({
    version: z.literal('2.1.0'),
    runs: z.tuple([
      z.object({
        tool: z.object({ driver: z.object({ rules: z.array(z.object({ id: z.string() })) }) }),
        results: z.array(
          z.looseObject({
            ruleId: z.string(),
            level: z.enum(['none', 'note', 'warning', 'error']),
          }),
        ),
      }),
    ]),
  });
  const [run] = Sarif.parse(JSON.parse(render(blocked, 'sarif'))).runs;
  expect(run.results[0]).toMatchObject({
    ruleId: 'eslint/no-unused-vars',
    level: 'error',
    locations: [
      { physicalLocation: { artifactLocation: { uri: 'src/a%20b.js' }, region: { startLine: 3, startColumn: 7 } } },
    ],
  });
  expect(run.results.find((result) => result.ruleId === 'gate/no_stubs')?.level).toBe('error');
  const rules = new Set(run.tool.driver.rules.map((rule) => rule.id));
  expect(run.results.every((result) => rules.has(result.ruleId))).toBe(true);
});

test('the table keeps to the width of a terminal, and gives each entry one line where there is none', () => {
  const wide = render(blocked, 'table').split('\n');
  expect(wide.some((line) => line.length > 80)).toBe(true);
  for (const columns of [80, 50]) {
    const lines = renderPhase(blocked, 'table', plain, columns).split('\n');
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(columns);
    expect(lines.join(' ').replaceAll(/\s+/g, ' ')).toBe(wide.join(' ').replaceAll(/\s+/g, ' '));
  }
});

test('findings say whose they are, and nothing of it where nobody is named', () => {
  const table = render(blocked, 'table');
  expect(table).toMatch(
    /Findings \(3\)\n {2}for backend_developer\n {4}src\/c\.js:1: empty {2}stub\/empty\n {2}for nobody in particular\n {4}src\/a b\.js/,
  );
  expect(render(blocked, 'markdown')).toContain('| error | src/c.js:1 | backend\\_developer | stub/empty | empty |');
  expect(render(blocked, 'html')).toMatch(/<th>for<\/th>[^]*<td>backend_developer<\/td>/);
  const Results = z.object({ runs: z.tuple([z.object({ results: z.array(z.looseObject({ ruleId: z.string() })) })]) });
  const [{ results }] = Results.parse(JSON.parse(render(blocked, 'sarif'))).runs;
  expect(results.find(({ ruleId }) => ruleId === 'stub/empty')).toMatchObject({
    properties: { persona: 'backend_developer' },
  });
  expect(JSON.parse(render(blocked, 'json'))).toMatchObject({ findings: [{}, {}, { persona: 'backend_developer' }] });

  const unaddressed = { ...blocked, findings: blocked.findings.slice(0, 2) };
  for (const format of ['table', 'markdown', 'html'] as const)
    expect(render(unaddressed, format)).not.toMatch(/for nobody|\| for \||<th>for</);
});

test('the page needs nothing from anywhere', () => {
  const page = render(blocked, 'html');
  expect(page).not.toMatch(/<(script|link|img|iframe)|src=|href=|url\(/);
  expect(page).toContain('prefers-color-scheme: dark');
});

describe('the report of a run', () => {
  const handoff = BlobRef.parse('a'.repeat(64));
  const evidence = BlobRef.parse('b'.repeat(64));
  const at = '2026-01-01T00:00:00.000Z';
  const usage = { ...NO_USAGE, calls: 3, inputTokens: 1200, outputTokens: 34, costUsd: 0.0125 };
  const round = (number: number, verdict: PhaseVerdict) => ({ round: number, verdict, findings: 2, evidence, at });
  const good = judge('implementation', goodRecord('implementation'));
  const bypassed: PhaseVerdict = {
    ...good,
    gates: good.gates.map((gate, index) =>
      index === 0 ? { ...gate, outcome: 'bypassed', message: 'ADR-7, Ann' } : gate,
    ),
  };
  const phase: PhaseRecord = {
    phase: 'implementation',
    status: 'passed',
    reason: '',
    round: 1,
    firstRound: 0,
    faults: 0,
    rounds: [round(0, blocked.verdict), round(1, bypassed)],
    commit: null,
    bundle: null,
    handoffs: { backend_developer: handoff },
    transcripts: {},
    usage,
    simulated: true,
    startedAt: at,
    finishedAt: at,
  };
  const run: RunRecord = {
    runId: RunId.parse('01ARZ3NDEKTSV4RRFFQ69G5FAV'),
    workflow: 'url-shortener',
    status: 'passed',
    reason: '',
    provider: 'scripted',
    simulated: true,
    generation: 0,
    usage,
    createdAt: at,
    startedAt: at,
    finishedAt: at,
  };
  const claim = {
    summary: HOSTILE,
    decisions: [],
    contracts: [],
    files: [],
    open_questions: [],
    claims: ['all tests pass'],
  };
  const input = { run, phases: [phase], handoffs: new Map([[String(handoff), claim]]) };

  test.each([
    ['HTML', renderRunHtml(input)],
    ['Markdown', renderRunMarkdown(input).replaceAll('\\', '')],
  ])('as %s shows every round, cost, bypass and claim, and simulated at top and bottom', (_, text) => {
    expect(text).toContain('Round 0');
    expect(text).toContain('Round 1');
    expect(text).toMatch(/test_coverage 0\.61, required (>=|&gt;=) 0\.80/);
    expect(text).toContain('$0.0125');
    expect(text).toContain('ADR-7, Ann');
    expect(text).toContain('all tests pass');
    expect(text).toMatch(/4 of 5 gates passed/);
    expect(text.split('SIMULATED').length - 1).toBe(2);
    expect(text).not.toContain('\u001b');
  });

  test.each([
    ['HTML', renderRunHtml],
    ['Markdown', renderRunMarkdown],
  ])('as %s says at top and bottom and beside each phase and round that it was replayed', (_, renderRun) => {
    const rounds = phase.rounds.map((each) => ({ ...each, verdict: { ...each.verdict, replayed: true } }));
    const text = renderRun({ ...input, run: { ...run, replayed: true }, phases: [{ ...phase, rounds }] });
    expect(text.split('REPLAYED: the answers').length - 1).toBe(2);
    expect(text.split('SIMULATED').length - 1).toBe(2);
    // The phase and its first round; in the last one nothing was simulated.
    expect(text.match(/replayed(, simulated)?/g)).toEqual(['replayed, simulated', 'replayed, simulated', 'replayed']);
    expect(renderRun(input)).not.toMatch(/replayed/i);
  });

  test('never turns what a persona wrote into markup, and an unknown price into a number', () => {
    const page = renderRunHtml({ ...input, run: { ...run, usage: { ...usage, costUsd: null } } });
    expect(page).not.toContain('<script>');
    expect(page).toContain('unknown');
  });
});
