import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { errorMessage } from '../shared/errors.ts';
import type { QueuePool } from './queue-pool.ts';
import { retireRuns } from './retire-runs.ts';
import { sweepRun } from './sweep-runs.ts';
import type { WorkerContext } from './worker-context.ts';

const EVERY_MS = 5_000;
/** A leader that has not swept for so long is gone. */
const LEAD_MS = 30_000;
/** What one sweep looks at, so that it stays short however many runs there are; the next one goes on from there. */
const RUNS_A_SWEEP = 200;
const JOBS_A_SWEEP = 500;
const QUIET_MS = 60_000;

export interface Sweeper {
  close(): Promise<void>;
}

/**
 * Looks after what nobody else would notice: runs that can no longer end by themselves, and ended runs that are to leave
 * Redis. Every process with gates has one; one at a time works.
 */
export function startSweeper(ctx: WorkerContext, queues: QueuePool): Sweeper {
  const stop = new AbortController();
  const me = randomUUID();
  const running = (async (): Promise<void> => {
    let after: string | undefined;
    while (!stop.signal.aborted) {
      // Replicas that were started together do not all ask at the same moment.
      await sleep(EVERY_MS * (0.75 + Math.random() / 2), undefined, { signal: stop.signal, ref: false }).catch(
        () => undefined,
      );
      if (stop.signal.aborted) return;
      try {
        if (!(await leads(ctx, me))) continue;
        after = await sweepPage(ctx, queues, after, stop.signal);
        await retireRuns(ctx, queues, stop.signal);
      } catch (err) {
        if (!stop.signal.aborted)
          ctx.logger.warn({ err: errorMessage(err) }, 'the sweep broke off; the next one goes on');
      }
    }
  })();
  return {
    close: async () => {
      stop.abort();
      await running;
    },
  };
}

/** Whether this process is the one that sweeps. Two at once would do no harm: every step is decided in Redis. */
async function leads({ redis, config }: WorkerContext, me: string): Promise<boolean> {
  const key = `${config.prefix}:maestro:sweeper`;
  if ((await redis.set(key, me, 'PX', LEAD_MS, 'NX')) === 'OK') return true;
  if ((await redis.get(key)) !== me) return false;
  await redis.pexpire(key, LEAD_MS);
  return true;
}

/** Sweeps the next runs; returns where the next page begins, undefined at the end of the list. */
async function sweepPage(
  ctx: WorkerContext,
  queues: QueuePool,
  after: string | undefined,
  signal: AbortSignal,
): Promise<string | undefined> {
  const limits = { quietMs: QUIET_MS, stuckAfterMs: ctx.config.stuckAfterMs };
  const ids = await ctx.store.index.unended(after, RUNS_A_SWEEP);
  let jobs = 0;
  for (const id of ids) {
    if (signal.aborted || jobs >= JOBS_A_SWEEP) return after;
    after = id;
    try {
      jobs += await sweepRun(ctx, queues, id, limits);
    } catch (err) {
      // A run that cannot be read is not in the way of the others.
      if (!signal.aborted) ctx.logger.warn({ runId: id, err: errorMessage(err) }, 'a run could not be swept');
    }
  }
  return ids.length < RUNS_A_SWEEP ? undefined : after;
}
