import { setTimeout as sleep } from 'node:timers/promises';
import type { Job } from 'bullmq';
import { afterEach, describe, expect, test } from 'vitest';
import { enqueueRun } from '../../src/producer/enqueue.ts';
import type { EnqueueTarget } from '../../src/producer/enqueue-target.ts';
import { resumeRun } from '../../src/producer/resume.ts';
import { cancelRun, pauseRun } from '../../src/producer/run-control.ts';
import { withQueue } from '../../src/producer/with-queue.ts';
import { QUEUES, type RunId, jobIds } from '../../src/shared/names.ts';
import { type RunPlan, TERMINAL_RUN } from '../../src/shared/run-record.ts';
import { type NoopFleet, noopPlan, startNoopFleet } from '../support/noop-fleet.ts';
import { testRedis } from '../support/test-redis.ts';

const DIAMOND = { a: [], b: ['a'], c: ['a'], d: ['b', 'c'], e: ['d'] };

const open: NoopFleet[] = [];
afterEach(async () => {
  for (const { fleet } of open.splice(0)) await fleet.close(2_000);
});

async function start(behaviour: Parameters<typeof startNoopFleet>[1] = {}) {
  const at = testRedis();
  const fleet = await startNoopFleet(at, behaviour);
  open.push(fleet);
  const target: EnqueueTarget = { redis: fleet.redis, prefix: at.prefix, store: fleet.store };
  return { ...fleet, target, ...helpers(target) };
}

function helpers(target: EnqueueTarget) {
  const { store } = target;
  const standing = async (plan: RunPlan) => (await store.getRun(plan.runId)).status;
  return {
    run: async (plan: RunPlan): Promise<RunId> => {
      await enqueueRun(target, plan);
      return plan.runId;
    },
    ended: (plan: RunPlan) =>
      expect
        .poll(async () => TERMINAL_RUN.includes(await standing(plan)), { timeout: 30_000, interval: 25 })
        .toBe(true),
    statuses: async (plan: RunPlan) =>
      Object.fromEntries((await store.getPhases(plan.runId)).map((phase) => [phase.phase, phase.status])),
    finished: async (plan: RunPlan) =>
      (await store.readEvents(plan.runId, 0)).flatMap((event) => (event.type === 'run.finished' ? [event.status] : [])),
  };
}

const begun = (log: readonly string[]): string[] => log.filter((entry) => entry.endsWith('+')).toSorted();

describe('a run that ended is taken up again under the same id', () => {
  test('blocked: only what did not pass, and what depends on it, runs again', async () => {
    let verdict: 'blocked' | 'passed' = 'blocked';
    const fleet = await start({ verdictOf: (_, phase) => (phase === 'c' ? verdict : 'passed') });
    const plan = noopPlan(DIAMOND);
    await fleet.run(plan);
    await fleet.ended(plan);
    expect(await fleet.statuses(plan)).toEqual({
      a: 'passed',
      b: 'passed',
      c: 'blocked',
      d: 'not_started',
      e: 'not_started',
    });
    fleet.log.length = 0;
    verdict = 'passed';
    expect(await resumeRun(fleet.target, plan.runId)).toEqual({
      runId: plan.runId,
      generation: 1,
      phases: ['c', 'd', 'e'],
      changed: true,
    });
    await fleet.ended(plan);
    expect((await fleet.store.getRun(plan.runId)).status).toBe('passed');
    // The work of c was done: its gate judges it again before anybody works on it.
    expect(begun(fleet.log)).toEqual(['d+', 'e+']);
    expect(await fleet.finished(plan)).toEqual(['blocked', 'passed']);
  });

  test('failed: the phase goes on in the round it was in, and personas that were done are not asked again', async () => {
    let isBroken = true;
    const works: string[] = [];
    const fleet = await start({
      personas: ['one', 'two'],
      work: (phase, _attempt, _run, persona) => {
        works.push(`${phase}/${persona}`);
        if (isBroken && persona === 'two') throw new Error('no such host');
      },
    });
    const plan = noopPlan({ a: [], b: ['a'] }, { personas: ['one', 'two'], attempts: 1 });
    await fleet.run(plan);
    await fleet.ended(plan);
    expect(await fleet.statuses(plan)).toEqual({ a: 'failed', b: 'not_started' });
    isBroken = false;
    works.length = 0;
    await resumeRun(fleet.target, plan.runId);
    await fleet.ended(plan);
    expect((await fleet.store.getRun(plan.runId)).status).toBe('passed');
    expect(works.toSorted()).toEqual(['a/two', 'b/one', 'b/two']);
    expect((await fleet.store.getPhase(plan.runId, 'a')).round).toBe(0);
  });

  test('cancelled: work of the first taking-up that is still under way can commit nothing any more', async () => {
    let slow = true;
    const fleet = await start({ work: () => sleep(slow ? 1_500 : 0) });
    const plan = noopPlan({ a: [], b: ['a'] });
    await fleet.run(plan);
    await expect.poll(() => fleet.log).toEqual(['a+']);
    await cancelRun(fleet.target, plan.runId, 'by hand');
    slow = false;
    await resumeRun(fleet.target, plan.runId);
    await fleet.ended(plan);
    expect((await fleet.store.getRun(plan.runId)).status).toBe('passed');
    await sleep(1_500);
    // The old attempt came to its end, too late.
    expect(fleet.log.filter((entry) => entry === 'a-')).toHaveLength(2);
    const done = (await fleet.store.readEvents(plan.runId, 0)).filter((event) => event.type === 'persona.done');
    expect(done.map((event) => event.phase)).toEqual(['a', 'b']);
    expect(await fleet.finished(plan)).toEqual(['cancelled', 'passed']);
  });

  test('one phase is retried, and another that was blocked stays so', async () => {
    const blocked = new Set(['b', 'c']);
    const fleet = await start({ verdictOf: (_, phase) => (blocked.has(phase) ? 'blocked' : 'passed') });
    const plan = noopPlan(DIAMOND);
    await fleet.run(plan);
    await fleet.ended(plan);
    blocked.delete('b');
    const again = await resumeRun(fleet.target, plan.runId, { takeUp: { kind: 'phase', phase: 'b' } });
    expect(again.phases).toEqual(['b', 'd', 'e']);
    await fleet.ended(plan);
    expect(await fleet.statuses(plan)).toEqual({
      a: 'passed',
      b: 'passed',
      c: 'blocked',
      d: 'not_started',
      e: 'not_started',
    });
    expect((await fleet.store.getRun(plan.runId)).status).toBe('blocked');
  });

  test('from a phase onward, also what had passed, and nothing before it', async () => {
    const fleet = await start();
    const plan = noopPlan(DIAMOND);
    await fleet.run(plan);
    await fleet.ended(plan);
    fleet.log.length = 0;
    const again = await resumeRun(fleet.target, plan.runId, { takeUp: { kind: 'from', phase: 'b' } });
    expect(again.phases).toEqual(['b', 'd', 'e']);
    await fleet.ended(plan);
    expect(begun(fleet.log)).toEqual(['b+', 'd+', 'e+']);
    expect((await fleet.store.getRun(plan.runId)).status).toBe('passed');
    expect((await fleet.store.getPhase(plan.runId, 'b')).firstRound).toBe(1);
  });

  test('again and again: each taking-up ends once', async () => {
    let left = 3;
    const fleet = await start({ verdictOf: () => (left-- > 0 ? 'blocked' : 'passed') });
    const plan = noopPlan({ a: [] });
    await fleet.run(plan);
    await fleet.ended(plan);
    for (let round = 0; round < 3; round += 1) {
      await resumeRun(fleet.target, plan.runId);
      await fleet.ended(plan);
    }
    expect(await fleet.finished(plan)).toEqual(['blocked', 'blocked', 'blocked', 'passed']);
    expect((await fleet.store.getRun(plan.runId)).generation).toBe(3);
  });

  test('two people who resume it at once resume it once', async () => {
    let verdict: 'blocked' | 'passed' = 'blocked';
    const fleet = await start({ verdictOf: () => verdict, work: () => sleep(50) });
    const plan = noopPlan({ a: [], b: ['a'] });
    await fleet.run(plan);
    await fleet.ended(plan);
    verdict = 'passed';
    const both = await Promise.allSettled([1, 2].map(() => resumeRun(fleet.target, plan.runId)));
    const changed = both.filter((outcome) => outcome.status === 'fulfilled' && outcome.value.changed);
    expect(changed).toHaveLength(1);
    await fleet.ended(plan);
    expect((await fleet.store.getRun(plan.runId)).generation).toBe(1);
    expect(begun(fleet.log)).toEqual(['a+', 'b+']);
  });

  test('is refused, with the reason, when it makes no sense', async () => {
    const fleet = await start({ work: (phase) => (phase === 'c' ? sleep(400) : undefined) });
    const plan = noopPlan(DIAMOND);
    await fleet.run(plan);
    await expect(resumeRun(fleet.target, plan.runId, { takeUp: { kind: 'phase', phase: 'a' } })).rejects.toThrow(
      /can be run again when the run has ended/,
    );
    expect(await resumeRun(fleet.target, plan.runId)).toMatchObject({ changed: false, phases: [] });
    await fleet.ended(plan);
    await expect(resumeRun(fleet.target, plan.runId)).rejects.toThrow(/nothing to resume/);
    await expect(resumeRun(fleet.target, plan.runId, { takeUp: { kind: 'phase', phase: 'b' } })).rejects.toThrow(
      /nothing to retry/,
    );
    await expect(resumeRun(fleet.target, plan.runId, { takeUp: { kind: 'from', phase: 'bb' } })).rejects.toThrow(
      /no phase "bb".*"b"/,
    );
    expect((await fleet.store.getRun(plan.runId)).generation).toBe(0);
  });
});

test('a run that starts from a later phase runs nothing before it, and says so instead of passing', async () => {
  const fleet = await start();
  const plan: RunPlan = { ...noopPlan(DIAMOND), startFrom: { phase: 'd', given: null } };
  await fleet.run(plan);
  await fleet.ended(plan);
  expect(begun(fleet.log)).toEqual(['d+', 'e+']);
  expect(await fleet.statuses(plan)).toMatchObject({ a: 'skipped', b: 'skipped', c: 'skipped', d: 'passed' });
  expect(await fleet.store.getRun(plan.runId)).toMatchObject({
    status: 'passed_with_warnings',
    reason: 'started later, so that nobody judged: a, b, c',
  });
});

describe('a paused run', () => {
  test('starts nothing new, and goes on where it stood', async () => {
    const fleet = await start({ work: () => sleep(300) });
    const plan = noopPlan(DIAMOND);
    await fleet.run(plan);
    await expect.poll(() => fleet.log).toEqual(['a+']);
    expect(await pauseRun(fleet.target, plan.runId, 'lunch')).toBe(true);
    expect(await pauseRun(fleet.target, plan.runId, 'lunch')).toBe(false);
    await sleep(1_200);
    expect(begun(fleet.log)).toEqual(['a+']);
    expect((await fleet.store.getRun(plan.runId)).status).toBe('paused');
    await resumeRun(fleet.target, plan.runId);
    await fleet.ended(plan);
    expect(begun(fleet.log)).toEqual(['a+', 'b+', 'c+', 'd+', 'e+']);
    expect((await fleet.store.getRun(plan.runId)).status).toBe('passed');
    const told = (await fleet.store.readEvents(plan.runId, 0)).flatMap((event) =>
      event.type === 'run.status' ? [event.status] : [],
    );
    expect(told).toEqual(['running', 'paused', 'running']);
    await expect(pauseRun(fleet.target, plan.runId, 'late')).rejects.toThrow(/has ended \(passed\)/);
  });

  test('costs no attempt', async () => {
    const fleet = await start({ work: () => sleep(200) });
    const plan = noopPlan({ a: [], b: ['a'] }, { attempts: 1 });
    await fleet.run(plan);
    await expect.poll(() => fleet.log).toEqual(['a+']);
    for (let time = 0; time < 3; time += 1) {
      await pauseRun(fleet.target, plan.runId, '');
      await sleep(400);
      await resumeRun(fleet.target, plan.runId);
    }
    await fleet.ended(plan);
    expect((await fleet.store.getRun(plan.runId)).status).toBe('passed');
  });

  test('can be cancelled, and its parked jobs go away with it', async () => {
    const fleet = await start({ work: (phase) => (phase === 'a' ? sleep(200) : undefined) });
    const plan = noopPlan({ a: [], b: ['a'] });
    await fleet.run(plan);
    await expect.poll(() => fleet.log).toEqual(['a+']);
    await pauseRun(fleet.target, plan.runId, '');
    const root = (): Promise<Job | undefined> =>
      withQueue(fleet.target, QUEUES.runs, (queue) => queue.getJob(jobIds.run({ runId: plan.runId, generation: 0 })));
    await expect
      .poll(async () => (await fleet.redis.smembers(`${fleet.target.prefix}:maestro:run:${plan.runId}:parked`)).length)
      .toBe(1);
    expect(await (await root())?.getState()).toBe('waiting-children');
    await cancelRun(fleet.target, plan.runId, 'enough');
    await expect.poll(async () => (await root())?.getState()).toBe('failed');
    expect(begun(fleet.log)).toEqual(['a+']);
    expect(await fleet.finished(plan)).toEqual(['cancelled']);
  });
});
