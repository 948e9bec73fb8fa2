import { afterEach, expect } from 'vitest';
import { readPolicies } from '../../src/producer/definitions-builder.ts';
import { enqueueRun } from '../../src/producer/enqueue.ts';
import { putJson } from '../../src/shared/blob-store.ts';
import { readConfig } from '../../src/shared/config.ts';
import type { GivenFiles, PolicySource } from '../../src/shared/definitions.ts';
import { storeGivenFiles } from '../../src/shared/given-files.ts';
import { silentLogger } from '../../src/shared/logger.ts';
import { openBlobStore } from '../../src/shared/open-blob-store.ts';
import { packagePath } from '../../src/shared/package-root.ts';
import { NO_USAGE, type PlannedPhase, RunPlan, TERMINAL_RUN } from '../../src/shared/run-record.ts';
import { RunStore } from '../../src/shared/run-store.ts';
import { openSandbox } from '../../src/shared/sandbox/open-sandbox.ts';
import { openWorkspace } from '../../src/shared/workspace.ts';
import { beginPhase } from '../../src/workers/begin-phase.ts';
import { type Fleet, startFleet } from '../../src/workers/fleet.ts';
import { closePhase } from '../../src/workers/gate-job.ts';
import { neededSources } from '../../src/workers/needed-sources.ts';
import { DefinitionsCache } from '../../src/workers/worker-context.ts';
import { noopPlan } from './noop-fleet.ts';
import { tempFolder } from './temp-folder.ts';
import type { TestRedis } from './test-redis.ts';

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
export type Work = (tree: string, round: number, persona: string, phase: string) => Promise<void>;

const fleets: Fleet[] = [];
afterEach(async () => {
  for (const fleet of fleets.splice(0)) await fleet.close(5_000);
});

/** Real gate jobs, collectors, sandbox and blobs; only the persona's conversation is left out: `work` writes its files. */
export async function startFleetOf(at: TestRedis, work: Work) {
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
    { personas: ['noop', 'other', 'third'], gates: true, concurrency: 4 },
    {
      gate: closePhase,
      persona: async (worker, attempt) => {
        const { data } = attempt;
        const plan = await store.getPlan(data.runId);
        const phase = plan.phases.find((planned) => planned.name === data.phase);
        if (phase === undefined) throw new Error('no such phase');
        if ((await beginPhase(worker, attempt, plan, phase)) === 'skipped') return null;
        const dir = await tempFolder();
        const sources =
          data.base === null ? await neededSources(store, data.runId, phase) : [{ label: phase.name, ...data.base }];
        const { workspace } = await openWorkspace({ dir, blobs, sources, onConflict: 'mark' });
        await work(workspace.dir, data.round, data.persona, data.phase);
        const author = { name: data.persona, email: `${data.persona}@example.invalid` };
        await workspace.commitAll({
          message: `round ${data.round}`,
          trailers: { Persona: data.persona },
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
    /** Other policies than the shipped ones, and what is handed in with the run. */
    { policies, given = {} }: { policies?: readonly PolicySource[]; given?: GivenFiles } = {},
  ): Promise<RunPlan> => {
    const workflow = {
      apiVersion: 'maestro/v1',
      name: 'noop',
      inputs: {},
      defaults: {},
      phases: { requirements: { persona: 'noop' } },
    };
    const definitions = await putJson(blobs, {
      schemaVersion: 1,
      workflow,
      personas: {},
      policies: policies ?? (await readPolicies(packagePath('policies'))),
      models: {},
      ...(await storeGivenFiles(blobs, given)),
    });
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
  return { store, redis, blobs, start, phaseOf, ended, target: { redis, prefix: at.prefix, store } };
}
