import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { loadPolicySet } from '../../../src/gates/load-policy.ts';
import { packagePath } from '../../../src/shared/package-root.ts';
import { type Measured, measure, project } from '../collectors/code-support.ts';
import * as byHand from './by-hand.ts';

/** A package as it is published: its code stands at the top, its tests in `test`. */
const ROOT = packagePath('tests', 'fixtures', 'published-package');
const SOURCES = ['index.js'];
const TESTS = ['test/test.js'];

const findings = (run: Measured, rule: RegExp, severity?: string): number =>
  run.findings.filter((each) => rule.test(each.rule) && (severity === undefined || each.severity === severity)).length;

describe('a published package is measured as its tools see it', () => {
  test('tests and coverage are those of node --test and c8', async () => {
    const run = await measure('tests', ROOT);
    const outcomes = await byHand.nodeTests(ROOT, TESTS);
    expect(outcomes.tests).toBeGreaterThan(5);
    expect(run.read('test_count')).toBe(outcomes.tests);
    expect(run.read('test_pass_rate')).toBe(outcomes.passed / outcomes.tests);
    const { lines, covered } = await byHand.nodeCoverage(ROOT, SOURCES, TESTS);
    expect(run.of('test_coverage')).toMatchObject({ value: covered / lines, examined: lines });
  });

  test('lint messages, complexity and copies are those of eslint and jscpd', async () => {
    const run = await measure('quality', ROOT);
    const lint = await byHand.eslint(ROOT, SOURCES);
    expect(lint.functions).toBeGreaterThan(1);
    expect(findings(run, /^eslint\/(?!complexity)/, 'error')).toBe(lint.errors);
    expect(findings(run, /^eslint\/(?!complexity)/, 'warning')).toBe(lint.warnings);
    expect(run.of('component_complexity')).toEqual({ value: lint.complexity, examined: lint.functions });
    expect(findings(run, /^jscpd\//)).toBe(await byHand.copies(ROOT, SOURCES));
  });

  test('documented exports are those in the declarations of tsc', async () => {
    const run = await measure('docs-coverage', ROOT);
    const { exported, documented } = await byHand.declared(ROOT, SOURCES);
    expect(exported).toBe(1);
    expect(run.of('documentation_coverage')).toEqual({ value: documented / exported, examined: exported });
  });

  test('the catalogue says what the collectors count as examined', async () => {
    const file = 'policies/phase_slos.yaml';
    const { metrics } = loadPolicySet([{ file, text: readFileSync(packagePath(file), 'utf8') }]);
    expect(metrics['code_quality_score']?.examined).toBe('lines of code linted');
    const lines = (await measure('size', ROOT)).read('lines_of_code');
    expect((await measure('quality', ROOT)).of('code_quality_score')).toMatchObject({ examined: lines });
    expect(metrics['security_testing_complete']?.examined).toBe('security tests run');
    // Two beside the one that the project has.
    const tests =
      "require('node:test')('a', () => require('node:assert').ok(true));\nrequire('node:test')('b', () => require('node:assert').ok(true));\n";
    const root = await project({ 'tests/security/two.test.cjs': tests });
    expect((await measure('security', root)).of('security_testing_complete')).toEqual({ value: 1, examined: 3 });
  });

  test('what a package shows, measures or configures itself with is no part of it', async () => {
    const root = await project({
      src: null,
      tests: null,
      'index.js': 'export const one = () => 1;\n',
      'lib/two.js': 'export const two = () => 2;\n',
      'example.js': 'export const shown = () => 3;\n',
      'eslint.config.js': 'export default [];\n',
      'benchmarks/all.js': 'export const timed = () => 4;\n',
    });
    expect((await measure('size', root)).of('lines_of_code')).toMatchObject({ value: 2, examined: 2 });
  });
});
