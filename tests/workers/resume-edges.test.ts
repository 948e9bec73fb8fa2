import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { resumeRun } from '../../src/producer/resume.ts';
import { cancelRun, pauseRun } from '../../src/producer/run-control.ts';
import { BlobRef } from '../../src/shared/run-record.ts';
import { moveRun } from '../../src/shared/transitions.ts';
import { noopPlan } from '../support/noop-fleet.ts';
import { startNoopRuns } from '../support/noop-runs.ts';

const EDITS = { commit: 'e'.repeat(40), bundle: BlobRef.parse('1'.repeat(64)) };

describe('edits to a phase are refused', () => {
  test('when what the phase needs is run again: they would be judged before it has passed', async () => {
    const blocked = new Set(['b']);
    const { run, endOf, target, store } = await startNoopRuns({
      verdictOf: (_run, phase) => (blocked.has(phase) ? 'blocked' : 'passed'),
    });
    const plan = noopPlan({ a: [], b: ['a'] });
    await run(plan);
    blocked.add('a');
    await resumeRun(target, plan.runId, { takeUp: { kind: 'from', phase: 'a' } });
    expect(await endOf(plan)).toBe('blocked');
    await expect(resumeRun(target, plan.runId, { edited: { phase: 'b', commit: EDITS } })).rejects.toThrow(
      /phase "b" needs a, which must pass first/,
    );
    expect((await store.getRun(plan.runId)).generation).toBe(1);
  });

  test('when the phase is repeated over a list: its work is that of its instances', async () => {
    const { run, target, store } = await startNoopRuns();
    const repeat = { lists: { item: ['x', 'y'] }, isMatrix: false, parallel: null };
    const plan = noopPlan({ service: [] }, {}, { phase: () => ({ repeat }) });
    expect(await run(plan)).toBe('passed');
    await expect(
      resumeRun(target, plan.runId, {
        takeUp: { kind: 'from', phase: 'service' },
        edited: { phase: 'service', commit: EDITS },
      }),
    ).rejects.toThrow(/phase "service" is repeated/);
    expect((await store.getRun(plan.runId)).generation).toBe(0);
  });
});

test('personas that were done are not asked again, however often the run is taken up', async () => {
  let isBroken = true;
  const works: string[] = [];
  const { run, endOf, target } = await startNoopRuns({
    personas: ['one', 'two'],
    work: (phase, _attempt, _run, persona) => {
      works.push(`${phase}/${persona}`);
      if (isBroken && persona === 'two') throw new Error('no such host');
    },
  });
  const plan = noopPlan({ a: [] }, { personas: ['one', 'two'], attempts: 1 });
  expect(await run(plan)).toBe('failed');
  await resumeRun(target, plan.runId);
  expect(await endOf(plan)).toBe('failed');
  isBroken = false;
  await resumeRun(target, plan.runId);
  expect(await endOf(plan)).toBe('passed');
  expect(works.toSorted()).toEqual(['a/one', 'a/two', 'a/two', 'a/two']);
});

test('of two people who resume a run at once, the second hears that it is under way', async () => {
  let verdict: 'blocked' | 'passed' = 'blocked';
  const { run, endOf, target } = await startNoopRuns({ verdictOf: () => verdict });
  const plan = noopPlan({ a: [] });
  await run(plan);
  verdict = 'passed';
  const both = await Promise.all([1, 2].map(() => resumeRun(target, plan.runId)));
  expect(both.filter(({ changed }) => changed)).toHaveLength(1);
  expect(await endOf(plan)).toBe('passed');
});

test('a phase that was left out at first and is run later no longer counts as judged by nobody', async () => {
  const { run, endOf, target, store } = await startNoopRuns();
  const plan = { ...noopPlan({ a: [], b: ['a'] }), startFrom: { phase: 'b', given: null } };
  expect(await run(plan)).toBe('passed_with_warnings');
  await resumeRun(target, plan.runId, { takeUp: { kind: 'from', phase: 'a' } });
  expect(await endOf(plan)).toBe('passed');
  expect((await store.getRun(plan.runId)).reason).toBe('');
});

test('what a stopping attempt still notes is not overwritten by whoever resumes the run', async () => {
  const { run, store } = await startNoopRuns({ verdicts: { a: 'blocked' } });
  const plan = noopPlan({ a: [] });
  await run(plan);
  const seq = await store.lastSeq(plan.runId);
  const phases = await store.getPhases(plan.runId);
  await store.append(plan.runId, [{ type: 'rework.requested', phase: 'a', round: 1, findings: 0, headline: 'late' }]);
  const of = { change: (before: Parameters<Parameters<typeof store.reopen>[2]['change']>[0]) => before, reason: '' };
  expect(await store.reopen(plan.runId, { generation: 0, seq }, { ...of, phases })).toBe(false);
  const now = await store.lastSeq(plan.runId);
  expect(await store.reopen(plan.runId, { generation: 0, seq: now }, { ...of, phases })).toBe(true);
});

describe('what a resumed run may spend', () => {
  test('counts for a paused run too', async () => {
    const { add, endOf, target, store, log } = await startNoopRuns({ work: () => sleep(150) });
    const plan = noopPlan({ a: [], b: ['a'] });
    await add(plan);
    await expect.poll(() => log).toContain('a+');
    await pauseRun(target, plan.runId, '');
    expect(await resumeRun(target, plan.runId, { budget: { tokens: 4_000 } })).toMatchObject({ changed: true });
    expect((await store.getRun(plan.runId)).budget).toEqual({ tokens: 4_000 });
    expect(await endOf(plan)).toBe('passed');
  });

  test('is refused for a run that is under way: conversations have read what they may spend', async () => {
    const { add, endOf, target, log } = await startNoopRuns({ work: () => sleep(300) });
    const plan = noopPlan({ a: [] });
    await add(plan);
    await expect.poll(() => log).toContain('a+');
    await expect(resumeRun(target, plan.runId, { budget: { tokens: 4_000 } })).rejects.toThrow(
      /is running; its budget can be changed when it is paused or has ended/,
    );
    expect(await endOf(plan)).toBe('passed');
  });
});

describe('nothing begins in a run that was cancelled', () => {
  test('also a phase that came to the run while it was being cancelled', async () => {
    const { add, statuses, store, log, redis, at } = await startNoopRuns({ work: () => sleep(300) });
    const plan = noopPlan({ a: [], b: ['a'] });
    await add(plan);
    await expect.poll(() => log).toEqual(['a+']);
    // The run alone, as for a phase that was added after the phases of the run had been read.
    await moveRun(store, plan.runId, 'cancelled', { reason: 'enough' });
    const root = `${at.prefix}:runs:${plan.runId}.run`;
    expect(await redis.exists(root)).toBe(1);
    await expect.poll(async () => redis.hexists(root, 'finishedOn'), { timeout: 10_000 }).toBe(1);
    expect(log.filter((entry) => entry.endsWith('+'))).toEqual(['a+']);
    expect(await statuses(plan)).toMatchObject({ b: 'cancelled' });
  });

  test('and every phase of it reads cancelled, with the reason', async () => {
    const { add, statuses, target, log } = await startNoopRuns({ work: () => sleep(200) });
    const repeat = { lists: { item: ['x', 'y'] }, isMatrix: false, parallel: 1 };
    const plan = noopPlan({ a: [], b: ['a'] }, {}, { phase: (name) => (name === 'a' ? { repeat } : {}) });
    await add(plan);
    await expect.poll(() => log.length).toBe(1);
    await cancelRun(target, plan.runId, 'enough');
    expect(Object.values(await statuses(plan))).toEqual(['cancelled', 'cancelled', 'cancelled', 'cancelled']);
  });
});
