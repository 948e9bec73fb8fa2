import { cp, mkdir, readFile, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type IntegrityOptions, integrityOf } from '../../../src/gates/integrity/integrity-of.ts';
import { type CheckedWork, MeasureCache } from '../../../src/gates/measure-cache.ts';
import { SealedCache } from '../../../src/gates/sealed-cache.ts';
import { silentLogger } from '../../../src/shared/logger.ts';
import type { Sandbox } from '../../../src/shared/sandbox/sandbox.ts';
import { tempFolder } from '../../support/temp-folder.ts';
import { type Files, put, realSandbox } from './support.ts';

const head = `import assert from 'node:assert/strict';\nimport { test } from 'node:test';\nimport { big } from '../../src/big.js';\n`;
const T = 'tests/unit/big.test.js';
const BASE: Files = { 'package.json': '{"type":"module"}', 'src/other.js': 'export const one = 1;\n' };
const WORK: Files = {
  'src/big.js': 'export const big = (value) => value > 3;\n',
  [T]: `${head}test('big', () => { assert.ok(big(4)); assert.ok(!big(3)); });\n`,
};

/** One piece of work beside what it began with, and a cache that outlives it. */
async function bench() {
  const folder = await tempFolder();
  const [root, baseRoot, cacheFolder] = [join(folder, 'root'), join(folder, 'base'), join(folder, 'cache')];
  await put(baseRoot, BASE);
  await cp(baseRoot, root, { recursive: true });
  await put(root, WORK);
  const real = await realSandbox();
  let commands = 0;
  let meanwhile = async (): Promise<void> => {};
  const sandbox: Sandbox = {
    kind: real.kind,
    description: real.description,
    pathOf: (mounts, inside) => real.pathOf(mounts, inside),
    run: async (command) => {
      commands += 1;
      await meanwhile();
      return real.run(command);
    },
  };
  let round = 0;
  const held = async (
    own: Partial<IntegrityOptions> = {},
    cache = join(cacheFolder, 'sealed'),
  ): Promise<CheckedWork & { commands: number }> => {
    commands = 0;
    round += 1;
    const dir = join(folder, `round-${round}`);
    await mkdir(dir);
    const sealed = await SealedCache.open({ folder: cache, logger: silentLogger() });
    const run = { approvals: [], judgements: [], phaseStartedAt: undefined, round, inputs: {} };
    const { signal } = new AbortController();
    const done = await integrityOf({
      context: { root, sandbox, phase: 'backend', run, signal, logger: silentLogger() },
      dir,
      baseRoot,
      changed: Object.keys(WORK).map((file) => ({ status: 'added', file })),
      owners: new Map(Object.keys(BASE).map((file) => [file, 'solution_architect'])),
      personas: ['backend_developer'],
      strayLinks: [],
      isTested: true,
      cache: new MeasureCache(sealed),
      ...own,
    });
    return { ...done, commands };
  };
  return { root, baseRoot, cacheFolder, held, during: (act: () => Promise<void>) => (meanwhile = act) };
}

test('the same work against the same base is held once; the next round reads what was established, with its report', async () => {
  const { held } = await bench();
  const first = await held();
  expect(first.checks.map(({ outcome }) => outcome)).toEqual(['not_applicable', 'held', 'held']);
  expect(first.commands).toBeGreaterThan(3);
  const second = await held();
  expect(second.commands).toBe(0);
  expect(second.checks.map(({ outcome, message }) => [outcome, message])).toEqual(
    first.checks.map(({ outcome, message }) => [outcome, message]),
  );
  expect(second.findings).toEqual(first.findings);
  expect(second.checks[2]?.evidence.at(-1)?.summary).toMatch(/^reused from \S+, when the same files were held/);
  expect(second.reports.map(({ name, sha256 }) => [name, sha256])).toEqual(
    first.reports.map(({ name, sha256 }) => [name, sha256]),
  );
  expect(await readFile(second.reports[0]?.path ?? '', 'utf8')).toContain('onOldCode');
});

test('another file, base, owner, phase or installed package is held anew', async () => {
  const { held, root, baseRoot } = await bench();
  await held();
  const changes: (() => Promise<Partial<IntegrityOptions>>)[] = [
    async () => (await put(root, { 'README.md': 'more\n' }), {}),
    async () => (await put(baseRoot, { 'src/other.js': 'export const one = 2;\n' }), {}),
    () => Promise.resolve({ personas: ['qa_engineer'] }),
    () => Promise.resolve({ owners: new Map() }),
    () => Promise.resolve({ isTested: false }),
    async () => (await put(root, { 'node_modules/a/index.js': '' }), {}),
  ];
  for (const change of changes) {
    const again = await held(await change());
    expect(again.checks[2]?.evidence.some(({ summary }) => summary.startsWith('reused'))).toBe(false);
  }
});

test('nothing that the work, or anybody else, puts into the cache is believed', async () => {
  const { held, root, cacheFolder } = await bench();
  await held();
  const folder = join(cacheFolder, 'sealed');
  const [entry = ''] = (await readdir(folder)).filter((name) => name.endsWith('.json'));
  const kept = await readFile(join(folder, entry), 'utf8');
  await writeFile(join(folder, entry), kept.replace('planted', 'plantet'));
  expect((await held()).commands).toBeGreaterThan(3);
  // A cache inside the work would be the author's own.
  const inside = join(root, 'sealed');
  await held({}, inside);
  expect((await held({}, inside)).commands).toBeGreaterThan(3);
});

test('what was cut short, and work that changed meanwhile, is not kept', async () => {
  const { held, root, during } = await bench();
  let done = false;
  during(async () => {
    if (!done) await put(root, { 'README.md': 'changed while it was held\n' });
    done = true;
  });
  await held();
  await put(root, { 'README.md': null });
  expect((await held()).commands).toBeGreaterThan(3);
  await put(root, { [T]: `${head}process.exit(0);\n` });
  expect((await held()).checks[2]?.outcome).toBe('error');
  expect((await held()).commands).toBeGreaterThan(1);
});
