import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { CollectContext, Collector } from '../../src/gates/collector.ts';
import { allCollectors } from '../../src/gates/collectors/registry.ts';
import { evaluatePhase } from '../../src/gates/evaluate.ts';
import { type MeasureOptions, type PhaseMeasurement, measurePhase } from '../../src/gates/measure.ts';
import { MeasureCache } from '../../src/gates/measure-cache.ts';
import { openMeasuringAids } from '../../src/gates/open-measuring-aids.ts';
import { SealedCache } from '../../src/gates/sealed-cache.ts';
import { partsOf } from '../../src/gates/selftest/proven-collectors.ts';
import type { SelfTestResult } from '../../src/gates/selftest/self-test.ts';
import { silentLogger } from '../../src/shared/logger.ts';
import type { Sandbox } from '../../src/shared/sandbox/sandbox.ts';
import type { Evidence } from '../../src/shared/verdict.ts';
import { CACHE, realSandbox } from './collectors/documents-support.ts';
import { GOOD, shippedPolicies } from './support.ts';

const sandbox: Sandbox = {
  kind: 'bwrap',
  description: 'none is needed here',
  pathOf: (_mounts, inside) => inside,
  run: () => Promise.reject(new Error('no command is run here')),
};
const signal = new AbortController().signal;

/** Collectors that give every metric of the requirements policy a value that passes. */
const good: Collector[] = allCollectors.map(({ id, metrics }) => ({
  id,
  version: '1',
  metrics,
  timeoutMs: 5000,
  collect: (context) =>
    Promise.resolve({
      values: Object.fromEntries(
        Object.keys(context.metrics).map((metric) => [
          metric,
          { value: GOOD[metric] ?? 1, examined: 9, ...(id === 'approval' ? { source: 'approval' as const } : {}) },
        ]),
      ),
      findings: [],
      evidence: [],
    }),
}));

async function measured(
  resultOf: (collector: Collector) => SelfTestResult | undefined,
  own: Partial<MeasureOptions> = {},
): Promise<PhaseMeasurement> {
  const folder = mkdtempSync(join(tmpdir(), 'selftest-measure-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  mkdirSync(join(folder, 'root'));
  writeFileSync(join(folder, 'root', 'a.txt'), 'a');
  return measurePhase({
    root: join(folder, 'root'),
    scratch: join(folder, 'out'),
    phase: 'requirements',
    policySet: shippedPolicies,
    policy: 'requirements',
    sandbox,
    run: { approvals: [], judgements: [], phaseStartedAt: undefined, round: 0, inputs: {} },
    collectors: good,
    selftest: { resultOf: (collector) => Promise.resolve(resultOf(collector)) },
    signal,
    logger: silentLogger(),
    ...own,
  });
}

const proof = ({ id, version }: Collector, own: Partial<SelfTestResult> = {}): SelfTestResult => ({
  collector: id,
  version,
  passed: true,
  reason: null,
  checks: [],
  tools: {},
  node: 'v20',
  sandbox: 'none',
  at: '2026-01-02T03:04:05.000Z',
  durationMs: 7,
  ...own,
});
const verdictOf = (measurement: PhaseMeasurement) =>
  evaluatePhase({
    policySet: shippedPolicies,
    policy: 'requirements',
    phase: 'requirements',
    fallback: false,
    ...measurement,
  });
const errorsOf = (measurement: PhaseMeasurement): string[] => [
  ...new Set(verdictOf(measurement).errors.map(({ metric, reason }) => `${metric}: ${reason}`)),
];

describe('a measurement', () => {
  test('names the self-test of its collector in its evidence', async () => {
    const measurement = await measured((collector) => proof(collector));
    expect(errorsOf(measurement)).toEqual([]);
    for (const { collector, evidence } of measurement.measurements) {
      const expected: Partial<Evidence> = { kind: 'record', durationMs: 7 };
      expect(evidence.at(-1)).toMatchObject(expected);
      expect(evidence.at(-1)?.summary).toContain(`self-test of collector ${collector} passed at 2026-01-02`);
    }
  });

  test('is not evaluable when the self-test of its collector failed, and the gate is in error and blocks', async () => {
    const measurement = await measured((collector) =>
      proof(collector, collector.id === 'stories' ? { passed: false, reason: 'it stayed green' } : {}),
    );
    expect(errorsOf(measurement)).toEqual([
      'acceptance_criteria_defined: the self-test of collector `stories` did not pass on this machine: it stayed green',
    ]);
    const verdict = verdictOf(measurement);
    expect(verdict.verdict).toBe('blocked');
    expect(verdict.gates.filter((gate) => gate.outcome === 'error').map((gate) => Object.keys(gate.values))).toEqual([
      ['acceptance_criteria_defined'],
    ]);
  });

  test('is not evaluable when its collector was never self-tested, or in another version', async () => {
    const never = await measured((collector) => (collector.id === 'stories' ? undefined : proof(collector)));
    expect(errorsOf(never)).toEqual([
      'acceptance_criteria_defined: collector `stories` was never self-tested, so nothing says that it can turn red',
    ]);
    const older = await measured((collector) => proof(collector, collector.id === 'stories' ? { version: '0' } : {}));
    expect(errorsOf(older)).toEqual([
      'acceptance_criteria_defined: the self-test is of `stories` 0, not of `stories` 1',
    ]);
  });
});

describe('measuring a phase again', () => {
  const cacheIn = async (folder: string): Promise<MeasureCache> =>
    new MeasureCache(await SealedCache.open({ folder: join(folder, 'sealed'), logger: silentLogger() }));
  const reusedIn = ({ measurements }: PhaseMeasurement): string[] => [
    ...new Set(
      measurements.flatMap(({ collector, evidence }) =>
        evidence.some(({ summary }) => summary.startsWith('reused from ')) ? [collector] : [],
      ),
    ),
  ];
  const cacheFolder = (): string => {
    const folder = mkdtempSync(join(tmpdir(), 'selftest-cache-'));
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
    return folder;
  };
  const cacheable = good.map((collector) => ({
    ...collector,
    cacheable: !['approval', 'run-record'].includes(collector.id),
  }));

  test('reuses what depends on the files alone, and still names the self-test', async () => {
    const cache = await cacheIn(cacheFolder());
    const first = await measured((collector) => proof(collector), { cache, collectors: cacheable });
    expect(reusedIn(first)).toEqual([]);
    const second = await measured((collector) => proof(collector), { cache, collectors: cacheable });
    expect(reusedIn(second).toSorted()).toEqual(['documents', 'stories', 'traceability']);
    expect(verdictOf(second)).toEqual(verdictOf(first));
    expect(second.measurements.every(({ evidence }) => evidence.at(-1)?.summary.startsWith('self-test of'))).toBe(true);
  });

  test('keeps nothing of a measurement during which the files changed', async () => {
    const cache = await cacheIn(cacheFolder());
    const meddling = cacheable.map((collector) => ({
      ...collector,
      collect: async (context: CollectContext) => {
        writeFileSync(join(context.root, 'b.txt'), 'b');
        return collector.collect(context);
      },
    }));
    await measured((collector) => proof(collector), { cache, collectors: meddling });
    const again = await measured((collector) => proof(collector), { cache, collectors: cacheable });
    expect(reusedIn(again)).toEqual([]);
  });
});

describe('on this machine, in its sandbox', () => {
  test('every collector is green on the clean project and red on each planted defect', async () => {
    // The results that passed before with these very tools are believed, as workers do.
    const aids = await openMeasuringAids({
      cache: CACHE,
      sandbox: await realSandbox(),
      logger: silentLogger(),
      signal,
    });
    const all = allCollectors.flatMap(partsOf).length;
    const line = await aids.selftest.proveAll(allCollectors);
    expect(line).toMatch(new RegExp(`^self-test: ${all} of ${all} collectors .* s\\)$`));
  }, 300_000);
});
