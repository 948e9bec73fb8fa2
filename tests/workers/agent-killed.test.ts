import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { chmod, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { parseModelConfig } from '../../src/shared/model-config.ts';
import { cloneBundle } from '../../src/shared/workspace.ts';
import { doPersonaJob } from '../../src/workers/persona-job.ts';
import { openSandbox } from '../../src/shared/sandbox/open-sandbox.ts';
import { silentLogger } from '../../src/shared/logger.ts';
import { recordedCosts } from '../support/recorded-costs.ts';
import { PRICES, bill, countsOf } from '../support/bill.ts';
import { childModule } from '../support/child-module.ts';
import { personaData, personaFence, personaRun } from '../support/persona-runs.ts';
import { processes } from '../system/maestro.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { testRedis } from '../support/test-redis.ts';

/**
 * A worker that does one attempt of a persona's job, as the fleet has it done, and stops dead at one point of it: at the
 * n-th question whether the run is paused (before a call), before or after the n-th time that conversation and files are
 * saved, or when the job is done and nobody has been told. There it says where it is, and waits to be killed.
 */
const WORKER = `
import { writeSync } from 'node:fs';
import { noopContext } from './noop-handlers.ts';
import { silentLogger } from '../../src/shared/logger.ts';
import { connectRedis } from '../../src/shared/redis.ts';
import { openSandbox } from '../../src/shared/sandbox/open-sandbox.ts';
import { doPersonaJob } from '../../src/workers/persona-job.ts';
export async function work(o) {
  const redis = await connectRedis(o.redis, 'worker');
  const here = (point) => {
    if (point !== o.stopAt) return;
    writeSync(1, point + '\\n');
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  };
  let saves = 0;
  const watched = new Proxy(redis, { get(target, name) {
    if (name !== 'eval') return typeof target[name] === 'function' ? target[name].bind(target) : target[name];
    return async (script, count, key, ...rest) => {
      const isSave = String(key).endsWith(':conversations');
      if (isSave) here('before save ' + ++saves);
      const reply = await target.eval(script, count, key, ...rest);
      if (isSave) here('after save ' + saves);
      return reply;
    };
  } });
  const plain = noopContext({ redis: watched, redisUrl: o.redis, prefix: o.prefix, home: o.home });
  const sandbox = o.sandbox === 'none' ? plain.sandbox : await openSandbox({ mode: o.sandbox, cache: o.home, logger: silentLogger() });
  const ctx = { ...plain, sandbox, config: { ...plain.config, ...o.config }, models: o.models };
  let calls = 0;
  await doPersonaJob(ctx, {
    data: o.data, fence: o.fence, signal: new AbortController().signal, attempt: { number: 1, isLast: false },
    pausePoint: () => here('before call ' + ++calls),
  });
  here('done');
  writeSync(1, 'was not stopped\\n');
}
`;

const write = (path: string) => ({ tools: [{ tool: 'write_file', input: { path, content: path } }] });
const HAND_OFF = { tools: [{ tool: 'hand_off', input: { summary: 'both' } }] };
const MODELS = `apiVersion: maestro/v1
aliases: {}
${PRICES}`;
const TOOLS = ['write_file', 'read_file', 'list_files', 'shell'];

interface Case {
  turns: readonly unknown[];
  /** Where the worker stops; without it, it is killed when `under way` says so. */
  stopAt?: string;
  sandbox?: 'none' | 'auto' | 'off';
  underWay?: (run: Awaited<ReturnType<typeof personaRun>>) => Promise<unknown>;
  whenKilled?: () => Promise<unknown>;
  isPaid?: boolean;
}

/** Kills a worker in the middle of a job, and lets another one do the job. */
async function killed({ turns, stopAt, sandbox = 'none', underWay, whenKilled, isPaid = false }: Case) {
  const at = testRedis();
  const priced = isPaid
    ? { plan: { model: 'claude-sonnet-5-5' }, models: parseModelConfig(MODELS, 'models.yaml') }
    : {};
  const run = await personaRun(at, { turns, tools: TOOLS, isPaid, ...priced });
  const { ctx, plan, server, home } = run;
  const redis = await at.connect();
  const doomed = personaFence(at.prefix, plan, 'doomed');
  await redis.set(doomed.lockKey, doomed.token);
  const data = personaData(plan);
  const { scriptedUrl, anthropic } = ctx.config;
  const who = { config: { scriptedUrl, anthropic }, models: ctx.models };
  const options = { redis: at.url, prefix: at.prefix, home, ...who, data, fence: doomed, stopAt, sandbox };
  const program = `${WORKER}\nprocess.stdout.write(' ');\nvoid work(${JSON.stringify(options)});`;
  const started = childModule(underWay === undefined ? program : `${program}\nprocess.stdout.write('started\\n');`);
  const { child, line } = await started;
  expect(line.trim()).toBe(stopAt ?? 'started');
  await underWay?.(run);
  child.kill('SIGKILL');
  await once(child, 'exit');
  await whenKilled?.();
  const before = server.requests;

  const heir = personaFence(at.prefix, plan, 'heir');
  await redis.set(heir.lockKey, heir.token);
  const opened =
    sandbox === 'none' ? ctx.sandbox : await openSandbox({ mode: sandbox, cache: home, logger: silentLogger() });
  const result = await doPersonaJob(
    { ...ctx, sandbox: opened },
    {
      data,
      fence: heir,
      signal: new AbortController().signal,
      attempt: { number: 2, isLast: true },
      pausePoint: () => {},
    },
  );
  const dir = join(await tempFolder(), 'work');
  if (result?.commit !== undefined && result.commit !== null && result.bundle !== null)
    await cloneBundle({ commit: result.commit, bundle: result.bundle, blobs: ctx.blobs, dir, branch: 'main' });
  const events = await ctx.store.readEvents(plan.runId, 0);
  return {
    ...run,
    requests: { before, all: server.requests },
    file: (name: string) => readFile(join(dir, name), 'utf8'),
    turns: events.filter((event) => event.type === 'persona.turn').map(({ turn, tools }) => `${turn} ${tools.join()}`),
    events,
    phase: await ctx.store.getPhase(plan.runId, 'a'),
  };
}

const THREE = [write('a.txt'), write('b.txt'), HAND_OFF];
const TOLD = ['1 write_file', '2 write_file', '3 hand_off'];

test.each([
  ['before a call', 'before call 2', 3],
  ['when an answer is there and not saved', 'before save 3', 4],
  ['when an answer is saved and its tools have not run', 'after save 3', 3],
  ['when tools have run and that is not saved', 'before save 4', 3],
  ['when a turn is saved and not counted', 'after save 4', 3],
  ['when the hand-off is saved', 'after save 6', 3],
  ['when the job is done and the queue does not know', 'done', 3],
])(
  'a worker that is killed %s (%s) costs one call at most, and every turn is counted once',
  async (_, stopAt, requests) => {
    const { requests: made, ...after } = await killed({ turns: THREE, stopAt });
    expect(made.all).toBe(requests);
    expect(after.turns).toEqual(TOLD);
    expect([await after.file('a.txt'), await after.file('b.txt')]).toEqual(['a.txt', 'b.txt']);
    expect(after.phase.usage.calls).toBe(requests);
    expect(after.events.filter((event) => event.type === 'persona.done')).toHaveLength(1);
    expect(after.events.filter((event) => event.type === 'conversation.restarted')).toEqual([]);
  },
);

test('a worker that is killed in the middle of a stream costs that call, goes on from the turn before, and the bill adds up', async () => {
  const hanging = {
    ...write('b.txt'),
    headers: { 'anthropic-ratelimit-requests-limit': '1000', 'anthropic-ratelimit-requests-remaining': '900' },
    fault: { mid_stream: 'hang', only_first: true },
  };
  const after = await killed({
    turns: [write('a.txt'), hanging, HAND_OFF],
    isPaid: true,
    // The fleet has learnt from the headers of the answer: its stream is under way.
    underWay: async ({ ctx, plan, server, endpoint }) => {
      await expect.poll(() => server.requests, { timeout: 20_000 }).toBe(2);
      const host = new URL(endpoint).host;
      const key = `${ctx.config.prefix}:maestro:model:${plan.phases[0]?.model}@${host}`;
      await expect.poll(async () => JSON.stringify(await ctx.redis.hgetall(key))).toContain('1000');
    },
  });
  expect(after.requests).toEqual({ before: 2, all: 4 });
  const { ctx, plan, server } = after;
  const costs = await recordedCosts({ ...ctx, prefix: ctx.config.prefix }, plan.runId);
  const [heard, lost] = [server.ledger.filter((one) => one.isComplete), server.ledger.filter((one) => !one.isComplete)];
  expect([heard.length, lost.length]).toEqual([3, 1]);
  // What was heard is known to the millionth; what the dead worker was being told is no less than it was charged.
  const answered = costs.calls.filter(({ outcome }) => outcome === 'answered');
  expect(answered.map(({ requestId }) => requestId)).toEqual(heard.map(({ requestId }) => requestId));
  expect(answered.map(countsOf)).toEqual(heard.map(countsOf));
  expect(costs.totals).toMatchObject({ micros: bill(heard), calls: 3, unknownCalls: 1 });
  const unknown = Math.round((costs.totals.unknownUsd ?? Number.NaN) * 1e6);
  expect(unknown).toBeGreaterThanOrEqual(bill(lost));
  expect(bill(lost)).toBeGreaterThan(0);
  const taken = costs.budgets.map(({ usd }) => Math.round((usd.spent + usd.reserved) * 1e6));
  expect(taken).toEqual(costs.budgets.map(() => bill(heard) + unknown));
  expect(after.turns).toEqual(TOLD);
  expect([await after.file('a.txt'), await after.file('b.txt')]).toEqual(['a.txt', 'b.txt']);
});

test('a command in the sandbox dies with its worker, and is run again on the files as they were before it', async () => {
  // An odd number, so that nobody else's command is taken for it.
  const SLEEP = 'sleep 2.9173';
  const sleeping = async (): Promise<number> =>
    (await processes()).filter(({ text }) => text.includes(SLEEP) && !text.includes('node')).length;
  const turns = [
    { tools: [{ tool: 'shell', input: { command: 'echo begun >> log.txt' } }] },
    { tools: [{ tool: 'shell', input: { command: `echo once >> log.txt; ${SLEEP}` } }] },
    HAND_OFF,
  ];
  const after = await killed({
    turns,
    sandbox: 'auto',
    underWay: () => expect.poll(sleeping, { timeout: 20_000, interval: 20 }).toBeGreaterThan(0),
    whenKilled: () => expect.poll(sleeping, { timeout: 3_000, interval: 20 }).toBe(0),
  });
  expect(after.requests).toEqual({ before: 2, all: 3 });
  expect(after.turns).toEqual(['1 shell', '2 shell', '3 hand_off']);
  expect(await after.file('log.txt')).toBe('begun\nonce\n');
});

test('a command that may have effects outside is not run again: the model is told that it may have run', async () => {
  const outside = await tempFolder();
  // Commands run as another user where the tests run as root.
  await chmod(outside, 0o777);
  const [effects, pid] = [join(outside, 'effects'), join(outside, 'pid')];
  const turns = [
    {
      tools: [
        { tool: 'shell', input: { command: `echo first >> ${effects}; echo kept > first.txt` } },
        {
          tool: 'shell',
          input: { command: `echo second >> ${effects}; echo $$ > ${pid}; echo lost > second.txt; sleep 60` },
        },
        { tool: 'shell', input: { command: `echo third >> ${effects}` } },
        { tool: 'hand_off', input: { summary: 'too early' } },
      ],
    },
    HAND_OFF,
  ];
  const seen = (): Promise<string> => readFile(effects, 'utf8').catch(() => '');
  onTestFinished(async () => {
    const left = Number(await readFile(pid, 'utf8').catch(() => '0'));
    // Without a sandbox nothing ends what a killed worker had started.
    if (left > 0 && existsSync(`/proc/${left}`)) process.kill(left, 'SIGKILL');
  });
  const after = await killed({
    turns,
    sandbox: 'off',
    underWay: () => expect.poll(() => readFile(pid, 'utf8').catch(() => ''), { timeout: 20_000 }).toMatch(/^\d+\n$/),
  });
  expect(await seen()).toBe('first\nsecond\n');
  expect(after.requests).toEqual({ before: 1, all: 2 });
  expect(await after.file('first.txt')).toBe('kept\n');
  await expect(after.file('second.txt')).rejects.toThrow('ENOENT');
  const [ref] = Object.values(after.phase.transcripts);
  const transcript = ref === undefined ? '' : Buffer.from(await after.ctx.blobs.get(ref)).toString();
  expect(transcript).toContain('shell had been started when the worker that ran it was stopped');
  expect(transcript).toContain('This call has not been run: the one before it was interrupted.');
  expect(transcript).toContain('exit code 0');
});
