import { onTestFinished } from 'vitest';
import { readPolicies } from '../../src/producer/definitions-builder.ts';
import { enqueueRun } from '../../src/producer/enqueue.ts';
import { putJson } from '../../src/shared/blob-store.ts';
import { PersonaJob } from '../../src/shared/jobs.ts';
import { jobIds, personaQueue } from '../../src/shared/names.ts';
import { packagePath } from '../../src/shared/package-root.ts';
import type { RunPlan } from '../../src/shared/run-record.ts';
import { Script } from '../../src/workers/scripted/script-schema.ts';
import { startScriptedProvider } from '../../src/workers/scripted/server.ts';
import { looksReal } from './real-looking.ts';
import { noopContext, noopPlan } from './noop-handlers.ts';
import { tempFolder } from './temp-folder.ts';
import type { TestRedis } from './test-redis.ts';

/** A run of one phase, `a`, with one real persona, `noop`, that a script speaks for. Nobody works on it yet. */
export async function personaRun(
  at: TestRedis,
  of: {
    turns: readonly unknown[];
    kind?: PersonaJob['kind'];
    tools: readonly string[];
    plan?: Parameters<typeof noopPlan>[1];
    models?: object;
    latencyMs?: number;
    /** It is a run of the provider `anthropic`, whose endpoint the stand-in is then. */
    isPaid?: boolean;
  },
) {
  const jobs = [{ phase: 'a', persona: 'noop', kind: of.kind ?? 'work', turns: of.turns }];
  const scripts = [Script.parse({ workflow: 'noop', jobs })];
  const server = await startScriptedProvider({ scripts, latencyMs: of.latencyMs ?? 0 });
  onTestFinished(() => server.close());
  const endpoint = of.isPaid === true ? await looksReal(server.url) : server.url;
  const anthropic = { apiKey: 'a-key-for-tests', authToken: undefined, baseUrl: endpoint };
  const redis = await at.connect();
  const home = await tempFolder();
  const plain = noopContext({ redis, redisUrl: at.url, prefix: at.prefix, home });
  const ctx = {
    ...plain,
    config: { ...plain.config, ...(of.isPaid === true ? { anthropic } : { scriptedUrl: endpoint }) },
    models: { ...plain.models, ...of.models },
  };
  const persona = {
    apiVersion: 'maestro/v1',
    name: 'noop',
    role: 'Nobody',
    tools: of.tools,
    prompt: 'A persona of the tests, that does what a script says.',
  };
  const definitions = await putJson(ctx.blobs, {
    schemaVersion: 1,
    workflow: { apiVersion: 'maestro/v1', name: 'noop', phases: { a: { persona: 'noop' } } },
    personas: { noop: persona },
    policies: await readPolicies(packagePath('policies')),
    models: {},
  });
  const paid = of.isPaid === true ? { provider: 'anthropic' as const, scripted: null } : {};
  const plan: RunPlan = { ...noopPlan({ a: [] }, { attempts: 2, rework: 0, ...of.plan }), ...paid, definitions };
  await enqueueRun({ redis, prefix: at.prefix, store: ctx.store }, plan);
  return { ctx, plan, server, home, endpoint };
}

/** The job of that persona in round 0. */
export const personaData = ({ runId }: RunPlan): PersonaJob =>
  PersonaJob.parse({
    schemaVersion: 1,
    runId,
    generation: 0,
    simulated: true,
    phase: 'a',
    persona: 'noop',
    kind: 'work',
    round: 0,
    metrics: [],
    base: null,
    evidence: null,
  });

/** The fence of an attempt that is called by its token; the lock has to be set. */
export const personaFence = (prefix: string, { runId }: RunPlan, token: string) => ({
  lockKey: `${prefix}:${personaQueue('noop')}:${jobIds.work({ runId, generation: 0 }, 'a', 'noop', 0)}:lock`,
  token,
  generation: 0,
});
