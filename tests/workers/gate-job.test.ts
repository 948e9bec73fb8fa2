import { cp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { readPolicies } from '../../src/producer/definitions-builder.ts';
import { approvePhase, enqueueRun } from '../../src/producer/enqueue.ts';
import { putJson } from '../../src/shared/blob-store.ts';
import { readConfig } from '../../src/shared/config.ts';
import { silentLogger } from '../../src/shared/logger.ts';
import { openBlobStore } from '../../src/shared/open-blob-store.ts';
import { NO_USAGE, type PlannedPhase, RunPlan, TERMINAL_RUN } from '../../src/shared/run-record.ts';
import { RunStore } from '../../src/shared/run-store.ts';
import { openSandbox } from '../../src/shared/sandbox/open-sandbox.ts';
import { openWorkspace } from '../../src/shared/workspace.ts';
import { beginPhase } from '../../src/workers/begin-phase.ts';
import { type Fleet, startFleet } from '../../src/workers/fleet.ts';
import { closePhase } from '../../src/workers/gate-job.ts';
import { neededSources } from '../../src/workers/needed-sources.ts';
import { DefinitionsCache } from '../../src/workers/worker-context.ts';
import { noopPlan } from '../support/noop-fleet.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { type TestRedis, testRedis } from '../support/test-redis.ts';

const GOOD = join(import.meta.dirname, '..', 'fixtures', 'docs-links', 'docs');

/** One call of a tool that writes: what the files say of the conversation that made them. */
const TRANSCRIPT = {
  schemaVersion: 1,
  messages: [
    { role: 'user', content: [{ type: 'text', text: 'work' }] },
    {
      role: 'assistant',
      content: [{ type: 'tool_use', id: 't1', name: 'write_file', input: { path: 'docs/x.md', content: 'x' } }],
    },
    { role: 'user', content: [{ type: 'tool_result', tool_use_id: 't1', content: 'wrote docs/x.md' }] },
  ],
  calls: [],
  lineage: [],
  refusedCalls: [],
  resumed: 'fresh',
};

/** What a persona writes in a round, into its work tree. */
type Work = (tree: string, round: number, persona: string, phase: string) => Promise<void>;

const fleets: Fleet[] = [];
afterEach(async () => {
  for (const fleet of fleets.splice(0)) await fleet.close(5_000);
});

/** Real gate jobs, collectors, sandbox and blobs; only the persona's conversation is left out: `work` writes its files. */
async function startFleetOf(at: TestRedis, work: Work) {
  const home = await tempFolder();
  const config = { ...readConfig({ MAESTRO_HOME: home }, '/'), prefix: at.prefix };
  const redis = await at.connect();
  const store = new RunStore(redis, at.prefix);
  const blobs = openBlobStore(config.blobs);
  const sandbox = await openSandbox({ mode: 'auto', cache: config.cache, logger: silentLogger() });
  const ctx = {
    config,
    redis,
    redisUrl: at.url,
    store,
    blobs,
    sandbox,
    definitions: new DefinitionsCache(blobs),
    models: { apiVersion: 'maestro/v1' as const, aliases: {}, prices: {} },
    logger: silentLogger(),
  };
  const fleet = await startFleet(
    ctx,
    { personas: ['noop', 'other'], gates: true, concurrency: 4 },
    {
      gate: closePhase,
      persona: async (worker, attempt) => {
        const { data } = attempt;
        const plan = await store.getPlan(data.runId);
        const phase = plan.phases.find((planned) => planned.name === data.phase);
        if (phase === undefined) throw new Error('no such phase');
        await beginPhase(worker.store, attempt, phase);
        const dir = await tempFolder();
        const sources =
          data.base === null ? await neededSources(store, data.runId, phase) : [{ label: phase.name, ...data.base }];
        const { workspace } = await openWorkspace({ dir, blobs, sources, onConflict: 'mark' });
        await work(workspace.dir, data.round, data.persona, data.phase);
        const author = { name: data.persona, email: `${data.persona}@example.invalid` };
        await workspace.commitAll({
          message: `round ${data.round}`,
          trailers: {},
          author,
          date: new Date().toISOString(),
        });
        const { persona, kind, round } = data;
        const handoff = await putJson(blobs, { summary: 'done' });
        const transcript = await putJson(blobs, TRANSCRIPT);
        return {
          phase: phase.name,
          persona,
          kind,
          round,
          ...(await workspace.bundle()),
          handoff,
          transcript,
          findings: [],
          usage: NO_USAGE,
          provider: 'scripted',
          simulated: true,
        };
      },
    },
  );
  fleets.push(fleet);
  const start = async (
    phase: Partial<PlannedPhase>,
    approvals: boolean,
    /** Further phases, and what else `requirements` is given. */
    others: Readonly<Record<string, Partial<PlannedPhase>>> = {},
  ): Promise<RunPlan> => {
    const policies = await readPolicies(join(import.meta.dirname, '..', '..', 'policies'));
    const workflow = {
      apiVersion: 'maestro/v1',
      name: 'noop',
      inputs: {},
      defaults: {},
      phases: { requirements: { persona: 'noop' } },
    };
    const definitions = await putJson(blobs, { schemaVersion: 1, workflow, personas: {}, policies, models: {} });
    const names = [...Object.keys(others).filter((name) => name !== 'requirements'), 'requirements'];
    const plain = noopPlan(Object.fromEntries(names.map((name) => [name, []])), {
      policy: 'requirements',
      approvalRoles: ['stakeholder'],
      ...phase,
    });
    const plan = RunPlan.parse({
      ...plain,
      phases: plain.phases.map((planned) => ({ ...planned, ...others[planned.name] })),
      definitions,
      scripted: { scenario: 'main', approvals },
    });
    await enqueueRun({ redis, prefix: at.prefix, store }, plan);
    return plan;
  };
  const phaseOf = (plan: RunPlan) => store.getPhase(plan.runId, 'requirements');
  const ended = (plan: RunPlan) =>
    expect
      .poll(async () => TERMINAL_RUN.includes((await store.getRun(plan.runId)).status), {
        timeout: 40_000,
        interval: 100,
      })
      .toBe(true);
  return { store, redis, start, phaseOf, ended, target: { redis, prefix: at.prefix, store } };
}

const writeGood: Work = async (tree) => {
  await cp(GOOD, join(tree, 'docs'), { recursive: true });
};

test('what a gate blocked goes back with its findings, and passes when it is mended', async () => {
  const fleet = await startFleetOf(testRedis(), async (tree, round) => {
    await writeGood(tree, round, 'noop', 'requirements');
    if (round === 0) await rm(join(tree, 'docs/requirements/acceptance'), { recursive: true });
  });
  const plan = await fleet.start({ rework: 2 }, true);
  await fleet.ended(plan);
  const record = await fleet.phaseOf(plan);
  expect(record.rounds.map(({ round, verdict }) => [round, verdict.verdict === 'blocked'])).toEqual([
    [0, true],
    [1, false],
  ]);
  const first = record.rounds[0]?.verdict.gates.find((gate) => gate.gate === 'acceptance_criteria_defined');
  expect(first?.outcome).toBe('error');
  expect(record.bundle).not.toBeNull();
  const events = await fleet.store.readEvents(plan.runId, 0);
  expect(events.filter((event) => event.type === 'rework.requested')).toHaveLength(1);
});

test('the limit of rework is a block, never a release, and nothing is handed on', async () => {
  let rounds = 0;
  const fleet = await startFleetOf(testRedis(), async (tree) => {
    rounds += 1;
    await writeFile(join(tree, `attempt-${rounds}.md`), 'nothing of use\n');
  });
  const plan = await fleet.start({ rework: 1 }, true);
  await fleet.ended(plan);
  const record = await fleet.phaseOf(plan);
  expect(rounds).toBe(2);
  expect(record).toMatchObject({ status: 'blocked', commit: null, bundle: null });
  expect(record.reason).toContain('documentation_completeness');
  expect((await fleet.store.getRun(plan.runId)).status).toBe('blocked');
});

test('a person approves: the phase waits without a worker, then passes', async () => {
  const fleet = await startFleetOf(testRedis(), writeGood);
  const plan = await fleet.start({}, false);
  await expect.poll(async () => (await fleet.phaseOf(plan)).status, { timeout: 30_000 }).toBe('awaiting_approval');
  expect((await fleet.store.getRun(plan.runId)).status).toBe('awaiting_approval');
  const decision = { phase: 'requirements', by: 'Ada', decision: 'approved', note: '', simulated: false } as const;
  await expect(approvePhase(fleet.target, plan.runId, { ...decision, role: 'tech_lead' })).rejects.toThrow(
    /does not ask/,
  );
  await approvePhase(fleet.target, plan.runId, { ...decision, role: 'stakeholder' });
  await fleet.ended(plan);
  const { status, rounds } = await fleet.phaseOf(plan);
  expect(['passed', 'passed_with_warnings']).toContain(status);
  const gate = rounds.at(-1)?.verdict.gates.find(({ gate: name }) => name === 'stakeholder_approved');
  expect(gate?.values['stakeholder_approval']).toEqual({ value: 1, source: 'approval', simulated: false });
});

test('a person refuses: the phase goes back, and is asked about again', async () => {
  const fleet = await startFleetOf(testRedis(), async (tree, round) => {
    await writeGood(tree, round, 'noop', 'requirements');
    await writeFile(join(tree, 'docs/round.md'), `round ${round}\n`);
  });
  const plan = await fleet.start({ rework: 1 }, false);
  const decide = async (round: number, decision: 'approved' | 'rejected'): Promise<void> => {
    await expect
      .poll(
        async () => {
          const { status, round: now } = await fleet.phaseOf(plan);
          return `${status} ${now}`;
        },
        { timeout: 30_000 },
      )
      .toBe(`awaiting_approval ${round}`);
    await approvePhase(fleet.target, plan.runId, {
      phase: 'requirements',
      role: 'stakeholder',
      by: 'Ada',
      decision,
      note: 'see above',
      simulated: false,
    });
  };
  await decide(0, 'rejected');
  await decide(1, 'approved');
  await fleet.ended(plan);
  const { rounds } = await fleet.phaseOf(plan);
  expect(
    rounds.map(({ verdict }) => verdict.gates.find(({ gate }) => gate === 'stakeholder_approved')?.outcome),
  ).toEqual(['failed', 'passed']);
});

test('two personas that change the same file differently are a block that names both', async () => {
  const fleet = await startFleetOf(testRedis(), async (tree, round, persona) => {
    await writeGood(tree, round, persona, 'requirements');
    await writeFile(
      join(tree, 'docs/requirements/prd.md'),
      `${await readFile(join(GOOD, 'requirements/prd.md'), 'utf8')}\nBy ${persona}.\n`,
    );
  });
  const plan = await fleet.start({ personas: ['noop', 'other'] }, true);
  await fleet.ended(plan);
  const { status, reason, rounds } = await fleet.phaseOf(plan);
  expect(status).toBe('blocked');
  expect(rounds.at(-1)?.verdict.errors).toContainEqual(expect.objectContaining({ metric: 'merge_conflict' }));
  expect(JSON.stringify(rounds.at(-1)?.verdict.errors)).toMatch(/requirements\/noop and requirements\/other/);
  expect(reason).not.toBe('');
});

test('phases that changed the same file differently are for the next one to resolve, and block until it has', async () => {
  let received = '';
  const fleet = await startFleetOf(testRedis(), async (tree, round, _persona, phase) => {
    const prd = join(tree, 'docs/requirements/prd.md');
    if (phase === 'left' || phase === 'right') {
      await writeGood(tree, round, 'noop', phase);
      await writeFile(prd, `${await readFile(join(GOOD, 'requirements/prd.md'), 'utf8')}\nBy ${phase}.\n`);
      return;
    }
    const text = await readFile(prd, 'utf8');
    if (round === 0) received = text;
    await writeFile(join(tree, `docs/round-${round}.md`), 'looked at it\n');
    if (round > 0) await writeFile(prd, text.replaceAll(/^(<{7}|={7}|>{7}).*\n/gm, ''));
  });
  const open = { policy: null, approvalRoles: [] };
  const plan = await fleet.start({ rework: 1 }, true, {
    left: open,
    right: open,
    requirements: { needs: ['left', 'right'] },
  });
  await fleet.ended(plan);
  const { rounds } = await fleet.phaseOf(plan);
  expect(received).toMatch(/^<{7} [^]*By left[^]*By right[^]*^>{7} /m);
  expect(rounds[0]?.verdict.errors).toContainEqual({
    metric: 'merge_conflict',
    reason: 'docs/requirements/prd.md still holds conflict markers: resolve them',
  });
  expect(rounds.map(({ verdict }) => verdict.verdict === 'blocked')).toEqual([true, false]);
});

test('a phase without a policy is not gated, and that is said instead of passed', async () => {
  const fleet = await startFleetOf(testRedis(), writeGood);
  const plan = await fleet.start({ policy: null, approvalRoles: [] }, true);
  await fleet.ended(plan);
  expect((await fleet.phaseOf(plan)).status).toBe('not_gated');
  expect(await fleet.store.getRun(plan.runId)).toMatchObject({
    status: 'passed_with_warnings',
    reason: 'not gated: requirements',
  });
});
