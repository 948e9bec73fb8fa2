import { join } from 'node:path';
import { mkdir } from 'node:fs/promises';
import { beforeEach, expect, test } from 'vitest';
import type { RunContext } from '../../../src/gates/collector.ts';
import { MeasureCache } from '../../../src/gates/measure-cache.ts';
import { SealedCache } from '../../../src/gates/sealed-cache.ts';
import { readPolicies } from '../../../src/producer/definitions-builder.ts';
import { putJson } from '../../../src/shared/blob-store.ts';
import { readConfig } from '../../../src/shared/config.ts';
import { silentLogger } from '../../../src/shared/logger.ts';
import { openBlobStore } from '../../../src/shared/open-blob-store.ts';
import { packagePath } from '../../../src/shared/package-root.ts';
import { type PlannedPhase, RunPlan } from '../../../src/shared/run-record.ts';
import { RunStore } from '../../../src/shared/run-store.ts';
import { type Workspace, openWorkspace } from '../../../src/shared/workspace.ts';
import { measureIntegrity } from '../../../src/workers/gate-integrity.ts';
import { gatesNow } from '../../../src/workers/gates-now.ts';
import { DefinitionsCache, type WorkerContext } from '../../../src/workers/worker-context.ts';
import { noopPlan } from '../../support/noop-fleet.ts';
import { tempFolder } from '../../support/temp-folder.ts';
import { testRedis } from '../../support/test-redis.ts';
import { type Files, put, realSandbox } from './support.ts';

type Asked = Parameters<typeof gatesNow>[1];

const redisAt = testRedis();
const head = `import assert from 'node:assert/strict';\nimport { test } from 'node:test';\n`;
const HANDED_DOWN = `${head}import { one } from '../../src/backend/one.js';\ntest('one', () => { assert.equal(one(), 1); });\n`;

let ctx: WorkerContext;
beforeEach(async () => {
  const config = { ...readConfig({ MAESTRO_HOME: await tempFolder() }, '/'), prefix: redisAt.prefix };
  const redis = await redisAt.connect();
  const blobs = openBlobStore(config.blobs);
  ctx = {
    config,
    redis,
    redisUrl: redisAt.url,
    store: new RunStore(redis, redisAt.prefix),
    blobs,
    sandbox: await realSandbox(),
    definitions: new DefinitionsCache(blobs),
    models: { apiVersion: 'maestro/v1', aliases: {}, prices: {} },
    logger: silentLogger(),
  };
});

async function commit(workspace: Workspace, persona: string, files: Files): Promise<void> {
  await put(workspace.dir, files);
  const author = { name: persona, email: `${persona}@maestro.invalid` };
  await workspace.commitAll({ message: persona, trailers: { Persona: persona }, author, date: '2026-01-01T00:00:00Z' });
}

/** A design phase that handed down a test, and the backend phase after it: real commits, Redis, blobs and sandbox. */
async function backendPhase(): Promise<Pick<Asked, 'plan' | 'phase' | 'loaded' | 'workspace'>> {
  const designed = await openWorkspace({ dir: await tempFolder(), blobs: ctx.blobs, sources: [] });
  await commit(designed.workspace, 'solution_architect', {
    'package.json': '{"type":"module"}',
    'src/backend/one.js': 'export function one() {\n  return 1;\n}\n',
    'tests/unit/one.test.js': HANDED_DOWN,
  });
  const design = await designed.workspace.bundle();
  const policies = await readPolicies(packagePath('policies'));
  const workflow = {
    apiVersion: 'maestro/v1',
    name: 'noop',
    inputs: {},
    defaults: {},
    phases: { design: { persona: 'noop' } },
  };
  const definitions = await putJson(ctx.blobs, { schemaVersion: 1, workflow, personas: {}, policies, models: {} });
  const plan = RunPlan.parse({
    ...noopPlan({ design: [], backend: ['design'] }, { policy: 'backend', personas: ['backend_developer'] }),
    definitions,
  });
  await ctx.store.createRun(plan);
  await ctx.store.updatePhase(plan.runId, 'design', (record) => ({ next: { ...record, ...design }, events: [] }));
  const phase: PlannedPhase | undefined = plan.phases.find(({ name }) => name === 'backend');
  if (phase === undefined) throw new Error('no backend phase');

  const sources = [{ label: 'design', ...design }];
  const { workspace } = await openWorkspace({ dir: await tempFolder(), blobs: ctx.blobs, sources });
  return { plan, phase, loaded: await ctx.definitions.get(definitions), workspace };
}

const { signal } = new AbortController();

async function backendRound(work: Files): ReturnType<typeof measureIntegrity> {
  const phase = await backendPhase();
  await commit(phase.workspace, 'backend_developer', work);
  return backendGate(phase);
}

async function backendGate(phase: Awaited<ReturnType<typeof backendPhase>>): ReturnType<typeof measureIntegrity> {
  const dir = await tempFolder();
  const root = join(dir, 'root');
  await mkdir(root);
  const { leftOut } = await phase.workspace.exportTo(root);
  const run: RunContext = { approvals: [], judgements: [], phaseStartedAt: undefined, round: 0, inputs: {} };
  return measureIntegrity(ctx, { ...phase, run, signal, dir, root, strayLinks: leftOut });
}

const outcomes = ({ checks }: Awaited<ReturnType<typeof measureIntegrity>>): string[] =>
  checks.map(({ check, outcome }) => `${check} ${outcome}`);

test('a phase is held against the commits that it was made from, and who wrote them', async () => {
  const honest = await backendRound({
    'src/backend/two.js': 'export function two(n) {\n  return n > 1 ? 2 : 0;\n}\n',
    'tests/unit/two.test.js': `${head}import { two } from '../../src/backend/two.js';\ntest('two', () => { assert.equal(two(2), 2); assert.equal(two(1), 0); });\n`,
  });
  expect(outcomes(honest)).toEqual([
    'handed_down_tests held',
    'measurement_untouched held',
    'tests_mean_something held',
  ]);
  expect(honest.reports.map(({ name }) => name)).toEqual(['integrity/new-tests.json']);
  expect(honest.checks[2]?.evidence[0]).toMatchObject({
    report: 'integrity/new-tests.json',
    reportSha256: honest.reports[0]?.sha256,
  });
});

test('a test of another persona that was deleted, and a link that leads out, are seen in the commits', async () => {
  const bad = await backendRound({ 'tests/unit/one.test.js': null, 'docs/passwd': '-> /etc/passwd' });
  expect(outcomes(bad)).toEqual([
    'handed_down_tests violated',
    'measurement_untouched violated',
    'tests_mean_something not_applicable',
  ]);
  expect(bad.findings.map(({ rule, file }) => `${rule} ${file}`)).toEqual([
    'tamper/handed-down-test tests/unit/one.test.js',
    'tamper/stray-link docs/passwd',
  ]);
});

test('a test of another persona that became a link is no longer what was handed down', async () => {
  const bad = await backendRound({ 'tests/unit/one.test.js': '-> ../../src/backend/one.js' });
  expect(bad.checks[0]).toMatchObject({ outcome: 'violated' });
  expect(bad.findings[0]?.message).toContain('replaced by a link');
});

test('the tool of a persona tells what the gate will, of the files as they would be handed off, and tries nothing twice', async () => {
  const phase = await backendPhase();
  const sealed = await SealedCache.open({ folder: join(await tempFolder(), 'sealed'), logger: silentLogger() });
  // What collectors measure is told elsewhere: here none is installed, which the gate says of each metric.
  ctx.measuring = { collectors: [], cache: new MeasureCache(sealed) };
  const asked: Asked = {
    ...phase,
    persona: 'backend_developer',
    round: 0,
    inputs: {},
    checkpoint: () => commit(phase.workspace, 'backend_developer', {}),
    scratch: join(await tempFolder(), 'gates'),
    signal,
  };
  await put(phase.workspace.dir, {
    '.gitignore': 'leavings/\n',
    'leavings/x.test.js': '',
    'src/backend/two.js': 'export function two(n) {\n  return n > 1 ? 2 : 0;\n}\n',
    'tests/unit/one.test.js': HANDED_DOWN.replace('one(), 1', 'one(), one()'),
    'tests/unit/two.test.js': `${head}import { two } from '../../src/backend/two.js';\ntest('two', () => { two(2); two(1); assert.ok(true); });\n`,
  });
  const text = await gatesNow(ctx, asked);
  expect(text).toContain('passed integrity/measurement_untouched');
  expect(text).toMatch(/error blocked\/handed_down_tests: .*tests\/unit\/one\.test\.js \(changed\)/);
  expect(text).toMatch(/error blocked\/tests_mean_something: .*0 of \d+ faults planted/);
  expect(text).toContain('src/backend/two.js:2 error tests/surviving-mutant');
  expect(text).not.toContain('leavings');

  const gate = await backendGate(phase);
  expect(outcomes(gate)).toEqual([
    'handed_down_tests violated',
    'measurement_untouched held',
    'tests_mean_something violated',
  ]);
  expect(gate.checks[2]?.evidence.at(-1)?.summary).toMatch(/^reused from/);
});
