import { Queue } from 'bullmq';
import { expect, test } from 'vitest';
import { QUEUES, jobIds, personaQueue } from '../../src/shared/names.ts';
import type { RunPlan } from '../../src/shared/run-record.ts';
import { noopPlan } from '../support/noop-fleet.ts';
import { startNoopRuns } from '../support/noop-runs.ts';

const withPriority = (priority?: number): RunPlan => ({
  ...noopPlan({ a: [], b: ['a'] }),
  ...(priority === undefined ? {} : { priority }),
});

test('runs with a lower number go first wherever they wait; those that say nothing before all of them', async () => {
  const began: string[] = [];
  let open = (): void => undefined;
  const gate = new Promise<void>((resolve) => (open = resolve));
  const holder = withPriority();
  const { add, endOf } = await startNoopRuns({
    concurrency: 1,
    work: async (phase, _attempt, runId) => {
      if (runId === holder.runId) await gate;
      else if (phase === 'a') began.push(runId);
    },
  });
  await add(holder);
  const plans = { late: withPriority(100), middle: withPriority(40), soon: withPriority(1), plain: withPriority() };
  for (const plan of Object.values(plans)) await add(plan);
  open();
  for (const plan of Object.values(plans)) expect(await endOf(plan)).toBe('passed');
  const { late, middle, soon, plain } = plans;
  expect(began).toEqual([plain, soon, middle, late].map(({ runId }) => runId));
});

test('every job of a run has its priority, also those that are added later', async () => {
  const { run, redis, at } = await startNoopRuns({
    verdictOf: (_run, phase, round) => (phase === 'each--x' && round === 0 ? 'blocked' : 'passed'),
  });
  const plan = {
    ...noopPlan(
      { a: [], each: ['a'], c: ['a'] },
      { rework: 1 },
      {
        phase: (name) =>
          name === 'each' ? { repeat: { lists: { item: ['x'] }, isMatrix: false, parallel: null } } : {},
      },
    ),
    priority: 9,
  };
  expect(await run(plan)).toBe('passed');
  const take = { runId: plan.runId, generation: 0 };
  const jobs: [string, string][] = [
    [QUEUES.runs, jobIds.run(take)],
    [QUEUES.gates, jobIds.gate(take, 'each')],
    [QUEUES.gates, jobIds.gate(take, 'each--x')],
    [QUEUES.edges, jobIds.fan(take, 'a')],
    [personaQueue('noop'), jobIds.work(take, 'each--x', 'noop', 0)],
    [personaQueue('noop'), jobIds.work(take, 'each--x', 'noop', 1)],
  ];
  for (const [name, id] of jobs) {
    const queue = new Queue(name, { connection: redis, prefix: at.prefix });
    expect([id, (await queue.getJob(id))?.opts.priority]).toEqual([id, 9]);
    await queue.close();
  }
});
