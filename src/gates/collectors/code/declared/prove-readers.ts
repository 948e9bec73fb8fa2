import type { Collector } from '../../../collector.ts';
import type { SelfTestResult, SelfTestResults } from '../../../selftest/self-test.ts';
import { coverageOf, readCobertura, readLcov } from './read-coverage.ts';
import { numberAt, readJson, readSarif } from './read-json.ts';
import { readJUnit } from './read-junit.ts';
import type { DeclaredCollector } from './with-declared.ts';

type Check = SelfTestResult['checks'][number];

const passRate = (inner: string): number => {
  const cases = readJUnit(`<testsuite><testcase name="a"/>${inner}</testsuite>`);
  return cases.filter(({ outcome }) => outcome === 'passed').length / cases.length;
};
const lcov = (hits: number): number =>
  coverageOf(readLcov(`SF:a.x\nDA:1,1\nDA:2,${hits}\nend_of_record\n`, '/p'), ['a.x']).value;
const cobertura = (hits: number): number => {
  const lines = `<line number="1" hits="1"/><line number="2" hits="${hits}"/>`;
  const text = `<coverage><packages><package><classes><class filename="a.x"><lines>${lines}</lines></class></classes></package></packages></coverage>`;
  return coverageOf(
    readCobertura(text, '/p', () => true),
    ['a.x'],
  ).value;
};
const faults = (results: unknown[]): number => {
  const run = { tool: { driver: { name: 'x' } }, artifacts: [{}], results };
  return readSarif(JSON.stringify({ version: '2.1.0', runs: [run] })).results.length;
};

/** Planted reports, good and bad: what each reader must say of them. */
const PLANTED: readonly (readonly [twin: string, report: string, expected: number, seen: () => number])[] = [
  ['clean', 'junit', 1, () => passRate('')],
  ['a failed test', 'junit', 0.5, () => passRate('<testcase name="b"><failure message="no"/></testcase>')],
  ['a skipped test', 'junit', 0.5, () => passRate('<testcase name="b"><skipped/></testcase>')],
  ['clean', 'lcov', 1, () => lcov(3)],
  ['a line that never ran', 'lcov', 0.5, () => lcov(0)],
  ['clean', 'cobertura', 1, () => cobertura(3)],
  ['a line that never ran', 'cobertura', 0.5, () => cobertura(0)],
  ['clean', 'sarif', 0, () => faults([])],
  ['a fault', 'sarif', 1, () => faults([{ level: 'error', message: { text: 'no' } }])],
  ['a number', 'json', 7, () => numberAt(readJson('{"a":{"b":7}}'), '/a/b')],
];

/**
 * Declared commands are the user's own, and no defect can be planted for them: what is proven is that their reports
 * are read rightly. What the fleet still measures by itself is proven as always.
 */
export const provenWithDeclared = (
  proven: SelfTestResults,
  replaced: readonly DeclaredCollector[],
  sandbox: string,
): SelfTestResults => ({
  resultOf: async (collector, signal, root) => {
    const declared = replaced.find(({ id, version }) => id === collector.id && version === collector.version);
    if (declared === undefined) return proven.resultOf(collector, signal, root);
    const startedAt = performance.now();
    const checks = PLANTED.map(([twin, report, expected, read]): Check => {
      const seen = read();
      return {
        twin,
        metric: `report:${report}`,
        expected: String(expected),
        seen: String(seen),
        ok: seen === expected,
      };
    });
    const own = await proofOfRest(proven, declared, { signal, root });
    const reason = checks.every(({ ok }) => ok) ? own.reason : 'a planted report was not read rightly';
    return {
      collector: collector.id,
      version: collector.version,
      passed: reason === null,
      reason,
      checks: [...checks, ...own.checks],
      tools: { 'declared commands': 'reports only: the commands themselves are not self-tested' },
      node: process.version,
      sandbox,
      at: new Date().toISOString(),
      durationMs: Math.round(performance.now() - startedAt),
    };
  },
});

async function proofOfRest(
  proven: SelfTestResults,
  { own, declared }: DeclaredCollector,
  { signal, root }: { signal: AbortSignal; root: string | undefined },
): Promise<{ reason: string | null; checks: readonly Check[] }> {
  if (!hasRest(own, declared)) return { reason: null, checks: [] };
  const proof = await proven.resultOf(own, signal, root);
  if (proof === undefined) return { reason: `collector \`${own.id}\` was never self-tested`, checks: [] };
  return { reason: proof.passed ? null : (proof.reason ?? 'it gave no reason'), checks: proof.checks };
}

const hasRest = (own: Collector | undefined, declared: readonly string[]): own is Collector =>
  own !== undefined && own.metrics.some((metric) => !declared.includes(metric));
