import { expect, onTestFinished } from 'vitest';
import { z } from 'zod';
import { readPolicies } from '../../src/producer/definitions-builder.ts';
import { enqueueRun } from '../../src/producer/enqueue.ts';
import { getJson, putJson } from '../../src/shared/blob-store.ts';
import type { Config } from '../../src/shared/config.ts';
import { packagePath } from '../../src/shared/package-root.ts';
import { TERMINAL_RUN } from '../../src/shared/run-record.ts';
import type { Sandbox } from '../../src/shared/sandbox/sandbox.ts';
import { startFleet } from '../../src/workers/fleet.ts';
import { Script } from '../../src/workers/scripted/script-schema.ts';
import { startScriptedProvider } from '../../src/workers/scripted/server.ts';
import { noopContext, noopPlan } from './noop-handlers.ts';
import { tempFolder } from './temp-folder.ts';
import { testRedis } from './test-redis.ts';

/** One phase whose persona plays these turns, over real queues against the stand-in of the model. */
export async function scriptedPersona(
  turns: readonly unknown[],
  of: {
    approvals?: boolean;
    tools?: string[];
    roles?: string[];
    /** More of its file. */
    persona?: object;
    config?: Partial<Config>;
    sandbox?: Sandbox;
  } = {},
) {
  const server = await startScriptedProvider({
    scripts: [Script.parse({ workflow: 'noop', jobs: [{ phase: 'a', persona: 'noop', turns }] })],
  });
  onTestFinished(() => server.close());
  const at = testRedis();
  const redis = await at.connect();
  const plain = noopContext({ redis, redisUrl: at.url, prefix: at.prefix, home: await tempFolder() });
  const config = { ...plain.config, scriptedUrl: server.url, ...of.config };
  const ctx = { ...plain, config, ...(of.sandbox === undefined ? {} : { sandbox: of.sandbox }) };
  const persona = {
    apiVersion: 'maestro/v1',
    name: 'noop',
    role: 'Nobody',
    tools: of.tools ?? ['write_file', 'ask_human'],
    prompt: 'A persona of the tests, which asks what it may not decide.',
    ...of.persona,
  };
  const definitions = await putJson(ctx.blobs, {
    schemaVersion: 1,
    workflow: { apiVersion: 'maestro/v1', name: 'noop', phases: { a: { persona: 'noop' } } },
    personas: { noop: persona },
    policies: await readPolicies(packagePath('policies')),
    models: {},
  });
  const plan = {
    ...noopPlan({ a: [] }, { attempts: 1, rework: 0, approvalRoles: of.roles ?? [] }),
    definitions,
    scripted: { scenario: 'main', approvals: of.approvals ?? false },
  };
  const { store } = ctx;
  const target = { redis, prefix: at.prefix, store };
  const open = () => startFleet(ctx, { personas: ['noop'], gates: true, concurrency: 1 });
  const fleet = await open();
  onTestFinished(() => fleet.close(2_000));
  await enqueueRun(target, plan);
  const { runId } = plan;
  return {
    server,
    ctx,
    target,
    runId,
    fleet,
    open,
    waits: async () => {
      await expect.poll(async () => (await store.getRun(runId)).status, { timeout: 20_000 }).toBe('awaiting_approval');
      const questions = await store.getQuestions(runId);
      const queue = `${at.prefix}:persona.noop`;
      // Parked: no worker holds it.
      await expect.poll(() => redis.llen(`${queue}:active`)).toBe(0);
      return questions;
    },
    ended: async () => {
      await expect
        .poll(async () => TERMINAL_RUN.includes((await store.getRun(runId)).status), { timeout: 30_000 })
        .toBe(true);
      const phase = await store.getPhase(runId, 'a');
      const events = await store.readEvents(runId, 0);
      const ref = phase.transcripts['noop.work.r0'];
      const transcript = ref === undefined ? '' : JSON.stringify(await getJson(ctx.blobs, ref, z.unknown()));
      return { run: await store.getRun(runId), phase, events, transcript };
    },
  };
}
