import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll } from 'vitest';
import { type Collected, type CollectContext, type CollectedValue } from '../../../src/gates/collector.ts';
import { codeCollectors } from '../../../src/gates/collectors/code-collectors.ts';
import { readConfig } from '../../../src/shared/config.ts';
import { silentLogger } from '../../../src/shared/logger.ts';
import { packagePath } from '../../../src/shared/package-root.ts';
import type { SandboxResult } from '../../../src/shared/sandbox/sandbox.ts';
import { openSandbox } from '../../../src/shared/sandbox/open-sandbox.ts';

const GOOD = packagePath('tests', 'fixtures', 'code-good');
const made: string[] = [];
afterAll(async () => {
  await Promise.all(made.map((folder) => rm(folder, { recursive: true, force: true })));
});

const folder = async (name: string): Promise<string> => {
  const path = await mkdtemp(join(tmpdir(), `code-${name}-`));
  made.push(path);
  return path;
};

let opened: ReturnType<typeof openSandbox> | undefined;
/** The real sandbox; its programs are fetched once into the cache that every test shares. */
const sandbox = (): ReturnType<typeof openSandbox> =>
  (opened ??= openSandbox({
    mode: 'auto',
    cache: readConfig(process.env, packagePath()).cache,
    logger: silentLogger(),
  }));

/** The good project with files put in (a text) or taken out (null). */
export async function project(changes: Record<string, string | null> = {}): Promise<string> {
  const root = await folder('project');
  await cp(GOOD, root, { recursive: true });
  for (const [path, text] of Object.entries(changes)) {
    await rm(join(root, path), { recursive: true, force: true });
    if (text === null) continue;
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), text);
  }
  return root;
}

export interface Measured extends Collected {
  of: (metric: string) => CollectedValue;
  /** The number, or the reason why there is none. */
  read: (metric: string) => number | string;
  outDir: string;
}

/** Runs one collector on a folder, wanting all its metrics. */
export async function measure(
  id: string,
  root: string,
  phase = 'implementation',
  /** Alters what a command gave back, as hostile code might. */
  alter: (result: SandboxResult) => SandboxResult = (result) => result,
): Promise<Measured> {
  const real = await sandbox();
  const collector = codeCollectors.find((candidate) => candidate.id === id);
  if (!collector) throw new Error(`no collector ${id}`);
  const outDir = await folder('out');
  const spec = {
    description: '',
    type: 'amount',
    unit: '',
    direction: 'min',
    collector: id,
    examined: '',
    minimum_examined: 1,
  } satisfies CollectContext['metrics'][string];
  const collected = await collector.collect({
    root,
    outDir,
    sandbox: {
      kind: real.kind,
      description: real.description,
      pathOf: (mounts, inside) => real.pathOf(mounts, inside),
      run: async (command) => alter(await real.run(command)),
    },
    phase,
    metrics: Object.fromEntries(collector.metrics.map((metric) => [metric, spec])),
    artifacts: {},
    run: { approvals: [], judgements: [], phaseStartedAt: undefined, round: 0, inputs: {} },
    tree: 'tree',
    signal: AbortSignal.timeout(collector.timeoutMs),
    logger: silentLogger(),
  });
  const of = (metric: string): CollectedValue => collected.values[metric] ?? { notEvaluable: 'left out' };
  const read = (metric: string): number | string => {
    const value = of(metric);
    return 'notEvaluable' in value ? value.notEvaluable : value.value;
  };
  return { ...collected, of, read, outDir };
}
