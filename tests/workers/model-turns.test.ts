import { describe, expect, onTestFinished, test } from 'vitest';
import { FleetError } from '../../src/shared/errors.ts';
import { silentLogger } from '../../src/shared/logger.ts';
import type { RateLimits } from '../../src/shared/model-config.ts';
import { readModelLimits } from '../../src/shared/model-limits.ts';
import type { Redis } from '../../src/shared/redis.ts';
import { lastCall } from '../../src/workers/agent/call-in-turn.ts';
import { type AgentCheckpoint, newCheckpoint } from '../../src/workers/agent/checkpoint.ts';
import { ModelTurns, type TurnWait } from '../../src/workers/models/model-turns.ts';
import { Parked } from '../../src/workers/parking.ts';
import { Script } from '../../src/workers/scripted/script-schema.ts';
import { type Interference, type ScriptedProvider, startScriptedProvider } from '../../src/workers/scripted/server.ts';
import { childModule } from '../support/child-module.ts';
import { testRedis } from '../support/test-redis.ts';
import { HAND_OFF, providerAt, runWith } from './agent-support.ts';

const SCRIPT = Script.parse({
  workflow: 'demo',
  jobs: [{ phase: 'backend', persona: 'backend_developer', turns: [{ tools: [HAND_OFF] }] }],
});

/** A stand-in where every job is one call, and what happens to each is told by the test. */
async function provider(
  interfere: (nth: number) => Interference | undefined,
  latencyMs = 0,
): Promise<ScriptedProvider> {
  const server = await startScriptedProvider({
    scripts: [SCRIPT],
    latencyMs,
    interfere: ({ nth }) => interfere(nth),
  });
  onTestFinished(() => server.close());
  return server;
}

interface Worker {
  turns: ModelTurns;
  waits: TurnWait[];
  redis: Redis;
}

/** The turns as one worker process takes them: its own connection, and nothing shared but Redis. */
async function worker(
  of: ReturnType<typeof testRedis>,
  { limits = {}, parkAfterMs = 60_000 }: { limits?: RateLimits; parkAfterMs?: number } = {},
): Promise<Worker> {
  const redis = await of.connect();
  const waits: TurnWait[] = [];
  const turns = new ModelTurns({
    redis,
    prefix: of.prefix,
    limitsOf: () => limits,
    parkAfterMs,
    logger: silentLogger(),
    onWait: async (wait) => void waits.push(wait),
    isDue: () => Promise.resolve(false),
  });
  return { turns, waits, redis };
}

let jobs = 0;
const work = (server: ScriptedProvider, by: Worker, overrides: Parameters<typeof runWith>[1] = {}) =>
  runWith(server.url, { turns: by.turns, jobId: `job-${(jobs += 1)}`, ...overrides });

const times = (count: number): number[] => Array.from({ length: count }, (_, index) => index);
/** For a machine that has much else to do. */
const LONG = { timeout: 15_000 };
const LIMITED = { status: 429, type: 'rate_limit_error' };

test('a 429 with retry-after pauses the model for every worker, and none of them sends a call before it lifts', async () => {
  const of = testRedis();
  const [one, two] = [await worker(of), await worker(of)];
  const server = await provider((nth) => (nth === 0 ? { fault: { ...LIMITED, retry_after_s: 2 } } : undefined), 400);
  const first = work(server, one);
  await expect.poll(async () => (await readModelLimits(one.redis, of.prefix)).models[0]?.pauses).toBe(1);
  const paused = (await readModelLimits(one.redis, of.prefix)).models[0];
  expect(paused).toMatchObject({ model: 'claude-sonnet-5-5', callsUnderWay: 0, callsAllowed: 2 });
  expect(paused?.pausedForMs).toBeGreaterThan(1_000);
  const others = times(40).map((index) => work(server, index % 2 === 0 ? one : two));
  const results = await Promise.all([first, ...others]);

  const at = server.arrivals.map((arrival) => arrival.at);
  const refused = at[0] ?? 0;
  expect(at).toHaveLength(42);
  expect(at.slice(1).filter((time) => time - refused < 2_000)).toEqual([]);
  // No herd: the first moment after the pause sees the probes, and the rest follows as they are answered.
  const after = at.slice(1).map((time) => time - (at[1] ?? 0));
  expect((at[1] ?? 0) - refused).toBeGreaterThanOrEqual(2_000);
  expect(after.filter((ms) => ms < 350).length).toBeLessThanOrEqual(2);
  expect(after.filter((ms) => ms < 750).length).toBeLessThanOrEqual(6);
  // The conversation that was refused went on in the same attempt.
  expect(results[0].calls.map(({ outcome, attempt }) => [outcome, attempt])).toEqual([
    ['failed', 1],
    ['answered', 1],
  ]);
  expect([...one.waits, ...two.waits].some((wait) => wait.cause === 'paused' && wait.detail.includes('429'))).toBe(
    true,
  );
});

test.each([
  ['retry-after-ms', () => '1200'],
  ['retry-after', () => new Date(Date.now() + 2_500).toUTCString()],
])('a 529 with %s is waited for as long as it says', async (name, value) => {
  const of = testRedis();
  const by = await worker(of);
  const overloaded = () => ({ fault: { status: 529, type: 'overloaded_error', headers: { [name]: value() } } });
  const server = await provider((nth) => (nth === 0 ? overloaded() : undefined));
  await work(server, by);
  const [first = 0, second = 0] = server.arrivals.map(({ at }) => at);
  expect(second - first).toBeGreaterThanOrEqual(1_000);
});

test('without a word how long, each refusal in a row is waited for twice as long, at no attempt', async () => {
  const of = testRedis();
  const by = await worker(of);
  const server = await provider((nth) => (nth < 2 ? { fault: LIMITED } : undefined));
  const { calls } = await work(server, by);
  const [first = 0, second = 0, third = 0] = server.arrivals.map(({ at }) => at);
  expect(second - first).toBeGreaterThanOrEqual(1_000);
  expect(third - second).toBeGreaterThanOrEqual(2_000);
  expect(calls.map((call) => call.attempt)).toEqual([1, 1, 1]);
});

test('another model at the same endpoint is called while one is paused', async () => {
  const of = testRedis();
  const by = await worker(of);
  const server = await provider((nth) => (nth === 0 ? { fault: { ...LIMITED, retry_after_s: 30 } } : undefined));
  const stop = new AbortController();
  const waiting = work(server, by, { signal: stop.signal });
  await expect.poll(() => by.waits.length).toBe(1);
  await work(server, by, { model: 'claude-haiku-5-5' });
  expect(server.arrivals.map(({ model }) => model)).toEqual(['claude-sonnet-5-5', 'claude-haiku-5-5']);
  const standing = (await readModelLimits(by.redis, of.prefix)).models.find(({ waiting: here }) => here > 0);
  expect(standing).toMatchObject({ model: 'claude-sonnet-5-5', waiting: 1 });
  stop.abort();
  await expect(waiting).rejects.toMatchObject({ code: 'CANCELLED' });
  expect((await readModelLimits(by.redis, of.prefix)).models.every(({ waiting: here }) => here === 0)).toBe(true);
});

describe('a conversation that may go to a fallback', () => {
  const fallbackAt = (server: ScriptedProvider) => ({
    fallback: { model: 'claude-haiku-5-5', provider: providerAt(server.url), price: null },
  });

  test('does so when its model told another that it is overloaded, and says what the model said', async () => {
    const by = await worker(testRedis());
    const fault = { status: 529, type: 'overloaded_error', retry_after_s: 60 };
    const server = await provider((nth) => (nth === 0 ? { fault } : undefined));
    const stop = new AbortController();
    const waiting = work(server, by, { signal: stop.signal });
    await expect.poll(() => by.waits.length).toBe(1);
    const notes: string[] = [];
    const { calls } = await work(server, by, {
      ...fallbackAt(server),
      onNote: (note) => void notes.push(JSON.stringify(note)),
    });
    expect(server.arrivals.map(({ model }) => model)).toEqual(['claude-sonnet-5-5', 'claude-haiku-5-5']);
    expect(calls).toMatchObject([{ outcome: 'answered', fallbackFrom: 'claude-sonnet-5-5' }]);
    expect(notes).toHaveLength(1);
    expect(notes[0]).toMatch(/"type":"fallback","turn":1,.*"reason":".*529 overloaded_error/);
    // One with too small a window waits as if there were none.
    const { fallback } = fallbackAt(server);
    const small = work(server, by, { fallback: { ...fallback, contextTokens: 1_000 }, signal: stop.signal });
    await expect.poll(() => by.waits, LONG).toHaveLength(2);
    stop.abort();
    for (const ended of [waiting, small]) await expect(ended).rejects.toMatchObject({ code: 'CANCELLED' });
  });

  test('waits for a limit of requests like all others', async () => {
    const by = await worker(testRedis());
    const server = await provider((nth) => (nth === 0 ? { fault: { ...LIMITED, retry_after_s: 60 } } : undefined));
    const stop = new AbortController();
    const both = [];
    for (const cause of ['paused', 'paused']) {
      both.push(work(server, by, { ...fallbackAt(server), signal: stop.signal }));
      await expect.poll(() => by.waits[both.length - 1]?.cause, LONG).toBe(cause);
    }
    stop.abort();
    for (const ended of both) await expect(ended).rejects.toMatchObject({ code: 'CANCELLED' });
    expect(server.arrivals).toHaveLength(1);
  });
});

/** Keeps the conversation in memory, as a worker would for the next one. */
function keptBy(kept: { last?: AgentCheckpoint }) {
  const { last } = kept;
  return {
    load: () =>
      Promise.resolve(last === undefined ? { state: 'none' as const } : { state: 'saved' as const, checkpoint: last }),
    restore: () => Promise.resolve(undefined),
    startOver: () => Promise.reject(new Error('it could have been gone on with')),
    save: (state: AgentCheckpoint) => Promise.resolve(void (kept.last = structuredClone(state))),
  };
}

describe('an endpoint that does not answer', () => {
  const down = () => ({ fault: { status: 503, type: 'api_error' } });

  test('is asked again later, by whichever worker then holds the conversation, as the same attempt', async () => {
    const of = testRedis();
    const [first, second] = [await worker(of, { parkAfterMs: 900 }), await worker(of)];
    const server = await provider((nth) => (nth === 0 ? down() : nth === 1 ? { cut: true } : undefined));
    const kept: { last?: AgentCheckpoint } = {};
    const talk = (by: Worker) =>
      work(server, by, { jobId: 'job-of-both', outageLimitMs: 60_000, checkpoint: keptBy(kept) });
    await expect(talk(first)).rejects.toBeInstanceOf(Parked);
    expect(first.waits).toMatchObject([{ cause: 'breaker', parks: true }]);
    expect(first.waits[0]?.detail).toContain('503');
    const { calls } = await talk(second);
    expect(calls.map(({ outcome, attempt }) => `${outcome} ${attempt}`)).toEqual([
      'failed 1',
      'failed 1',
      'answered 1',
    ]);
    const [a = 0, b = 0, c = 0] = server.arrivals.map(({ at }) => at);
    expect(b - a).toBeGreaterThanOrEqual(1_000);
    expect(c - b).toBeGreaterThanOrEqual(2_000);
    expect(kept.last?.outage).toBeUndefined();
  });

  test('is given up after the time that was set, in one line, and no attempt follows', async () => {
    const by = await worker(testRedis());
    const server = await provider(down);
    const kept: { last?: AgentCheckpoint } = {};
    const ended: unknown = await work(server, by, { outageLimitMs: 900, checkpoint: keptBy(kept) }).catch(
      (err: unknown) => err,
    );
    expect(ended).toMatchObject({ code: 'MODEL_UNAVAILABLE', retry: false });
    expect(String(ended)).toMatch(
      /claude-sonnet-5-5 at 127\.0\.0\.1:\d+ did not answer for 0\.9 s \(calls .*: 2; the last said: .*503/,
    );
    expect(server.requests).toBe(2);
    // Whoever takes the run up again has all of the time again.
    expect(kept.last?.calls).toHaveLength(2);
    expect(kept.last?.outage).toBeUndefined();
  });

  test('is not waited for once the work is cancelled', async () => {
    const by = await worker(testRedis(), { parkAfterMs: 60_000 });
    const server = await provider(down);
    await server.close();
    const stop = new AbortController();
    const waiting = work(server, by, { outageLimitMs: 600_000, signal: stop.signal });
    await expect.poll(() => by.waits.length, LONG).toBeGreaterThan(0);
    expect(by.waits[0]?.detail).toContain('Connection error');
    stop.abort();
    await expect(waiting).rejects.toMatchObject({ code: 'CANCELLED' });
  });
});

test('a long wait gives the worker back, and the call keeps its place', async () => {
  const of = testRedis();
  const by = await worker(of, { parkAfterMs: 1_000 });
  const server = await provider((nth) => (nth === 0 ? { fault: { ...LIMITED, retry_after_s: 60 } } : undefined));
  const parked: unknown = await work(server, by).catch((err: unknown) => err);
  expect(parked).toBeInstanceOf(Parked);
  expect(String(parked)).toContain('the provider asked to wait');
  expect(parked instanceof Parked && parked.delayMs).toBeGreaterThan(59_000);
  expect(by.waits).toEqual([expect.objectContaining({ cause: 'paused', parks: true })]);
  expect((await readModelLimits(by.redis, of.prefix)).models[0]).toMatchObject({ waiting: 0, parked: 1 });
});

test('a budget of requests is kept by two worker processes together', async () => {
  const of = testRedis();
  const server = await provider(() => undefined);
  const program = `
    import { connectRedis } from '../../src/shared/redis.ts';
    import { ModelTurns } from '../../src/workers/models/model-turns.ts';
    const run = async () => {
      const redis = await connectRedis(${JSON.stringify(of.url)}, 'worker');
      const turns = new ModelTurns({
        redis, prefix: ${JSON.stringify(of.prefix)}, limitsOf: () => ({ requestsPerMinute: 20 }), parkAfterMs: 60000,
        logger: { warn() {} }, onWait: async () => {}, isDue: async () => false,
      });
      console.log('ready');
      for (let at = 0; ; at += 1) {
        const turn = await turns.enter({
          model: 'm', host: 'h', id: process.pid + '-' + at, inputTokens: 1, outputTokens: 1,
          signal: new AbortController().signal, mayPark: false, pausePoint: () => {},
        });
        await redis.rpush(${JSON.stringify(`${of.prefix}:entered`)}, process.pid);
        await turn.leave({ how: 'ok', usage: { calls: 1, inputTokens: 1, outputTokens: 1, cacheReadTokens: 0, cacheWriteTokens: 0, costUsd: 0 } });
      }
    };
    run();
  `;
  const redis = await of.connect();
  const started = Date.now();
  const children = await Promise.all([childModule(program), childModule(program)]);
  await expect.poll(() => redis.llen(`${of.prefix}:entered`), { timeout: 20_000 }).toBeGreaterThanOrEqual(23);
  const entered = await redis.lrange(`${of.prefix}:entered`, 0, -1);
  const allowed = 20 + ((Date.now() - started) / 60_000) * 20;
  expect(entered.length).toBeLessThanOrEqual(Math.ceil(allowed));
  expect(new Set(entered)).toEqual(new Set(children.map(({ pid }) => String(pid))));
  expect(server.requests).toBe(0);
}, 40_000);

test('budgets are learnt from the headers of one answer, and kept by workers that never saw it', async () => {
  const of = testRedis();
  const [one, two] = [await worker(of), await worker(of)];
  const headers = {
    'anthropic-ratelimit-requests-limit': '60',
    'anthropic-ratelimit-requests-remaining': '3',
    'anthropic-ratelimit-requests-reset': new Date(Date.now() + 57_000).toISOString(),
    'anthropic-ratelimit-input-tokens-limit': '500000',
    'anthropic-ratelimit-input-tokens-remaining': '499000',
  };
  const server = await provider((nth) => (nth === 0 ? { headers } : undefined));
  await work(server, one);
  expect((await readModelLimits(one.redis, of.prefix)).models[0]?.budgets).toMatchObject([
    { kind: 'requests', perMinute: 60, left: 3, source: 'learnt' },
    { kind: 'input', perMinute: 500_000, source: 'learnt' },
  ]);
  const from = Date.now();
  await Promise.all(times(6).map(() => work(server, two)));
  // Three at once, and then one a second.
  const after = server.arrivals.slice(1).map(({ at }) => at - from);
  expect(after.filter((ms) => ms < 700)).toHaveLength(3);
  expect(after.at(-1)).toBeGreaterThan(2_500);
});

test('what a call was feared to use and did not is given back to the budget of tokens', async () => {
  const of = testRedis();
  const by = await worker(of, { limits: { outputTokensPerMinute: 9_000 } });
  const server = await provider(() => undefined);
  // Each may use 4,000 tokens and uses a few: without giving back, the third would wait for half a minute.
  for (let count = 0; count < 4; count += 1) await work(server, by);
  expect(by.waits).toEqual([]);
  const [budget] = (await readModelLimits(by.redis, of.prefix)).models[0]?.budgets ?? [];
  expect(budget).toMatchObject({ kind: 'output', perMinute: 9_000, source: 'configured' });
  expect(budget?.left).toBeGreaterThan(8_500);
  expect(budget?.left).toBeLessThan(9_000);
});

test('a failed call leaves also when its conversation cannot be saved, or it would be counted as under way for ever', async () => {
  const of = testRedis();
  const one = await worker(of);
  const server = await provider(() => ({ fault: { status: 500, type: 'api_error' } }));
  const checkpoint = {
    load: () => Promise.resolve({ state: 'none' } as const),
    restore: () => Promise.resolve(undefined),
    startOver: () => Promise.resolve(),
    save: () => Promise.reject(new FleetError('STALE_ATTEMPT', 'another attempt holds the job')),
  };
  await expect(work(server, one, { checkpoint })).rejects.toMatchObject({ code: 'STALE_ATTEMPT' });
  const { models, endpoints } = await readModelLimits(one.redis, of.prefix);
  expect(models).toMatchObject([{ model: 'claude-sonnet-5-5', callsUnderWay: 0 }]);
  expect(endpoints).toMatchObject([{ failures: 1 }]);
});

test('a conversation that begins anew asks for its turn by its own length, whatever the one before had in the cache', async () => {
  const of = testRedis();
  const one = await worker(of);
  const server = await provider(() => undefined);
  const { calls } = await work(server, one);
  const cached = calls.map((call) => ({ ...call, usage: { ...call.usage, cacheReadTokens: 100_000 } }));
  const checkpoint = {
    load: () =>
      Promise.resolve({
        state: 'saved' as const,
        checkpoint: { ...newCheckpoint('another', 'Build it.'), turns: 1, calls: cached },
      }),
    restore: () => Promise.resolve(undefined),
    startOver: () => Promise.resolve(),
    save: () => Promise.resolve(),
  };
  const again = await work(server, one, { checkpoint });
  expect(again.resumed).toBe('discarded');
  expect(again.calls).toHaveLength(2);
});

test('a call that failed leaves it known how long the conversation is', async () => {
  const server = await provider(() => undefined);
  const { calls, transcript } = await runWith(server.url);
  const failed = calls.map((call) => ({ ...call, outcome: 'failed' as const }));
  expect(lastCall({ calls: [...calls, ...failed], messages: [...transcript] })).toBe(calls[0]);
  expect(lastCall({ calls: [...calls], messages: transcript.slice(0, 1) })).toBeUndefined();
});

test('failures in a row open the breaker for the fleet, one probe closes it, and the rest follows', async () => {
  const of = testRedis();
  const [one, two] = [await worker(of), await worker(of)];
  let isDown = true;
  const server = await provider((nth) => {
    if (!isDown) return undefined;
    return nth % 2 === 0 ? { cut: true } : { fault: { status: 500, type: 'api_error' } };
  }, 600);
  const endpoint = async () => (await readModelLimits(one.redis, of.prefix)).endpoints[0];
  for (let count = 0; count < 5; count += 1)
    await expect(work(server, count % 2 === 0 ? one : two)).rejects.toMatchObject({ retry: true });
  expect(await endpoint()).toMatchObject({ breaker: 'open', failures: 5 });
  expect((await endpoint())?.error).toContain('claude-sonnet-5-5 at 127.0.0.1');
  const opened = Date.now();
  await expect(work(server, one, { outageLimitMs: 0 })).rejects.toThrow(/did not answer for 0 s .*meanwhile: 0\)/);
  expect(server.requests).toBe(5);
  // Still down: the probe fails, alone, and the breaker stays open for longer.
  const waiting = times(6).map((index) => work(server, index % 2 === 0 ? one : two).catch((err: unknown) => err));
  await expect.poll(() => server.requests, { timeout: 10_000 }).toBe(6);
  expect(Date.now() - opened).toBeGreaterThan(4_500);
  await expect.poll(async () => (await endpoint())?.failures).toBe(6);
  expect((await endpoint())?.opensForMs).toBeGreaterThan(8_000);
  expect(server.requests).toBe(6);
  isDown = false;
  const before = server.requests;
  const results = await Promise.all(waiting);
  const later = server.arrivals.slice(before).map(({ at }) => at);
  expect(results.filter((result) => result instanceof Error)).toHaveLength(1);
  expect(later).toHaveLength(5);
  expect((later[0] ?? 0) - opened).toBeGreaterThan(14_000);
  expect(await endpoint()).toMatchObject({ breaker: 'closed', failures: 0 });
}, 40_000);
