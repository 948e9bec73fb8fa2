import { z } from 'zod';
import { CostTotals } from '../shared/call-ledger.ts';
import { RunStatus } from '../shared/run-record.ts';
import { WorkerStanding } from '../shared/worker-registry.ts';

const Count = z.number().int().min(0);

/** Jobs of a queue, by state. `waiting` counts prioritized ones too. */
export const QueueDepth = z.strictObject({
  waiting: Count,
  active: Count,
  delayed: Count,
  /** Jobs that wait for the jobs below them. */
  waitingChildren: Count,
  failed: Count,
});
export type QueueDepth = z.infer<typeof QueueDepth>;

/** Jobs that ended, by minute. */
const Minutes = z.strictObject({
  /** The minute that the last entry stands for, as it began. */
  until: z.iso.datetime(),
  /** One entry a minute, the latest last; the latest minute is not over. */
  done: z.array(Count),
  failed: z.array(Count),
});

export const FleetQueue = z.strictObject({
  queue: z.string(),
  depth: QueueDepth,
  /** Worker processes that take its jobs. */
  workers: Count,
  /** Jobs ended a minute, over the last five minutes and the last hour that are over. */
  perMinute5: z.number(),
  perMinute60: z.number(),
});
export type FleetQueue = z.infer<typeof FleetQueue>;

const LimitKindName = z.enum(['requests', 'input', 'output', 'tokens']);
export const ModelLimitsView = z.strictObject({
  models: z.array(
    z.strictObject({
      model: z.string(),
      endpoint: z.string(),
      pausedForMs: z.number(),
      reason: z.string(),
      pauses: Count,
      callsAllowed: z.number().nullable(),
      callsUnderWay: Count,
      waiting: Count,
      parked: Count,
      budgets: z.array(
        z.strictObject({
          kind: LimitKindName,
          perMinute: z.number(),
          left: z.number(),
          source: z.enum(['configured', 'learnt']),
        }),
      ),
    }),
  ),
  endpoints: z.array(
    z.strictObject({
      endpoint: z.string(),
      breaker: z.enum(['closed', 'open', 'half_open']),
      failures: Count,
      opensForMs: z.number(),
      error: z.string(),
    }),
  ),
});

/** The whole fleet at a glance. */
export const FleetStatus = z.strictObject({
  at: z.iso.datetime(),
  workers: z.array(WorkerStanding),
  queues: z.array(FleetQueue),
  /** Over all persona queues and the gates queue. */
  throughput: Minutes,
  /** Every ten seconds, the oldest first, with none for times when nobody could look: jobs that wait, that are worked on, and that sleep until their time. */
  history: z.array(z.strictObject({ at: z.iso.datetime(), waiting: Count, active: Count, delayed: Count })),
  /** Simulated and replayed ones are counted with the others. */
  runs: z.record(RunStatus, Count),
  /** What today (UTC) cost so far: runs on a real provider, and runs that cannot cost anything. */
  today: z.strictObject({ day: z.iso.date(), paid: CostTotals.nullable(), free: CostTotals.nullable() }),
  limits: ModelLimitsView,
});
export type FleetStatus = z.infer<typeof FleetStatus>;
