import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { CollectContext, Collected, CollectedValue, Collector, RunContext } from '../../../src/gates/collector.ts';
import type { MetricSpec } from '../../../src/gates/policy-schema.ts';
import { silentLogger } from '../../../src/shared/logger.ts';
import { packagePath } from '../../../src/shared/package-root.ts';
import { openSandbox } from '../../../src/shared/sandbox/open-sandbox.ts';
import type { Sandbox } from '../../../src/shared/sandbox/sandbox.ts';

export const CACHE = join(homedir(), '.cache', 'maestro-fleet');

/** The real sandbox of this machine. */
export const realSandbox = (): Promise<Sandbox> => openSandbox({ mode: 'auto', cache: CACHE, logger: silentLogger() });

/** A sandbox for collectors that must not need one. */
const noSandbox: Sandbox = {
  kind: 'off',
  description: 'none',
  pathOf: (_mounts, inside) => inside,
  run: () => Promise.reject(new Error('this collector runs no command')),
};

/** A copy of the fixture project that the test may change. */
export class Project {
  readonly root: string;
  readonly outDir: string;

  constructor() {
    const folder = mkdtempSync(join(tmpdir(), 'docs-'));
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
    this.root = join(folder, 'project');
    this.outDir = join(folder, 'out');
    mkdirSync(this.outDir);
    cpSync(packagePath('tests', 'fixtures', 'docs-links'), this.root, { recursive: true });
  }

  write(path: string, text: string): this {
    mkdirSync(dirname(join(this.root, path)), { recursive: true });
    writeFileSync(join(this.root, path), text);
    return this;
  }

  remove(path: string): this {
    rmSync(join(this.root, path), { recursive: true });
    return this;
  }

  /** Replaces text that must be there. */
  edit(path: string, from: string, to: string): this {
    const before = readFileSync(join(this.root, path), 'utf8');
    if (!before.includes(from)) throw new Error(`${path} does not hold "${from}"`);
    return this.write(path, before.replaceAll(from, to));
  }
}

interface Options {
  sandbox?: Sandbox;
  phase?: string;
  specs?: Record<string, Partial<MetricSpec>>;
  run?: Partial<RunContext>;
}

const specFor = (collector: Collector, metric: string, own: Partial<MetricSpec> | undefined): MetricSpec => ({
  description: metric,
  type: 'ratio',
  unit: '',
  direction: 'min',
  collector: collector.id,
  examined: 'things',
  minimum_examined: 1,
  ...own,
});

/** What the gates give a collector. */
export function contextFor(
  collector: Collector,
  project: Project,
  metrics: readonly string[],
  options: Options = {},
): CollectContext {
  return {
    root: project.root,
    outDir: project.outDir,
    sandbox: options.sandbox ?? noSandbox,
    phase: options.phase ?? 'requirements',
    metrics: Object.fromEntries(metrics.map((metric) => [metric, specFor(collector, metric, options.specs?.[metric])])),
    artifacts: {},
    run: { approvals: [], judgements: [], phaseStartedAt: undefined, round: 0, inputs: {}, ...options.run },
    tree: 'tree',
    signal: new AbortController().signal,
    logger: silentLogger(),
  };
}

/** Collects metrics from a project, as the gates do. */
export const collect = (
  collector: Collector,
  project: Project,
  metrics: readonly string[],
  options: Options = {},
): Promise<Collected> => collector.collect(contextFor(collector, project, metrics, options));

/** The value and what was examined, or the reason why there is none. */
export function readingOf(collected: Collected, metric: string): { value: number; examined: number } | string {
  const value: CollectedValue | undefined = collected.values[metric];
  if (value === undefined) return 'left out';
  return 'notEvaluable' in value ? value.notEvaluable : { value: value.value, examined: value.examined };
}

/** One metric's reading. */
export const measure = async (
  collector: Collector,
  project: Project,
  metric: string,
  options: Options = {},
): Promise<ReturnType<typeof readingOf>> => readingOf(await collect(collector, project, [metric], options), metric);
