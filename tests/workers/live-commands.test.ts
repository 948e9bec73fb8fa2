import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import pc from 'picocolors';
import { beforeAll, expect, onTestFinished, test } from 'vitest';
import { logsCommand } from '../../src/cli/commands/logs.ts';
import { CommandFeed } from '../../src/producer/command-feed.ts';
import { readServerSentEvents } from '../../src/producer/server-sent-events.ts';
import { startServer } from '../../src/producer/server.ts';
import { readConfig } from '../../src/shared/config.ts';
import {
  LIVE_CHARS,
  LIVE_TTL_MS,
  LiveCommand,
  dropLiveCommand,
  putLiveCommand,
  readLiveCommands,
} from '../../src/shared/live-commands.ts';
import { silentLogger } from '../../src/shared/logger.ts';
import { newRunId } from '../../src/shared/names.ts';
import { RunStore } from '../../src/shared/run-store.ts';
import { openSandbox } from '../../src/shared/sandbox/open-sandbox.ts';
import type { Sandbox } from '../../src/shared/sandbox/sandbox.ts';
import { type LiveCommands, liveCommands } from '../../src/workers/agent/live-command.ts';
import { createToolBox } from '../../src/workers/agent/tools.ts';
import { PiecewiseRedactor, redactor } from '../../src/workers/models/redact.ts';
import { scriptedPersona } from '../support/scripted-persona.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { testRedis } from '../support/test-redis.ts';
import { fixtureRoot } from '../producer/fixture.ts';

let sandbox: Sandbox;
beforeAll(async () => {
  const { cache } = readConfig({ XDG_CACHE_HOME: process.env['XDG_CACHE_HOME'] }, process.cwd());
  sandbox = await openSandbox({ mode: 'auto', cache, logger: silentLogger() });
});

/** Shell that goes on when a file is there. */
const until = (file: string): string => `until [ -e ${file} ]; do sleep 0.1; done`;

const KEY = 'a-key-for-tests-of-the-live-output';

async function servedRun(command: string) {
  const persona = await scriptedPersona(
    [
      { tools: [{ tool: 'shell', input: { command } }] },
      { tools: [{ tool: 'write_file', input: { path: 'a', content: 'a' } }] },
      { tools: [{ tool: 'hand_off', input: { summary: 'Done.' } }] },
    ],
    { tools: ['shell', 'write_file'], sandbox },
  );
  const { ctx, runId, target } = persona;
  const server = await startServer({
    host: '127.0.0.1',
    port: 0,
    redisUrl: ctx.redisUrl,
    prefix: target.prefix,
    blobs: ctx.blobs,
    packageRoot: await fixtureRoot(),
    provider: 'scripted',
    logger: silentLogger(),
  });
  onTestFinished(() => server.close());
  const path = `${server.url}/api/runs/${runId}/commands`;
  /** A file of the persona's work tree, while it works there. */
  const touch = async (name: string): Promise<void> => {
    const work = join(ctx.config.home, 'work');
    const [job] = (await readdir(work)).filter((each) => each.startsWith('job-'));
    await writeFile(join(work, job ?? 'none', 'tree', 'tree', name), '');
  };
  return { ...persona, path, touch };
}

/** What a listener of the API has heard so far. */
function listening(response: Response) {
  const heard: { event: string; data: unknown }[] = [];
  const ended = (async () => {
    for await (const { event, data } of readServerSentEvents(response.body ?? new ReadableStream()))
      heard.push({ event, data: JSON.parse(data) });
  })();
  return { heard, ended };
}

test('what a command prints is seen over the API and by whoever follows the log, while it runs', async () => {
  const run = await servedRun(`echo first; ${until('go')}; echo second >&2; ${until('end')}; echo third`);
  const { ctx, runId, path, touch, target } = run;
  const elsewhere = listening(await fetch(`${path}?phase=other`));
  const { heard, ended } = listening(await fetch(path));
  let [out, err] = ['', ''];
  const followed = logsCommand(
    {
      config: { ...ctx.config, redisUrl: ctx.redisUrl },
      cwd: ctx.config.home,
      terminal: {
        out: (text) => (out += `${text}\n`),
        err: (text) => (err += `${text}\n`),
        isLive: false,
        colors: pc.createColors(false),
        outColors: pc.createColors(false),
        columns: () => 100,
        outColumns: () => undefined,
        outClosed: new AbortController().signal,
      },
      signal: new AbortController().signal,
      env: {},
    },
    runId,
    'a',
    { follow: true },
  );
  const shown = () => LiveCommand.safeParse(heard.at(-1)?.data).data;
  // Nothing but this test lets the command go on.
  await expect.poll(() => shown()?.text).toBe('first\n');
  await expect
    .poll(() => out)
    .toMatch(/a: noop runs\n {2}\$ shell +echo first; until .* running since \d\d:\d\d:\d\d\n {4}│ first\n/);
  expect(shown()).toMatchObject({
    phase: 'a',
    persona: 'noop',
    kind: 'work',
    round: 0,
    simulated: true,
    tool: 'shell',
    bytes: 6,
    end: 6,
  });
  await touch('go');
  await expect.poll(() => shown()?.text).toBe('first\nsecond\n');
  await expect.poll(() => out).toContain('    │ second\n');
  await touch('end');
  const { phase, events, transcript } = await run.ended();
  expect(phase.status).toBe('not_gated');
  await Promise.all([ended, elsewhere.ended]);
  expect(heard.at(-1)).toMatchObject({ event: 'command.ended', data: { phase: 'a', persona: 'noop' } });
  expect(elsewhere.heard).toEqual([]);
  expect(await followed).toBe(0);
  expect(err).not.toContain('not shown');
  // Each line once while it ran, and the turn with all of them when it had ended.
  expect(out.match(/^ {4}│ .*$/gm)?.slice(0, 2)).toEqual(['    │ first', '    │ second']);
  expect(out).toMatch(/\$ shell +echo first.* exit 0 · [\d.]+ s\n +first\n +third\n +second\n/);
  // The model was given what it is always given, and the log of the run holds nothing of it.
  expect(transcript).toMatch(
    /exit code 0 after \d+ ms\\n<data-(\w{16}) stream=\\"stdout\\">\\nfirst\\nthird\\n\\n<\/data-\1>\\n<data-(\w{16}) stream=\\"stderr\\">\\nsecond\\n\\n<\/data-\2>/,
  );
  expect(JSON.stringify(events)).not.toMatch(/command\.|first/);
  expect(await target.redis.keys(`${target.prefix}:maestro:run:${runId}:commands*`)).toEqual([]);
  expect((await fetch(path)).status).toBe(204);
  expect((await fetch(path.replace(runId, '01J00000000000000000000000'))).status).toBe(404);
});

/** A shell whose commands are shown on this board. */
async function shellOn(live: LiveCommands) {
  const root = await tempFolder();
  const box = createToolBox({
    root,
    sandbox,
    live,
    runGates: () => Promise.resolve(''),
    signal: new AbortController().signal,
    logger: silentLogger(),
    tools: ['shell'],
  });
  return {
    root,
    sh: (command: string) => box.invoke({ id: 'toolu_1', name: 'shell', input: { command }, messageId: 'msg_1' }),
  };
}

/** A board that keeps what was put on it. */
function keptBoard(keys: readonly string[] = []) {
  const puts: { at: number; text: string; end: number; bytes: number; command: string }[] = [];
  let drops = 0;
  const live = liveCommands({
    keys,
    put: async (command) => {
      puts.push({ at: performance.now(), ...command });
      return true;
    },
    drop: async () => {
      drops += 1;
      return true;
    },
    logger: silentLogger(),
  });
  return { puts, live, drops: () => drops };
}

test('a flood of anything is told seldom, in pieces of a bounded size, and past the cut of what is kept', async () => {
  const { puts, live, drops } = keptBoard();
  const { root, sh } = await shellOn(live);
  const running = sh(`cat /dev/urandom & one=$!; yes '\u001b[2J' >&2 & ${until('go')}; kill $! $one; wait; echo over`);
  await expect.poll(() => puts.filter(({ bytes }) => bytes > 4_000_000).length).toBeGreaterThan(3);
  await writeFile(join(root, 'go'), '');
  const { text } = await running;
  expect(text).toContain('over');
  expect(drops()).toBe(1);
  const [first, last] = [puts[0], puts.at(-1)];
  // Two for the half second in which it began.
  expect(puts.length).toBeLessThanOrEqual(2 + ((last?.at ?? 0) - (first?.at ?? 0)) / 490);
  for (const put of puts) expect(put.text.length).toBeLessThanOrEqual(LIVE_CHARS);
  expect(last?.end).toBeGreaterThan(LIVE_CHARS);
  // Nothing that a terminal obeys, and nothing cut in two.
  expect(puts.map(({ text: shown }) => shown).join('')).not.toMatch(/\p{Cs}|[^\P{Cc}\t\n\r]/u);
});

test('keys are taken out wherever the output is cut', async () => {
  const text = `key is ${KEY}${KEY}, sk-ant-abcdefghijkl and sk-ant- ssk-ask-ant-0123456789\nclass a-key\n`;
  const whole = redactor([KEY])(text);
  for (let one = 0; one < text.length; one += 1)
    for (let other = one; other < text.length; other += 3) {
      const pieces = new PiecewiseRedactor([KEY]);
      const told = [text.slice(0, one), text.slice(one, other), text.slice(other)].map((piece) => pieces.next(piece));
      expect(told.join('')).toBe(whole);
    }
  // What is missing may have ended within a key, whatever it is made of.
  const other = 'pass/word+of=the/store';
  for (let gap = 1; gap < other.length - 2; gap += 1)
    expect(new PiecewiseRedactor([other]).afterGap(`${other.slice(gap)} ${'x '.repeat(50)}`)).not.toMatch(/[a-w]/);
  expect(new PiecewiseRedactor([]).afterGap('the-end-of-what-looks-like-one x ')).toBe(' x ');
  const { puts, live } = keptBoard([KEY]);
  const { root, sh } = await shellOn(live);
  const running = sh(
    `printf 'it is a-key-for-'; ${until('go')}; printf 'tests-of-the-live-output.\\n'; ${until('end')}`,
  );
  await expect.poll(() => puts.at(-1)?.text).toBe('it is ');
  await writeFile(join(root, 'go'), '');
  await expect.poll(() => puts.at(-1)?.text).toBe('it is [redacted].\n');
  await writeFile(join(root, 'end'), '');
  // The model has the files that it wrote.
  expect((await running).text).toContain(KEY);
});

test('a board that fails, or that never answers, costs a command nothing, and is told of once', async () => {
  const warnings: object[] = [];
  const logger = silentLogger();
  logger.warn = (about: object) => void warnings.push(about);
  let asked = 0;
  const fail = () => {
    asked += 1;
    return Promise.reject(new Error('READONLY'));
  };
  const broken = await shellOn(liveCommands({ keys: [], put: fail, drop: fail, logger }));
  const running = broken.sh(`echo one; ${until('go')}; echo two; ${until('end')}`);
  await expect.poll(() => asked).toBeGreaterThan(0);
  await writeFile(join(broken.root, 'go'), '');
  await expect.poll(() => asked).toBeGreaterThan(1);
  await writeFile(join(broken.root, 'end'), '');
  expect((await running).text).toMatch(/exit code 0[^]*one\ntwo/);
  await expect.poll(() => asked).toBeGreaterThan(2);
  expect(warnings).toEqual([{ reason: 'READONLY' }]);
  // One that never answers is asked once, whatever comes meanwhile.
  let [heard, put] = [0, 0];
  const never = () => new Promise<boolean>(() => undefined);
  const deaf = liveCommands({ keys: [], put: () => ((put += 1), never()), drop: never, logger });
  const silent = await shellOn({
    begin: (of) => {
      const { hear, end } = deaf.begin(of);
      return { hear: (progress) => (hear(progress), void (heard += 1)), end };
    },
  });
  const waiting = silent.sh(`echo one; ${until('go')}; echo two; ${until('end')}; echo three`);
  await expect.poll(() => put).toBe(1);
  await writeFile(join(silent.root, 'go'), '');
  await expect.poll(() => heard).toBeGreaterThan(1);
  expect(put).toBe(1);
  await writeFile(join(silent.root, 'end'), '');
  expect((await waiting).text).toMatch(/exit code 0[^]*one\ntwo\nthree/);
});

test('what a worker that is gone left behind expires, and no other attempt writes or removes it', async () => {
  const at = testRedis();
  const redis = await at.connect();
  const fence = { lockKey: `${at.prefix}:lock`, token: 'mine', generation: 0 };
  const place = { redis, prefix: at.prefix, runId: 'r', conversation: 'r.a.noop.r0', fence };
  const command = LiveCommand.parse({
    phase: 'a',
    persona: 'noop',
    kind: 'work',
    round: 0,
    simulated: true,
    toolUseId: 'toolu_1',
    tool: 'shell',
    command: 'npm test',
    startedAt: '2026-11-30T10:00:00.000Z',
    bytes: 4,
    text: 'one\n',
    end: 4,
  });
  await redis.set(fence.lockKey, 'mine');
  expect(await putLiveCommand(place, command)).toBe(true);
  expect(await readLiveCommands(redis, at.prefix, 'r')).toEqual([command]);
  const late = { ...place, fence: { ...fence, token: 'late' } };
  expect([await putLiveCommand(late, { ...command, text: 'late' }), await dropLiveCommand(late)]).toEqual([
    false,
    false,
  ]);
  expect(await readLiveCommands(redis, at.prefix, 'r')).toEqual([command]);
  const keys = await redis.keys(`${at.prefix}:maestro:run:r:commands*`);
  expect(keys).toHaveLength(2);
  for (const key of keys) {
    const left = await redis.pttl(key);
    expect(left).toBeGreaterThan(0);
    expect(left).toBeLessThanOrEqual(LIVE_TTL_MS);
  }
  await redis.pexpire(`${at.prefix}:maestro:run:r:commands:r.a.noop.r0`, 1);
  await expect.poll(() => readLiveCommands(redis, at.prefix, 'r')).toEqual([]);
  expect(await putLiveCommand(place, command)).toBe(true);
  expect(await dropLiveCommand(place)).toBe(true);
  expect(await redis.keys(`${at.prefix}:maestro:run:r:commands*`)).toEqual([]);
});

test('whoever listens to a run at the same time is answered by one look', async () => {
  const at = testRedis();
  const redis = await at.connect();
  const feed = new CommandFeed({ redis, prefix: at.prefix, store: new RunStore(redis, at.prefix) });
  const [runId, other] = [newRunId(), newRunId()];
  const look = feed.look(runId);
  expect(feed.look(runId)).toBe(look);
  expect(feed.look(other)).not.toBe(look);
  expect(await look).toEqual({ commands: [], hasEnded: true });
});
