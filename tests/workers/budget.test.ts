import { describe, expect, test } from 'vitest';
import { parseLedger } from '../../src/shared/call-ledger.ts';
import type { Price } from '../../src/shared/model-config.ts';
import { runKey } from '../../src/shared/run-keys.ts';
import { NO_USAGE } from '../../src/shared/run-record.ts';
import type { CallRecord } from '../../src/workers/models/call-record.ts';
import { RunAccount } from '../../src/workers/models/budget.ts';
import { openProvider } from '../../src/workers/models/provider.ts';
import { testRedis } from '../support/test-redis.ts';
import { HAND_OFF, playing, runWith } from './agent-support.ts';

const redis = testRedis();
const PRICE: Price = { asOf: '2026-01-01', input: 3, output: 15, cacheWrite: 3.75, cacheRead: 0.3 };
const REAL = { price: PRICE, simulated: false, model: 'some-model', host: 'h', turn: 1, attempt: 1 };
const used = (tokens: number, costUsd: number | null = 0, simulated = false): CallRecord => ({
  schemaVersion: 1,
  turn: 1,
  attempt: 1,
  outcome: 'answered',
  error: null,
  messageId: 'msg_1',
  requestId: 'req_1',
  modelAsked: 'some-model',
  modelAnswered: 'some-model',
  host: 'h',
  status: 200,
  stopReason: 'end_turn',
  usage: { ...NO_USAGE, calls: 1, inputTokens: tokens, costUsd },
  startedAt: '2026-01-01T00:00:00.000Z',
  latencyMs: 5,
  requestSha256: null,
  responseSha256: null,
  simulated,
  rateLimits: {},
});

let runs = 0;
async function account(budget: { usd?: number; tokens?: number }): Promise<RunAccount> {
  runs += 1;
  return new RunAccount({
    redis: await redis.connect(),
    prefix: redis.prefix,
    runId: `run-${runs}`,
    limits: { run: budget },
    place: { workflow: 'demo', phase: 'backend', persona: 'backend_developer', kind: 'work', round: 0 },
    kind: 'paid',
  });
}

describe('the account of a run', () => {
  test('sets the worst case aside before a call and settles it after', async () => {
    const run = await account({ tokens: 1_000 });
    await run.reserve('a', { inputTokens: 300, outputTokens: 200 }, REAL);
    expect(await run.totals()).toMatchObject({ tokens: 0, reservedTokens: 500 });
    await run.settle('a', used(120, 0.001));
    expect(await run.totals()).toEqual({
      tokens: 120,
      reservedTokens: 0,
      usd: 0.001,
      reservedUsd: 0,
      calls: 1,
      simulatedCalls: 0,
      unknownCalls: 0,
    });
  });

  test('allows a call that just fits, and refuses one token more', async () => {
    const run = await account({ tokens: 1_000 });
    await run.reserve('a', { inputTokens: 600, outputTokens: 400 }, REAL);
    await run.settle('a', used(999));
    await run.reserve('b', { inputTokens: 1, outputTokens: 0 }, REAL);
    await expect(run.reserve('c', { inputTokens: 1, outputTokens: 0 }, REAL)).rejects.toMatchObject({
      code: 'BUDGET_EXCEEDED',
      retry: false,
      exitCode: 3,
      remedy: 'Raise it and let the run go on: `maestro resume RUN --budget-usd N` or `--budget-tokens N`.',
    });
  });

  test('never lets workers that call at the same moment pass the limit together', async () => {
    const run = await account({ tokens: 1_000 });
    const calls = Array.from({ length: 20 }, (_, index) =>
      run.reserve(`c${index}`, { inputTokens: 100, outputTokens: 50 }, REAL).then(
        () => true,
        () => false,
      ),
    );
    const granted = (await Promise.all(calls)).filter(Boolean);
    expect(granted).toHaveLength(6);
    expect(await run.totals()).toMatchObject({ reservedTokens: 900 });
  });

  test('counts dollars at the dearest the call can be', async () => {
    const run = await account({ usd: 0.05 });
    // 4,000 tokens written to the cache cost $0.015, and 2,000 tokens of answer $0.03.
    await run.reserve('a', { inputTokens: 4_000, outputTokens: 2_000 }, REAL);
    expect((await run.totals()).reservedUsd).toBeCloseTo(0.045, 9);
    await expect(run.reserve('b', { inputTokens: 4_000, outputTokens: 2_000 }, REAL)).rejects.toThrow(
      /\$0\.045 of \$0\.05 are spent or set aside/,
    );
  });

  test('refuses a budget in dollars for a model without a price, and says what to do', async () => {
    const run = await account({ usd: 5 });
    const terms = { ...REAL, price: null };
    await expect(run.reserve('a', { inputTokens: 1, outputTokens: 1 }, terms)).rejects.toMatchObject({
      code: 'BAD_INPUT',
      remedy: 'Fill in its price in config/models.yaml, or give the budget in tokens.',
    });
    await run.reserve('b', { inputTokens: 1, outputTokens: 1 }, { ...terms, simulated: true });
    await run.settle('b', used(2, 0, true));
    expect(await run.totals()).toMatchObject({ usd: 0, simulatedCalls: 1 });
  });

  test('says that the cost is unknown when a call without a price was made', async () => {
    const run = await account({ tokens: 100 });
    await run.reserve('a', { inputTokens: 1, outputTokens: 1 }, { ...REAL, price: null });
    await run.settle('a', used(2, null));
    expect((await run.totals()).usd).toBeNull();
  });

  test('counts the worst case of a call whose worker was killed as spent', async () => {
    const run = await account({ tokens: 1_000 });
    await run.reserve('job.t1', { inputTokens: 300, outputTokens: 100 }, REAL);
    await run.reserve('job.t1', { inputTokens: 300, outputTokens: 100 }, REAL);
    expect(await run.totals()).toMatchObject({ tokens: 400, reservedTokens: 400, unknownCalls: 1 });
    await run.settle('job.t1', used(50));
    await run.settle('job.t1', used(50));
    expect(await run.totals()).toMatchObject({ tokens: 450, reservedTokens: 0, calls: 2 });
  });

  test('counts what a worker of an older version left set aside as spent', async () => {
    const run = await account({ tokens: 1_000 });
    const key = runKey(redis.prefix, `run-${runs}`, 'account');
    const client = await redis.connect();
    await client.hset(key, { 'open:job.t1': '400 2000', reservedTokens: '400', reservedMicros: '2000' });
    await run.reserve('job.t1', { inputTokens: 300, outputTokens: 100 }, REAL);
    await run.settle('job.t1', used(50));
    const totals = { tokens: 450, reservedTokens: 0, usd: 0.002, reservedUsd: 0, calls: 2, unknownCalls: 1 };
    expect(await run.totals()).toMatchObject(totals);
    const ledger = await client.lrange(runKey(redis.prefix, `run-${runs}`, 'calls'), 0, -1);
    expect(parseLedger(ledger)).toMatchObject([{ outcome: 'unknown', inputTokens: 400, micros: 2_000 }, {}]);
    await client.hset(key, { 'open:job.t1': '400 2000' });
    await expect(run.settle('job.t1', used(50))).resolves.toBeUndefined();
  });
});

describe('a conversation with a budget', () => {
  const write = (text: string) => ({ tools: [{ tool: 'write_file', input: { path: 'a.txt', content: text } }] });

  test('is stopped before the call that could pass it', async () => {
    const server = await playing([write('one'), write('two'), { tools: [HAND_OFF] }]);
    const budget = await account({ tokens: 3_000 });
    await expect(runWith(server.url, { budget, maxTokensPerTurn: 1_000 })).rejects.toMatchObject({
      code: 'BUDGET_EXCEEDED',
    });
    expect([1, 2]).toContain(server.requests);
    const { tokens, reservedTokens } = await budget.totals();
    expect(tokens).toBeLessThanOrEqual(3_000);
    expect(reservedTokens).toBe(0);
  });

  test('adds up to what the calls report, and costs nothing when simulated', async () => {
    const server = await playing([write('one'), { tools: [HAND_OFF] }]);
    const budget = await account({ usd: 1 });
    const { usage } = await runWith(server.url, { budget });
    const sum = usage.inputTokens + usage.outputTokens + usage.cacheReadTokens + usage.cacheWriteTokens;
    expect(await budget.totals()).toMatchObject({ tokens: sum, usd: 0, calls: 2, simulatedCalls: 2 });
  });

  test('is not charged for a call that was refused, and is charged the worst case of one that broke off', async () => {
    const refusing = await playing([{ fault: { status: 529, type: 'overloaded_error' } }]);
    const first = await account({ tokens: 100_000 });
    await expect(runWith(refusing.url, { budget: first })).rejects.toMatchObject({ retry: true });
    expect(await first.totals()).toMatchObject({ tokens: 0, reservedTokens: 0, unknownCalls: 0 });
    const breaking = await playing([{ say: 'a long answer', fault: { mid_stream: 'cut' } }]);
    const second = await account({ tokens: 100_000 });
    await expect(runWith(breaking.url, { budget: second })).rejects.toMatchObject({ retry: true });
    const { tokens, reservedTokens, unknownCalls } = await second.totals();
    expect(tokens).toBeGreaterThan(4_000);
    expect({ reservedTokens, unknownCalls }).toEqual({ reservedTokens: 0, unknownCalls: 1 });
  });

  test('in dollars is refused for a real provider without a price, before any call', async () => {
    const server = await playing([{ tools: [HAND_OFF] }]);
    const anthropic = { apiKey: 'a-key-for-tests', authToken: undefined, baseUrl: server.url };
    const provider = openProvider({ name: 'anthropic', config: { anthropic, scriptedUrl: undefined } });
    const budget = await account({ usd: 1 });
    await expect(runWith(server.url, { provider, budget })).rejects.toMatchObject({ code: 'BAD_INPUT' });
    expect(server.requests).toBe(0);
  });
});
