import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { Collected, Collector } from '../../src/gates/collector.ts';
import { allCollectors } from '../../src/gates/collectors/registry.ts';
import { hashTree } from '../../src/gates/hostile-files.ts';
import {
  MeasureCache,
  type MeasuredContext,
  type ReusableRun,
  besideTree,
  measurementKey,
} from '../../src/gates/measure-cache.ts';
import type { MetricSpec } from '../../src/gates/policy-schema.ts';
import { runCollector } from '../../src/gates/run-collector.ts';
import { SealedCache, isOutOfReach } from '../../src/gates/sealed-cache.ts';
import { silentLogger } from '../../src/shared/logger.ts';
import type { Sandbox } from '../../src/shared/sandbox/sandbox.ts';

const signal = new AbortController().signal;
const sandbox: Sandbox = {
  kind: 'bwrap',
  description: 'none is needed here',
  pathOf: (_mounts, inside) => inside,
  run: () => Promise.reject(new Error('no command is run here')),
};
const spec = (own: Partial<MetricSpec> = {}): MetricSpec => ({
  description: 'd',
  type: 'count',
  unit: 'u',
  direction: 'min',
  collector: 'lines',
  examined: 'files',
  minimum_examined: 1,
  ...own,
});

interface MeasureOptions {
  collector?: Collector;
  context?: Partial<MeasuredContext>;
  keep?: boolean;
}

class Bench {
  readonly folder = mkdtempSync(join(tmpdir(), 'measure-cache-'));
  readonly root = join(this.folder, 'project');
  readonly cacheFolder = join(this.folder, 'cache', 'sealed');
  /** How often the collector really looked. */
  looked = 0;
  fault: Partial<Collected['values'][string]> = {};
  exitCode: number | null = 0;
  #runs = 0;

  constructor() {
    onTestFinished(() => rmSync(this.folder, { recursive: true, force: true }));
    mkdirSync(this.root);
    writeFileSync(join(this.root, 'a.txt'), 'one\ntwo\n');
  }

  collector(own: Partial<Collector> = {}): Collector {
    return {
      id: 'lines',
      version: '1',
      metrics: ['line_count'],
      timeoutMs: 5000,
      cacheable: true,
      collect: async ({ root, outDir }) => {
        this.looked += 1;
        const text = await readFile(join(root, 'a.txt'), 'utf8');
        await writeFile(join(outDir, 'lines.txt'), text);
        const evidence = { kind: 'command', summary: 'counted', report: 'lines.txt', exitCode: this.exitCode } as const;
        return {
          values: { line_count: { value: text.split('\n').length - 1, examined: 1, ...this.fault } },
          findings: [{ rule: 'lines/seen', message: 'seen', severity: 'info', file: 'a.txt', line: 1 }],
          evidence: [evidence],
        };
      },
      ...own,
    };
  }

  readonly open = (): Promise<SealedCache> => SealedCache.open({ folder: this.cacheFolder, logger: silentLogger() });
  readonly entries = (): string[] =>
    readdirSync(this.cacheFolder)
      .filter((name) => name.endsWith('.json'))
      .map((name) => join(this.cacheFolder, name));

  /** Measures through a newly opened cache, as another process would. */
  async measure(own: MeasureOptions = {}): Promise<ReusableRun> {
    const collector = own.collector ?? this.collector();
    const context: MeasuredContext = {
      root: this.root,
      sandbox,
      phase: 'testing',
      metrics: { line_count: spec() },
      artifacts: {},
      run: { approvals: [], judgements: [], phaseStartedAt: undefined, round: 0, inputs: {} },
      tree: await hashTree(this.root),
      logger: silentLogger(),
      ...own.context,
    };
    this.#runs += 1;
    const scratch = join(this.folder, `run-${this.#runs}`);
    const reportsDir = join(scratch, 'reports');
    const cache = new MeasureCache(await this.open(), join(this.folder, 'tools'));
    const result = await cache.reuse({ collector, context, reportsDir }, () =>
      runCollector({ collector, context, scratch, reportsDir, timeoutMs: 5000, retries: 0, signal }),
    );
    if (own.keep !== false) await result.keep?.();
    return result;
  }
}

describe('measuring the same files again', () => {
  test('gives the earlier result, says so with its time, and keeps findings and reports', async () => {
    const bench = new Bench();
    const before = new Date().toISOString();
    const first = await bench.measure();
    const second = await bench.measure();
    expect(bench.looked).toBe(1);
    expect(second.measurements).toMatchObject([{ status: 'measured', metric: 'line_count', value: 2, examined: 1 }]);
    expect(second.findings).toEqual(first.findings);
    const [report] = second.reports;
    expect(report).toMatchObject({ name: 'lines/lines.txt', sha256: first.reports[0]?.sha256, bytes: 8 });
    expect(report?.path).not.toBe(first.reports[0]?.path);
    expect(readFileSync(report?.path ?? '', 'utf8')).toBe('one\ntwo\n');
    const note = second.measurements[0]?.evidence.at(-1)?.summary ?? '';
    const at = /^reused from (\S+), when the same files/.exec(note)?.[1] ?? '';
    expect(at >= before && at <= new Date().toISOString()).toBe(true);
    expect(JSON.stringify(first.measurements)).not.toContain('reused');
  });

  const DIFFERENCES: [string, (bench: Bench) => MeasureOptions][] = [
    [
      'the files',
      (bench) => {
        writeFileSync(join(bench.root, 'a.txt'), 'one\n');
        return {};
      },
    ],
    ['the collector version', (bench) => ({ collector: bench.collector({ version: '2' }) })],
    ['the collector', (bench) => ({ collector: bench.collector({ id: 'others' }) })],
    ['the phase', () => ({ context: { phase: 'backend' } })],
    ['the wanted metrics', () => ({ context: { metrics: { line_count: spec(), other: spec() } } })],
    ['a catalogue entry', () => ({ context: { metrics: { line_count: spec({ minimum_examined: 2 }) } } })],
    ['an artifact', () => ({ context: { artifacts: { a: { artifact: 'a', spec: artifact, files: ['a.txt'] } } } })],
    ['the kind of sandbox', () => ({ context: { sandbox: { ...sandbox, kind: 'container' } } })],
    ['the sandbox itself', () => ({ context: { sandbox: { ...sandbox, description: 'another' } } })],
    [
      'an unpacked tool',
      (bench) => {
        mkdirSync(join(bench.folder, 'tools', 'x', 'new'), { recursive: true });
        return {};
      },
    ],
    [
      'an installed package, which the tree hash leaves out',
      (bench) => {
        mkdirSync(join(bench.root, 'node_modules', 'a'), { recursive: true });
        writeFileSync(join(bench.root, 'node_modules', 'a', 'index.js'), '1');
        return {};
      },
    ],
  ];
  test.each(DIFFERENCES)('is a new measurement when it differs in %s', async (_, change) => {
    const bench = new Bench();
    await bench.measure();
    await bench.measure(change(bench));
    expect(bench.looked).toBe(2);
  });

  test('depends on node, packages, settings, code and machine alike', () => {
    const context = { tree: 't', phase: 'p', metrics: {}, artifacts: {}, sandbox };
    const tools = { node: 'n', packages: 'p', settings: 's', code: 'c', machine: 'm' };
    const keyOf = (own: Partial<typeof tools>): string =>
      measurementKey({ id: 'a', version: '1' }, context, { tools: { ...tools, ...own }, beside: '' });
    const keys = Object.keys(tools).map((name) => keyOf({ [name]: 'other' }));
    expect(new Set([keyOf({}), ...keys]).size).toBe(6);
  });

  test('is a new measurement when a collector looks at more than the files', async () => {
    const bench = new Bench();
    const collector = bench.collector({ cacheable: false });
    await bench.measure({ collector });
    await bench.measure({ collector });
    expect(bench.looked).toBe(2);
    const others = allCollectors.filter((each) => each.cacheable !== true).map((each) => each.id);
    expect(others).toEqual(expect.arrayContaining(['run-record', 'review', 'approval', 'service', 'page']));
  });

  test('is a new measurement when the first one was not complete, or was cut short', async () => {
    const bench = new Bench();
    bench.fault = { notEvaluable: 'the tool is missing' };
    await bench.measure();
    bench.fault = {};
    bench.exitCode = null;
    await bench.measure();
    await bench.measure();
    expect(bench.looked).toBe(3);
    expect(bench.entries()).toEqual([]);
  });

  test('keeps nothing until the caller has seen that the files stayed the same', async () => {
    const bench = new Bench();
    await bench.measure({ keep: false });
    expect(bench.entries()).toEqual([]);
  });
});

const artifact = {
  description: 'd',
  paths: ['a.txt'],
  source: 'files',
  reports: [],
  sections: [],
  min_bytes: 1,
} as const;

describe('the print of what lies beside the tree', () => {
  test('changes with an installed file even when its size and time are set back', async () => {
    const bench = new Bench();
    const file = join(bench.root, 'node_modules', 'a.js');
    mkdirSync(join(bench.root, 'node_modules'));
    writeFileSync(file, 'good');
    const { atime, mtime } = statSync(file);
    const before = await besideTree(bench.root);
    writeFileSync(file, 'evil');
    utimesSync(file, atime, mtime);
    expect(await besideTree(bench.root)).not.toBe(before);
  });

  test('is none when a link leads out of the tree, so that nothing is reused', async () => {
    const bench = new Bench();
    symlinkSync(tmpdir(), join(bench.root, 'out'));
    expect(await besideTree(bench.root)).toBeUndefined();
    await bench.measure();
    await bench.measure();
    expect(bench.looked).toBe(2);
  });
});

describe('the folder of kept results', () => {
  test('is private, and so are the key and every entry', async () => {
    const bench = new Bench();
    await bench.measure();
    const [entry = ''] = bench.entries();
    expect(statSync(bench.cacheFolder).mode & 0o777).toBe(0o700);
    expect(statSync(join(bench.cacheFolder, 'key')).mode & 0o777).toBe(0o600);
    expect(statSync(entry).mode & 0o777).toBe(0o600);
  });

  const POISONS: [string, (entry: string) => void][] = [
    [
      'an altered value',
      (entry) => writeFileSync(entry, readFileSync(entry, 'utf8').replace('"value":2', '"value":9')),
    ],
    [
      'a seal that was made without the key',
      (entry) => writeFileSync(entry, `${'0'.repeat(64)}\n{"key":"","value":1}`),
    ],
    ['no seal at all', (entry) => writeFileSync(entry, '{"value":9}')],
    ['a file that others may write', (entry) => chmodSync(entry, 0o666)],
    [
      'a link',
      (entry) => {
        writeFileSync(`${entry}.aside`, readFileSync(entry), { mode: 0o600 });
        rmSync(entry);
        symlinkSync(`${entry}.aside`, entry);
      },
    ],
  ];
  test.each(POISONS)('refuses an entry that is %s, removes it and measures again', async (_, poison) => {
    const bench = new Bench();
    await bench.measure();
    const [entry = ''] = bench.entries();
    poison(entry);
    const again = await bench.measure();
    expect(again.measurements).toMatchObject([{ value: 2 }]);
    expect(bench.looked).toBe(2);
    // The new one has taken its place.
    await bench.measure();
    expect(bench.looked).toBe(2);
  });

  test('refuses the sealed entry of another key', async () => {
    const bench = new Bench();
    const cache = await bench.open();
    await cache.write('good', { value: 1 });
    const [entry = ''] = bench.entries();
    await cache.write('bad', { value: 2 });
    const other = bench.entries().find((path) => path !== entry) ?? '';
    writeFileSync(entry, readFileSync(other));
    expect(await cache.read('good')).toBeUndefined();
    expect(await cache.read('bad')).toEqual({ value: 2 });
  });

  test('refuses to open a folder that others can write to, and entries of another key file', async () => {
    const bench = new Bench();
    await (await bench.open()).write('k', 1);
    chmodSync(bench.cacheFolder, 0o777);
    await expect(bench.open()).rejects.toThrow("no folder of this user's alone");
    chmodSync(bench.cacheFolder, 0o700);
    rmSync(join(bench.cacheFolder, 'key'));
    expect(await (await bench.open()).read('k')).toBeUndefined();
  });

  test('is never used from inside the measured project, nor where commands could reach it', async () => {
    const bench = new Bench();
    const inside = await SealedCache.open({ folder: join(bench.root, 'cache'), logger: silentLogger() });
    const collector = bench.collector();
    const context: MeasuredContext = {
      root: bench.root,
      sandbox,
      phase: 'testing',
      metrics: { line_count: spec() },
      artifacts: {},
      run: { approvals: [], judgements: [], phaseStartedAt: undefined, round: 0, inputs: {} },
      tree: await hashTree(bench.root),
      logger: silentLogger(),
    };
    const run = await new MeasureCache(inside).reuse({ collector, context, reportsDir: bench.folder }, () =>
      Promise.resolve({ measurements: [], findings: [], reports: [] }),
    );
    expect(run.keep).toBeUndefined();
    expect(isOutOfReach(sandbox)).toBe(true);
    expect(isOutOfReach({ ...sandbox, kind: 'off' })).toBe(process.getuid?.() === 0);
  });

  test('holds whole entries when several write at once, each with a key of the same make', async () => {
    const bench = new Bench();
    const caches = await Promise.all(Array.from({ length: 8 }, bench.open));
    const big = 'x'.repeat(200_000);
    await Promise.all(
      caches.flatMap((cache, index) => [cache.write('same', { big, index }), cache.write(`own ${index}`, { index })]),
    );
    for (const cache of caches) expect(await cache.read('same')).toMatchObject({ big });
    for (const [index, cache] of caches.entries()) {
      expect(await caches.at(-1 - index)?.read(`own ${index}`)).toEqual({ index });
      expect(existsSync(cache.folder)).toBe(true);
    }
    expect(readdirSync(bench.cacheFolder).filter((name) => name.startsWith('writing-'))).toEqual([]);
  });

  test('loses what was used longest ago when it is full, by count and by size', async () => {
    const bench = new Bench();
    const cache = await SealedCache.open({ folder: bench.cacheFolder, logger: silentLogger(), maxEntries: 2 });
    const past = new Date(Date.now() - 60_000);
    await cache.write('a', 1);
    await cache.write('b', 2);
    for (const entry of bench.entries()) utimesSync(entry, past, past);
    expect(await cache.read('a')).toBe(1);
    await cache.write('c', 3);
    expect([await cache.read('a'), await cache.read('b'), await cache.read('c')]).toEqual([1, undefined, 3]);
    const small = await SealedCache.open({ folder: bench.cacheFolder, logger: silentLogger(), maxBytes: 300 });
    await small.write('d', 'x'.repeat(150));
    expect(bench.entries()).toHaveLength(1);
  });
});
