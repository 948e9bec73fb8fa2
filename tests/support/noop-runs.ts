import { expect, onTestFinished } from 'vitest';
import { enqueueRun } from '../../src/producer/enqueue.ts';
import type { EnqueueTarget } from '../../src/producer/enqueue-target.ts';
import { type RunPlan, TERMINAL_RUN } from '../../src/shared/run-record.ts';
import { type NoopFleet, startNoopFleet } from './noop-fleet.ts';
import { testRedis } from './test-redis.ts';

/** A fleet of no-op personas on queues of its own, and what tests ask of the runs in it. */
export async function startNoopRuns(behaviour: Parameters<typeof startNoopFleet>[1] = {}, at = testRedis()) {
  const fleet: NoopFleet = await startNoopFleet(at, behaviour);
  onTestFinished(() => fleet.fleet.close(2_000));
  const { store, redis } = fleet;
  const target: EnqueueTarget = { redis, prefix: at.prefix, store };
  return {
    ...fleet,
    at,
    target,
    /** Adds a run and waits until it has ended. */
    run: async (plan: RunPlan): Promise<string> => {
      await enqueueRun(target, plan);
      return endOf(plan);
    },
    add: (plan: RunPlan) => enqueueRun(target, plan),
    endOf,
    statuses: async (plan: RunPlan): Promise<Record<string, string>> =>
      Object.fromEntries((await store.getPhases(plan.runId)).map(({ phase, status }) => [phase, status])),
  };

  async function endOf(plan: RunPlan): Promise<string> {
    await expect
      .poll(async () => TERMINAL_RUN.includes((await store.getRun(plan.runId)).status), {
        timeout: 40_000,
        interval: 25,
      })
      .toBe(true);
    return (await store.getRun(plan.runId)).status;
  }
}
