import pc from 'picocolors';
import { expect, test } from 'vitest';
import { type PhaseReport, suppliedReport } from '../../../src/gates/reports/phase-report.ts';
import { REPORT_FORMATS, renderPhase } from '../../../src/gates/reports/render.ts';
import { withIntegrity } from '../../../src/gates/integrity/verdict.ts';
import type { IntegrityCheck } from '../../../src/shared/round-evidence.ts';
import { goodRecord, judge } from '../support.ts';

const check = (name: IntegrityCheck['check'], outcome: IntegrityCheck['outcome'], message: string): IntegrityCheck => ({
  check: name,
  outcome,
  examined: 1,
  message,
  evidence: [],
});
const CHECKS = [
  check('handed_down_tests', 'violated', 'tests/a.test.js (deleted)'),
  check('measurement_untouched', 'error', 'could not be checked: no Python'),
  check('tests_mean_something', 'not_applicable', 'this phase added or changed no test'),
];
const measured: PhaseReport = {
  ...suppliedReport(judge('implementation', goodRecord('implementation'))),
  tree: 'sha256:t',
};
const held: PhaseReport = {
  ...measured,
  verdict: withIntegrity(measured.verdict, CHECKS),
  integrity: { against: 'main', commit: '0123456789abcdef', checks: CHECKS },
};

test.each(REPORT_FORMATS)('a report as %s shows each check, and what the files were held against', (format) => {
  const text = renderPhase(held, format, pc.createColors(false)).replaceAll('\\', '');
  for (const { check: name, message, outcome } of CHECKS) {
    // SARIF leaves out what there was nothing to look at, as for everything else.
    if (format === 'sarif' && outcome === 'not_applicable') continue;
    expect(text).toContain(name);
    expect(text).toContain(message);
  }
  expect(text).toContain('held against main (0123456789ab)');
  expect(text).not.toContain('not proven');
});

test.each(REPORT_FORMATS)(
  'a report as %s says in one line that nothing was named to hold the tests against',
  (format) => {
    const text = renderPhase(measured, format, pc.createColors(false));
    expect(text.match(/were not proven to mean something/g)).toHaveLength(1);
    expect(renderPhase(suppliedReport(measured.verdict), format, pc.createColors(false))).not.toContain('not proven');
  },
);

test('checks that do not hold block, whatever else passed, and count as failures and errors in JUnit', () => {
  expect(measured.verdict.verdict).not.toBe('blocked');
  expect(held.verdict.verdict).toBe('blocked');
  expect(held.verdict.errors.map(({ metric }) => metric)).toEqual(['handed_down_tests', 'measurement_untouched']);
  const junit = renderPhase(held, 'junit', pc.createColors(false));
  expect(junit).toMatch(/<testsuites name="maestro gates" tests="\d+" failures="1" errors="1"/);
});
