import { Queue, Worker } from 'bullmq';
import { describe, expect, it } from 'vitest';
import { waitForRun, watchRun } from '../../src/producer/watch.ts';
import { QUEUES, jobIds } from '../../src/shared/names.ts';
import { connectRedis } from '../../src/shared/redis.ts';
import type { RunEvent } from '../../src/shared/run-record.ts';
import { RunStore } from '../../src/shared/run-store.ts';
import { movePhase, moveRun } from '../../src/shared/transitions.ts';
import { testRedis } from '../support/test-redis.ts';
import { collect, finishRun, planOf, recordRound, verdictOf } from './seed-run.ts';

const ownRedis = testRedis();
const { url: redisUrl, prefix } = ownRedis;
const redis = await ownRedis.connect();
const store = new RunStore(redis, prefix);
const PHASES = ['design', 'backend'];

async function newRun() {
  const plan = planOf(PHASES);
  await store.createRun(plan);
  return { redisUrl, prefix, store, runId: plan.runId };
}
const names = (events: readonly RunEvent[]): string[] => events.map(({ type }) => type);

/** Lets events pile up in the background. */
function follow(events: AsyncIterable<RunEvent>): { seen: RunEvent[]; done: Promise<void> } {
  const seen: RunEvent[] = [];
  const read = async (): Promise<void> => {
    for await (const event of events) seen.push(event);
  };
  return { seen, done: read() };
}

describe('watching a run', () => {
  it('replays the whole log of a run that has ended, and ends', async () => {
    const run = await newRun();
    await finishRun(store, run.runId, PHASES);
    const events = await collect(watchRun(run));
    expect(events.map(({ seq }) => seq)).toEqual(events.map((_, index) => index + 1));
    expect(names(events).at(-1)).toBe('run.finished');
  });

  it('goes on after the event that was seen last', async () => {
    const run = await newRun();
    await finishRun(store, run.runId, PHASES);
    const events = await collect(watchRun({ ...run, fromSeq: 3 }));
    expect(events[0]?.seq).toBe(4);
  });

  it('shows events as they happen, every one once and in order', async () => {
    const run = await newRun();
    const { seen, done } = follow(watchRun(run));
    await expect.poll(() => seen.length).toBe(1);
    await finishRun(store, run.runId, PHASES);
    await done;
    expect(seen.map(({ seq }) => seq)).toEqual(seen.map((_, index) => index + 1));
  });

  it('shows a verdict from the job events before the log has it, and only once', async () => {
    const run = await newRun();
    const { runId } = run;
    const { seen, done } = follow(watchRun(run));
    await expect.poll(() => seen.length).toBe(1);
    const queue = new Queue(QUEUES.gates, { connection: redis, prefix });
    const verdict = verdictOf('design', 'blocked');
    const job = await queue.add('gate', {}, { jobId: jobIds.gate({ runId, generation: 0 }, 'design') });
    await job.updateProgress({ runId, phase: 'design', round: 0, verdict });
    await expect.poll(() => names(seen)).toEqual(['run.queued', 'gate.verdict']);
    expect((await store.getPhase(runId, 'design')).rounds).toEqual([]);
    await recordRound(store, runId, 'design', 0, 'blocked');
    await recordRound(store, runId, 'design', 1, 'passed');
    await moveRun(store, runId, 'passed');
    await done;
    expect(names(seen)).toEqual(['run.queued', 'gate.verdict', 'gate.verdict', 'run.finished']);
    await job.remove();
    await queue.close();
  });

  it('leaves out a late job event of a verdict that the log has already told', async () => {
    const run = await newRun();
    const { runId } = run;
    await recordRound(store, runId, 'design', 0, 'blocked');
    const { seen, done } = follow(watchRun(run));
    await expect.poll(() => names(seen)).toEqual(['run.queued', 'gate.verdict']);
    const connection = await connectRedis(redisUrl, 'worker');
    const verdict = verdictOf('design', 'blocked');
    const worker = new Worker(
      QUEUES.gates,
      async (job) => {
        await job.updateProgress({ runId, phase: 'design', round: 0, verdict });
        return { phase: 'design', status: 'blocked', verdict };
      },
      { connection, prefix },
    );
    const queue = new Queue(QUEUES.gates, { connection: redis, prefix });
    await queue.add('gate', {}, { jobId: jobIds.gate({ runId, generation: 0 }, 'design') });
    await expect.poll(() => queue.getCompletedCount()).toBe(1);
    await moveRun(store, runId, 'blocked');
    await done;
    expect(names(seen)).toEqual(['run.queued', 'gate.verdict', 'run.finished']);
    await worker.close();
    await queue.close();
    connection.disconnect();
  });

  it('tells how things stand from the records when the beginning of the log is gone', async () => {
    const run = await newRun();
    await finishRun(store, run.runId, PHASES);
    await redis.xtrim(store.eventsKey(run.runId), 'MAXLEN', 1);
    const events = await collect(watchRun(run));
    expect(names(events)).toEqual(['gate.verdict', 'phase.status', 'gate.verdict', 'phase.status', 'run.finished']);
    expect(events.every((event) => event.type !== 'phase.status' || event.status === 'passed')).toBe(true);
  });

  it('ends by the record of a run whose log is gone altogether', async () => {
    const run = await newRun();
    await finishRun(store, run.runId, PHASES);
    await redis.del(store.eventsKey(run.runId));
    expect(names(await collect(watchRun(run)))).toEqual(['run.finished']);
  });

  it('stops when it is told to, also in the middle of waiting', async () => {
    const run = await newRun();
    const stop = new AbortController();
    const { seen, done } = follow(watchRun({ ...run, signal: stop.signal }));
    await expect.poll(() => seen.length).toBe(1);
    const started = performance.now();
    stop.abort();
    await done;
    expect(performance.now() - started).toBeLessThan(4_000);
  });

  it('refuses a run that does not exist', async () => {
    const { runId } = planOf(PHASES);
    await expect(collect(watchRun({ redisUrl, prefix, store, runId }))).rejects.toMatchObject({ code: 'NOT_FOUND' });
  });

  it('waits for the end of a run and returns its record', async () => {
    const run = await newRun();
    const waiting = waitForRun(run);
    await movePhase(store, run.runId, 'design', 'failed', { reason: 'no model' });
    await moveRun(store, run.runId, 'failed', { reason: 'no model' });
    expect(await waiting).toMatchObject({ status: 'failed', reason: 'no model', simulated: true });
  });
});
