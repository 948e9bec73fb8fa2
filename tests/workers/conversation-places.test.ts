import { expect, onTestFinished, test } from 'vitest';
import { readPolicies } from '../../src/producer/definitions-builder.ts';
import { enqueueRun } from '../../src/producer/enqueue.ts';
import { putJson } from '../../src/shared/blob-store.ts';
import { packagePath } from '../../src/shared/package-root.ts';
import { startFleet } from '../../src/workers/fleet.ts';
import { Script } from '../../src/workers/scripted/script-schema.ts';
import { startScriptedProvider } from '../../src/workers/scripted/server.ts';
import { noopContext, noopPlan } from '../support/noop-handlers.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { testRedis } from '../support/test-redis.ts';

const PERSONAS = ['first', 'second', 'third'];

/** A run of independent phases, by the persona of each; every conversation is one call that takes `callMs`. */
async function independent(phases: Readonly<Record<string, string>>, callMs: number) {
  const tools = [
    { tool: 'write_file', input: { path: 'a.txt', content: 'a' } },
    { tool: 'hand_off', input: { summary: 'written' } },
  ];
  const jobs = Object.entries(phases).map(([phase, persona]) => ({
    phase,
    persona,
    turns: [{ tools, delay_ms: callMs }],
  }));
  const server = await startScriptedProvider({ scripts: [Script.parse({ workflow: 'noop', jobs })] });
  onTestFinished(() => server.close());
  const at = testRedis();
  const redis = await at.connect();
  const plain = noopContext({ redis, redisUrl: at.url, prefix: at.prefix, home: await tempFolder() });
  const ctx = { ...plain, config: { ...plain.config, scriptedUrl: server.url } };
  const persona = (name: string) => ({
    apiVersion: 'maestro/v1',
    name,
    role: 'Nobody',
    tools: ['write_file'],
    prompt: 'A persona of the tests, that does what a script says.',
  });
  const definitions = await putJson(ctx.blobs, {
    schemaVersion: 1,
    workflow: { apiVersion: 'maestro/v1', name: 'noop', phases: { a: { persona: 'first' } } },
    personas: Object.fromEntries(PERSONAS.map((name) => [name, persona(name)])),
    policies: await readPolicies(packagePath('policies')),
    models: {},
  });
  const shape = Object.fromEntries(Object.keys(phases).map((phase) => [phase, []]));
  const of = { phase: (name: string) => ({ personas: [phases[name] ?? ''] }) };
  const plan = { ...noopPlan(shape, { attempts: 1 }, of), definitions };
  return {
    ctx,
    worker: async (maxConversations: number) => {
      const fleet = await startFleet(ctx, { personas: PERSONAS, gates: true, concurrency: 2, maxConversations });
      onTestFinished(() => fleet.close(2_000));
      return fleet;
    },
    /** Plays the run, and tells when its calls came, in milliseconds, oldest first. */
    play: async (): Promise<number[]> => {
      await enqueueRun({ redis, prefix: at.prefix, store: ctx.store }, plan);
      const { runId } = plan;
      await expect
        .poll(async () => (await ctx.store.getRun(runId)).status, { timeout: 60_000 })
        .toBe('passed_with_warnings');
      for (const phase of await ctx.store.getPhases(runId))
        expect(phase).toMatchObject({ status: 'not_gated', faults: 0, usage: { calls: 1 } });
      return server.arrivals.map(({ at: came }) => came).toSorted((a, b) => a - b);
    },
  };
}

const CALL_MS = 600;

test('a process holds no more conversations than it may, over all personas, and every one of them gets its turn', async () => {
  const phases = { a: 'first', b: 'first', c: 'first', d: 'second', e: 'second', f: 'third' };
  const { worker, play } = await independent(phases, CALL_MS);
  const fleet = await worker(2);
  let most = 0;
  const watch = setInterval(() => (most = Math.max(most, fleet.load().conversations)), 5);
  const came = await play();
  clearInterval(watch);
  expect(came).toHaveLength(6);
  // A call takes its time from when it came, so the next but one cannot have come before it ended.
  for (const [index, time] of came.slice(2).entries())
    expect(time - (came[index] ?? 0)).toBeGreaterThanOrEqual(CALL_MS);
  expect(most).toBe(2);
  expect(fleet.load()).toMatchObject({ conversations: 0, maxConversations: 2, failed: 0 });
}, 90_000);

test('what a full process cannot hold is taken by another one at once', async () => {
  const callMs = 4_000;
  const { worker, play } = await independent({ a: 'first', b: 'second', c: 'third' }, callMs);
  const [small, large] = [await worker(1), await worker(2)];
  const peaks = { small: 0, large: 0 };
  const watch = setInterval(() => {
    peaks.small = Math.max(peaks.small, small.load().conversations);
    peaks.large = Math.max(peaks.large, large.load().conversations);
  }, 5);
  const came = await play();
  clearInterval(watch);
  expect(came).toHaveLength(3);
  expect((came[2] ?? Infinity) - (came[0] ?? 0)).toBeLessThan(callMs);
  expect(peaks).toEqual({ small: 1, large: 2 });
}, 90_000);
