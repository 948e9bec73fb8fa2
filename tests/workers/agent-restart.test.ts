import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Queue } from 'bullmq';
import { expect, onTestFinished, test } from 'vitest';
import { z } from 'zod';
import type { PersonaJob } from '../../src/shared/jobs.ts';
import { jobIds, personaQueue } from '../../src/shared/names.ts';
import { git } from '../../src/shared/git.ts';
import { runKey } from '../../src/shared/run-keys.ts';
import { BlobRef, type CommitRef } from '../../src/shared/run-record.ts';
import { cloneBundle, openWorkspace } from '../../src/shared/workspace.ts';
import { startFleet } from '../../src/workers/fleet.ts';
import { openSavedWork } from '../../src/workers/agent/checkpoint-store.ts';
import { doPersonaJob } from '../../src/workers/persona-job.ts';
import { personaData, personaFence, personaRun } from '../support/persona-runs.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { testRedis } from '../support/test-redis.ts';

const write = (path: string) => ({ tool: 'write_file', input: { path, content: path } });
/** What is in the workspace when the conversation begins is part of its first turn. */
const TURNS = [
  { tools: [{ tool: 'list_files', input: {} }, write('a.txt')] },
  { tools: [write('b.txt')] },
  { tools: [{ tool: 'hand_off', input: { summary: 'both' } }] },
];
const Pointer = z.strictObject({
  checkpoint: BlobRef,
  tree: z.strictObject({ commit: z.string(), bundle: BlobRef, tree: z.string() }),
});
const Saved = z.looseObject({ workspace: z.strictObject({ commit: z.string(), tree: z.string() }) });

/** A conversation of which two turns are saved; its worker is gone. */
async function twoTurnsSaved() {
  const at = testRedis();
  const run = await personaRun(at, { turns: TURNS, tools: ['write_file', 'list_files'] });
  const { ctx, plan } = run;
  const key = runKey(at.prefix, plan.runId, 'conversations');
  const attempt = async (number: number, calls: number) => {
    // Asked at the beginning of a turn, and again when its call has its place.
    const fence = personaFence(at.prefix, plan, `attempt-${number}`);
    await ctx.redis.set(fence.lockKey, fence.token);
    let left = 2 * calls;
    const pausePoint = (): void => {
      left -= 1;
      if (left < 0) throw new Error('the worker stops here');
    };
    const signal = new AbortController().signal;
    return doPersonaJob(ctx, {
      data: personaData(plan),
      fence,
      signal,
      attempt: { number, isLast: false },
      pausePoint,
    });
  };
  const pointers: z.infer<typeof Pointer>[] = [];
  const [field = ''] = await (async () => {
    await expect(attempt(1, 1)).rejects.toThrow('the worker stops here');
    const first = await ctx.redis.hgetall(key);
    pointers.push(Pointer.parse(JSON.parse(Object.values(first)[0] ?? '')));
    await expect(attempt(2, 1)).rejects.toThrow('the worker stops here');
    const second = await ctx.redis.hgetall(key);
    pointers.push(Pointer.parse(JSON.parse(Object.values(second)[0] ?? '')));
    return Object.keys(second);
  })();
  const [older, pointer] = pointers;
  if (older === undefined || pointer === undefined) throw new Error('nothing was saved');
  const fileOf = (ref: string): string => join(ctx.blobs.location, ref.slice(0, 2), ref);
  return { ...run, at, attempt, key, field, older, pointer, fileOf };
}

type Run = Awaited<ReturnType<typeof twoTurnsSaved>>;

async function checkWhole(run: Run, result: Awaited<ReturnType<Run['attempt']>>): Promise<string> {
  const dir = join(await tempFolder(), 'work');
  if (result?.commit === undefined || result.commit === null || result.bundle === null) throw new Error('no work');
  await cloneBundle({ commit: result.commit, bundle: result.bundle, blobs: run.ctx.blobs, dir, branch: 'main' });
  for (const name of ['a.txt', 'b.txt']) expect(await readFile(join(dir, name), 'utf8')).toBe(name);
  return Buffer.from(await run.ctx.blobs.get(result.transcript)).toString();
}

test('a conversation that is whole is gone on with, and what was paid for is not bought again', async () => {
  const run = await twoTurnsSaved();
  expect(run.server.requests).toBe(2);
  // What was saved after the first turn is no part of what is saved after the second: each is all files, once.
  const saved = join(await tempFolder(), 'saved');
  await cloneBundle({ ...run.pointer.tree, blobs: run.ctx.blobs, dir: saved, branch: 'main' });
  const place = { gitDir: join(saved, '.git'), workTree: saved };
  expect((await git(place, ['rev-list', '--count', 'HEAD'])).trim()).toBe('2');
  const transcript = await checkWhole(run, await run.attempt(3, 9));
  expect(run.server.requests).toBe(3);
  // Two workers went on with it, and each said so once.
  expect(transcript.split('Your work goes on in a new folder').length - 1).toBe(2);
  expect(transcript).not.toContain('more than can be kept');
  const events = await run.ctx.store.readEvents(run.plan.runId, 0);
  expect(events.filter((event) => event.type === 'conversation.restarted')).toEqual([]);
});

test.each<[string, string, (run: Run) => Promise<unknown>]>([
  [
    'the files are gone',
    'the files that were saved with the conversation cannot be read',
    ({ fileOf, pointer }) => rm(fileOf(pointer.tree.bundle)),
  ],
  ['the files are damaged', 'is damaged', ({ fileOf, pointer }) => writeFile(fileOf(pointer.tree.bundle), 'no bundle')],
  [
    'the conversation is gone',
    'what was saved of the conversation cannot be read',
    ({ fileOf, pointer }) => rm(fileOf(pointer.checkpoint)),
  ],
  ['the conversation is damaged', 'is damaged', ({ fileOf, pointer }) => writeFile(fileOf(pointer.checkpoint), '{')],
  [
    'the pointer is no pointer',
    'not of the expected form',
    ({ ctx, key, field }) => ctx.redis.hset(key, field, '{"checkpoint":7}'),
  ],
  [
    'the files are those of another turn',
    'the conversation does not belong to the files that were saved',
    ({ ctx, key, field, older, pointer }) =>
      ctx.redis.hset(key, field, JSON.stringify({ ...pointer, tree: older.tree })),
  ],
  [
    'the files are not what the conversation saw',
    'and the conversation saw 0000',
    async ({ ctx, key, field, pointer }) => {
      const saved = Saved.parse(JSON.parse(Buffer.from(await ctx.blobs.get(pointer.checkpoint)).toString()));
      const other = { ...saved, workspace: { ...saved.workspace, tree: '0'.repeat(40) } };
      const checkpoint = await ctx.blobs.put(Buffer.from(JSON.stringify(other)));
      return ctx.redis.hset(key, field, JSON.stringify({ ...pointer, checkpoint }));
    },
  ],
])('when %s, the step begins anew on clean files and the log says why (%s)', async (_, reason, spoil) => {
  const run = await twoTurnsSaved();
  await spoil(run);
  const transcript = await checkWhole(run, await run.attempt(3, 9));
  expect(run.server.requests).toBe(2 + 3);
  expect(transcript).toContain('. is empty');
  const events = await run.ctx.store.readEvents(run.plan.runId, 0);
  const told = events.flatMap((event) => (event.type === 'conversation.restarted' ? [event.reason] : []));
  expect(told).toHaveLength(1);
  expect(told[0]).toContain(reason);
});

test('while there is more than can be kept, the conversation is saved with the files of before, and is told so', async () => {
  const run = await twoTurnsSaved();
  const { ctx, plan, pointer, key, field } = run;
  const fence = personaFence(run.at.prefix, plan, 'attempt-2');
  const open = () =>
    openSavedWork({
      redis: ctx.redis,
      prefix: run.at.prefix,
      runId: plan.runId,
      jobId: field,
      blobs: ctx.blobs,
      fence,
      files: {
        snapshot: () => Promise.resolve(null),
        adopt: ({ tree }) => Promise.resolve(tree ?? ''),
        reset: () => Promise.resolve(),
      },
      onStartOver: () => Promise.resolve(),
    });
  const saved = await open();
  const loaded = await saved.load();
  if (loaded.state !== 'saved') throw new Error(loaded.state);
  await saved.save(loaded.checkpoint);
  expect(Pointer.parse(JSON.parse((await ctx.redis.hget(key, field)) ?? '')).tree).toEqual(pointer.tree);
  const transcript = await checkWhole(run, await run.attempt(3, 9));
  expect(transcript).toContain('The workspace held more than can be kept, so the files are as they were before that.');
});

test('a store that is out of reach for the moment is a fault of the attempt, and nothing is forgotten', async () => {
  const run = await twoTurnsSaved();
  const file = run.fileOf(run.pointer.tree.bundle);
  const bytes = await readFile(file);
  await rm(file);
  await mkdir(file);
  await expect(run.attempt(3, 9)).rejects.toMatchObject({ code: 'BLOB_UNAVAILABLE', retry: true });
  await rm(file, { recursive: true });
  await writeFile(file, bytes);
  await checkWhole(run, await run.attempt(4, 9));
  expect(run.server.requests).toBe(3);
});

/** A run whose persona reviews in three turns, the second of which takes its time; nobody works on it yet. */
async function reviewRun(delayMs = 0) {
  const at = testRedis();
  const judgement = {
    metric: 'code_review_completion',
    summary: 'read',
    items: [{ item: 'tests', met: false, note: 'no test is there' }],
  };
  const run = await personaRun(at, {
    kind: 'review',
    turns: [
      { tools: [{ tool: 'list_files', input: {} }] },
      { tools: [{ tool: 'read_file', input: { path: 'a.txt' } }], delay_ms: delayMs },
      { tools: [{ tool: 'hand_over_review', input: { judgements: [judgement] } }] },
    ],
    tools: ['list_files', 'read_file'],
    plan: { policy: 'custom_component' },
  });
  const { ctx, plan } = run;
  const judged = async (content: string) => {
    const { workspace } = await openWorkspace({ dir: await tempFolder(), blobs: ctx.blobs, sources: [] });
    await writeFile(join(workspace.dir, 'a.txt'), content);
    const author = { name: 'a', email: 'a@b.invalid' };
    await workspace.commitAll({ message: 'work', trailers: {}, author, date: '2026-01-01T00:00:00Z' });
    return workspace.bundle();
  };
  const dataOf = (base: CommitRef): PersonaJob => ({
    ...personaData(plan),
    kind: 'review',
    metrics: ['code_review_completion'],
    base,
  });
  return { ...run, at, judged, dataOf };
}

test('a review that broke off is gone on with as well, unless other files are to be judged', async () => {
  const { ctx, plan, server, at, judged, dataOf } = await reviewRun();
  const [first, other] = [await judged('one'), await judged('two')];
  const review = async (base: CommitRef, number: number, calls: number) => {
    const fence = personaFence(at.prefix, plan, `attempt-${number}`);
    await ctx.redis.set(fence.lockKey, fence.token);
    let left = 2 * calls;
    const pausePoint = (): void => {
      left -= 1;
      if (left < 0) throw new Error('the worker stops here');
    };
    const signal = new AbortController().signal;
    return doPersonaJob(ctx, { data: dataOf(base), fence, signal, attempt: { number, isLast: false }, pausePoint });
  };
  await expect(review(first, 1, 2)).rejects.toThrow('the worker stops here');
  expect(server.requests).toBe(2);
  await review(first, 2, 9);
  expect(server.requests).toBe(3);
  await review(other, 3, 9);
  expect(server.requests).toBe(6);
});

test('a worker that drains ends the turn of a review and gives it back: the next one buys the rest alone', async () => {
  const { ctx, plan, server, at, judged, dataOf } = await reviewRun(1_500);
  const queue = new Queue(personaQueue('noop'), { connection: ctx.redis, prefix: at.prefix, skipVersionCheck: true });
  onTestFinished(() => queue.close());
  // The run's own job, which no review is.
  await queue.remove(jobIds.work({ runId: plan.runId, generation: 0 }, 'a', 'noop', 0));
  const data = dataOf(await judged('one'));
  const job = await queue.add('review', data, { jobId: jobIds.review(data, 'a', 'noop', 0) });
  const open = () => startFleet(ctx, { personas: ['noop'], gates: false, concurrency: 1 });
  const drained = await open();
  await expect.poll(() => server.requests, { timeout: 20_000 }).toBe(2);
  await drained.close(60_000);
  expect(drained.load()).toMatchObject({ done: 0, failed: 0, givenBack: 1 });
  expect(server.requests).toBe(2);

  const next = await open();
  onTestFinished(() => next.close(2_000));
  await expect.poll(() => job.getState(), { timeout: 20_000 }).toBe('completed');
  expect(server.requests).toBe(3);
  const turns = (await ctx.store.readEvents(plan.runId, 0)).filter((event) => event.type === 'persona.turn');
  expect(turns.map(({ kind, turn }) => [kind, turn])).toEqual([1, 2, 3].map((turn) => ['review', turn]));
  expect(await ctx.store.getPhase(plan.runId, 'a')).toMatchObject({ faults: 0, usage: { calls: 3 } });
});
