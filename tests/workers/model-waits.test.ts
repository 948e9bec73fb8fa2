import { expect, onTestFinished, test } from 'vitest';
import { readPolicies } from '../../src/producer/definitions-builder.ts';
import { enqueueRun } from '../../src/producer/enqueue.ts';
import { putJson } from '../../src/shared/blob-store.ts';
import { packagePath } from '../../src/shared/package-root.ts';
import { TERMINAL_RUN } from '../../src/shared/run-record.ts';
import { startFleet } from '../../src/workers/fleet.ts';
import { Script } from '../../src/workers/scripted/script-schema.ts';
import { startScriptedProvider } from '../../src/workers/scripted/server.ts';
import { noopContext, noopPlan } from '../support/noop-handlers.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { testRedis } from '../support/test-redis.ts';
import { HAND_OFF } from './agent-support.ts';

test('a job that waits long for its model is parked in its first attempt, goes on where it was, and the log says why', async () => {
  const turns = [
    { tools: [{ tool: 'write_file', input: { path: 'docs/a.md', content: 'a' } }] },
    { tools: [HAND_OFF] },
  ];
  const jobs = [{ phase: 'a', persona: 'noop', turns }];
  const server = await startScriptedProvider({
    scripts: [Script.parse({ workflow: 'noop', jobs })],
    // The second call: one turn of the conversation is paid for.
    interfere: ({ nth }) =>
      nth === 1 ? { fault: { status: 429, type: 'rate_limit_error', retry_after_s: 6 } } : undefined,
  });
  onTestFinished(() => server.close());
  const at = testRedis();
  const redis = await at.connect();
  const plain = noopContext({ redis, redisUrl: at.url, prefix: at.prefix, home: await tempFolder() });
  const ctx = {
    ...plain,
    config: { ...plain.config, scriptedUrl: server.url },
    models: { ...plain.models, parkAfter: '1s' },
  };
  const persona = {
    apiVersion: 'maestro/v1',
    name: 'noop',
    role: 'Nobody',
    tools: ['write_file'],
    prompt: 'A persona of the tests, whose model is busy.',
  };
  const definitions = await putJson(ctx.blobs, {
    schemaVersion: 1,
    workflow: { apiVersion: 'maestro/v1', name: 'noop', phases: { a: { persona: 'noop' } } },
    personas: { noop: persona },
    policies: await readPolicies(packagePath('policies')),
    models: {},
  });
  const plan = { ...noopPlan({ a: [] }, { attempts: 1, rework: 0 }), definitions };
  const fleet = await startFleet(ctx, { personas: ['noop'], gates: true, concurrency: 1 });
  onTestFinished(() => fleet.close(2_000));
  const { store } = ctx;
  await enqueueRun({ redis, prefix: at.prefix, store }, plan);
  await expect
    .poll(async () => TERMINAL_RUN.includes((await store.getRun(plan.runId)).status), { timeout: 40_000 })
    .toBe(true);
  const phase = await store.getPhase(plan.runId, 'a');
  const events = await store.readEvents(plan.runId, 0);
  expect(phase.faults).toBe(0);
  expect(events.filter((event) => event.type === 'persona.done')).toHaveLength(1);
  expect(events.filter((event) => event.type === 'persona.turn').map(({ turn }) => turn)).toEqual([1, 2]);
  for (const turn of events.filter((event) => event.type === 'persona.turn')) {
    expect(turn).toMatchObject({ model: 'scripted-1', stopReason: 'tool_use' });
    expect(turn.waitedMs).toBeLessThan(5_000);
    const spent = (turn.waitedMs ?? Number.NaN) + (turn.modelMs ?? Number.NaN) + (turn.toolMs ?? Number.NaN);
    // Clocks of different fineness: what was spent lies between its beginning and its end.
    expect(spent).toBeLessThanOrEqual(Date.parse(turn.at) - Date.parse(turn.startedAt ?? '') + 5);
  }
  const marks = events.map(({ type }) => type).filter((type) => /^(gates|gate|persona.done)/.test(type));
  expect(marks).toEqual(['persona.done', 'gates.started', 'gate.verdict']);
  const [wait] = events.filter((event) => event.type === 'model.waiting');
  expect(wait).toMatchObject({ phase: 'a', persona: 'noop', kind: 'work', parked: true });
  expect(wait?.reason).toContain('the provider asked to wait');
  const [, refused, next, ...more] = server.arrivals.map((arrival) => arrival.at);
  expect((next ?? 0) - (refused ?? 0)).toBeGreaterThanOrEqual(6_000);
  expect(more).toEqual([]);
}, 60_000);
