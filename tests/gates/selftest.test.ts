import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { CollectedValue, Collector } from '../../src/gates/collector.ts';
import { allCollectors } from '../../src/gates/collectors/registry.ts';
import { SealedCache } from '../../src/gates/sealed-cache.ts';
import { ProvenCollectors, type ProvenCollectorsOptions, partsOf } from '../../src/gates/selftest/proven-collectors.ts';
import { selfTests } from '../../src/gates/selftest/registry.ts';
import { runSelfTest, writeTwin } from '../../src/gates/selftest/run-self-test.ts';
import type { Expected, SelfTest, SelfTestResult } from '../../src/gates/selftest/self-test.ts';
import { silentLogger } from '../../src/shared/logger.ts';
import type { Sandbox } from '../../src/shared/sandbox/sandbox.ts';

const sandbox: Sandbox = {
  kind: 'bwrap',
  description: 'none is needed here',
  pathOf: (_mounts, inside) => inside,
  run: () => Promise.reject(new Error('no command is run here')),
};
const signal = new AbortController().signal;
const folder = (): string => {
  const path = mkdtempSync(join(tmpdir(), 'selftest-'));
  onTestFinished(() => rmSync(path, { recursive: true, force: true }));
  return path;
};

/** A metric of a clean twin must be green where that of a defect must be red: no reading satisfies both. */
function areApart(clean: Expected, red: Expected): boolean {
  if ('notEvaluable' in red) return !('notEvaluable' in clean);
  if ('atLeast' in clean && 'atMost' in red) return clean.atLeast > red.atMost;
  return 'atMost' in clean && 'atLeast' in red && clean.atMost < red.atLeast;
}

describe('the self-tests', () => {
  test.each(allCollectors.flatMap(partsOf).map((collector) => [collector.id, collector] as const))(
    'show for every metric of %s that it can be green and that it can turn red',
    (id, collector) => {
      const selfTest = selfTests[id];
      const clean = selfTest?.clean.expect ?? {};
      const unproven = collector.metrics.filter((metric) => {
        // Nothing measures this one: it is not evaluable whatever the twin.
        if (metric === 'customer_satisfaction') return false;
        const green = clean[metric];
        if (green === undefined || 'notEvaluable' in green) return true;
        return !selfTest?.defects.some(({ expect: red }) => red[metric] !== undefined && areApart(green, red[metric]));
      });
      expect(unproven).toEqual([]);
      const stated = new Set([clean, ...(selfTest?.defects ?? []).map((defect) => defect.expect)].flatMap(Object.keys));
      expect([...stated].filter((metric) => !collector.metrics.includes(metric))).toEqual([]);
    },
  );

  test('are all of collectors that exist', () => {
    const ids = allCollectors.flatMap(partsOf).map(({ id }) => id);
    expect(Object.keys(selfTests).filter((id) => !ids.includes(id))).toEqual([]);
  });

  test('refuse to plant a defect that does not change the project', async () => {
    await expect(writeTwin(folder(), { 'README.md': [['no such text', '']] })).rejects.toThrow('has no "no such text"');
  });
});

const collectorOf = (read: (root: string) => CollectedValue | Promise<CollectedValue>, version = '1'): Collector => ({
  id: 'files',
  version,
  metrics: ['file_count'],
  timeoutMs: 5000,
  collect: async ({ root }) => ({ values: { file_count: await read(root) }, findings: [], evidence: [] }),
});
const honest = (version?: string): Collector =>
  collectorOf((root) => ({ value: readdirSync(join(root, 'src')).length, examined: 1 }), version);
const definition: SelfTest = {
  phase: 'implementation',
  clean: { expect: { file_count: { atMost: 2 } } },
  defects: [
    { what: 'too many files', edits: { 'src/third': '', 'src/fourth': '' }, expect: { file_count: { atLeast: 4 } } },
    { what: 'no files', edits: { 'src/backend': null }, expect: { file_count: { atLeast: 0 } } },
  ],
};
const run = (collector: Collector, selfTest: SelfTest = definition): Promise<SelfTestResult> =>
  runSelfTest({ collector, selfTest, sandbox, logger: silentLogger(), signal });

describe('a self-test', () => {
  test('passes a collector that is green on the clean twin and red on each defect', async () => {
    const result = await run(honest());
    expect(result).toMatchObject({
      collector: 'files',
      version: '1',
      passed: true,
      reason: null,
      node: process.version,
    });
    expect(result.checks.map(({ twin, ok }) => [twin, ok])).toEqual([
      ['clean', true],
      ['too many files', true],
      ['no files', true],
    ]);
  });

  test('does not pass a collector that gives the same good value whatever it is shown', async () => {
    const result = await run(collectorOf(() => ({ value: 2, examined: 9 })));
    expect(result.passed).toBe(false);
    expect(result.reason).toBe('file_count of the twin "too many files" is 2 of 9 examined, it must be at least 4');
  });

  test('does not pass a collector that is always red', async () => {
    expect(await run(collectorOf(() => ({ value: 99, examined: 9 })))).toMatchObject({
      passed: false,
      reason: 'file_count of the twin "clean" is 99 of 9 examined, it must be at most 2',
    });
  });

  test('does not take a collector that looked at nothing for green', async () => {
    expect(await run(collectorOf(() => ({ value: 0, examined: 0 })))).toMatchObject({ passed: false });
  });

  test('does not take another fault for the honest answer that nothing could be measured', async () => {
    const blind: SelfTest = {
      ...definition,
      defects: [{ what: 'a missing file', expect: { file_count: { notEvaluable: /does not exist/ } } }],
    };
    const twins: CollectedValue[] = [{ value: 1, examined: 1 }, { notEvaluable: 'the tool is not installed' }];
    const result = await run(
      collectorOf(() => twins.shift() ?? { notEvaluable: 'asked again' }),
      blind,
    );
    expect(result).toMatchObject({ passed: false });
    expect(result.reason).toContain(
      'not evaluable: the tool is not installed, it must be not evaluable (does not exist)',
    );
  });

  test('does not pass a collector that throws, nor one whose self-test checks nothing', async () => {
    const broken = await run(collectorOf(() => Promise.reject(new Error('no disk'))));
    expect(broken.reason).toContain('no disk');
    const empty = await run(honest(), { phase: 'design', clean: { expect: {} }, defects: [] });
    expect(empty).toMatchObject({ passed: false, reason: 'it checks nothing' });
  });

  test('is that of each collector that reads records or documents, and passes on this machine', async () => {
    const ids = ['documents', 'stories', 'traceability', 'openapi', 'review', 'approval', 'run-record'];
    for (const collector of allCollectors.filter(({ id }) => ids.includes(id))) {
      const selfTest = selfTests[collector.id];
      expect(await run(collector, selfTest)).toMatchObject({ collector: collector.id, reason: null, passed: true });
    }
  });
});

describe('proven collectors', () => {
  const proving = (
    options: Partial<ProvenCollectorsOptions> = {},
  ): {
    ran: string[];
    resultOf: (collector: Collector) => Promise<SelfTestResult | undefined>;
    all: ProvenCollectors;
  } => {
    const ran: string[] = [];
    const all = new ProvenCollectors({
      sandbox,
      logger: silentLogger(),
      signal,
      definitions: { files: definition },
      announce: (id) => ran.push(id),
      ...options,
    });
    return { ran, all, resultOf: (collector) => all.resultOf(collector, signal) };
  };
  const cacheIn = (path: string): Promise<SealedCache> =>
    SealedCache.open({ folder: join(path, 'cache'), logger: silentLogger() });

  test('are tested once, and not again by another process of this machine', async () => {
    const path = folder();
    const first = proving({ cache: await cacheIn(path) });
    const [one, two] = await Promise.all([first.resultOf(honest()), first.resultOf(honest())]);
    expect(one).toBe(two);
    expect(first.ran).toEqual(['files']);
    const second = proving({ cache: await cacheIn(path) });
    expect(await second.resultOf(honest())).toEqual(one);
    expect(second.ran).toEqual([]);
  });

  test('are tested by one of several processes that start together', async () => {
    const path = folder();
    const workers = [proving({ cache: await cacheIn(path) }), proving({ cache: await cacheIn(path) })];
    const results = await Promise.all(workers.map((worker) => worker.resultOf(honest())));
    expect(results.map((result) => result?.passed)).toEqual([true, true]);
    expect(workers.flatMap((worker) => worker.ran)).toEqual(['files']);
  });

  test('are tested again for another version, another sandbox, or another set of tools', async () => {
    const path = folder();
    const cache = await cacheIn(path);
    await proving({ cache }).resultOf(honest());
    const others: [Partial<ProvenCollectorsOptions>, Collector][] = [
      [{}, honest('2')],
      [{ sandbox: { ...sandbox, description: 'another' } }, honest()],
      [{ toolCache: path }, honest()],
    ];
    for (const [options, collector] of others) {
      const again = proving({ cache, ...options });
      await again.resultOf(collector);
      expect(again.ran).toEqual(['files']);
    }
  });

  test('are tested again when the kept result was put there by something else', async () => {
    const path = folder();
    const cache = await cacheIn(path);
    const fair = await proving({ cache }).resultOf(honest());
    const [entry] = readdirSync(cache.folder).filter((name) => name.endsWith('.json'));
    writeFileSync(join(cache.folder, entry ?? ''), `${'0'.repeat(64)}\n${JSON.stringify({ key: '', value: fair })}`);
    const again = proving({ cache });
    expect(await again.resultOf(honest())).toMatchObject({ passed: true });
    expect(again.ran).toEqual(['files']);
  });

  test('do not count when they failed, and a failure is not kept for the next process', async () => {
    const path = folder();
    const liar = collectorOf(() => ({ value: 2, examined: 9 }));
    expect(await proving({ cache: await cacheIn(path) }).resultOf(liar)).toMatchObject({ passed: false });
    const mended = proving({ cache: await cacheIn(path) });
    expect(await mended.resultOf(honest())).toMatchObject({ passed: true });
    expect(mended.ran).toEqual(['files']);
  });

  test('say in one line how many can be believed, and why the others cannot', async () => {
    const worker = proving();
    const stranger = { ...honest(), id: 'stranger' };
    const line = await worker.all.proveAll([honest(), stranger]);
    expect(line).toMatch(/^self-test: 1 of 2 collectors tell good from bad on this machine \(\d+\.\d s\); /);
    expect(line).toContain('collector `stranger` was never self-tested');
  });

  test('leave whoever waits free to go', async () => {
    const stop = new AbortController();
    const slow = collectorOf(() => new Promise<CollectedValue>(() => {}));
    const waiting = proving().all.resultOf(slow, stop.signal);
    stop.abort();
    await expect(waiting).rejects.toThrow('cancelled');
  });
});
