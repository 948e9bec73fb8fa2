import { onTestFinished } from 'vitest';
import type { Handoff } from '../../src/shared/handoff.ts';
import { type Redis, connectRedis } from '../../src/shared/redis.ts';
import type { PhaseStatus } from '../../src/shared/run-record.ts';
import type { RunStore } from '../../src/shared/run-store.ts';
import { type Fleet, startFleet } from '../../src/workers/fleet.ts';
import { noopContext, noopHandlers } from './noop-handlers.ts';
import { tempFolder } from './temp-folder.ts';
import type { TestRedis } from './test-redis.ts';

export { noopPlan } from './noop-handlers.ts';

export interface NoopFleet {
  store: RunStore;
  redis: Redis;
  fleet: Fleet;
  ctx: ReturnType<typeof noopContext>;
  /** Phases in the order their personas began and ended. */
  log: string[];
}

interface Behaviour {
  /** What a phase's gate says; `passed` when not named. */
  verdicts?: Readonly<Record<string, PhaseStatus>>;
  /** The same, when it differs from run to run and round to round. */
  verdictOf?: (runId: string, phase: string, round: number) => PhaseStatus;
  /** Called before a gate says anything; may throw. */
  judge?: (phase: string) => void;
  /** Called for each persona job; may throw or take its time. */
  work?: (phase: string, attempt: number, runId: string, persona: string, round: number) => Promise<void> | void;
  /** The outputs a phase hands over. */
  outputs?: (phase: string) => Handoff['outputs'];
  /** The same, when they differ from run to run. */
  outputsOf?: (runId: string, phase: string) => Handoff['outputs'];
  personas?: readonly string[];
  concurrency?: number;
}

/** The real queues, edges, run jobs and store, with personas and gates that only say what they are told to. */
export async function startNoopFleet(at: TestRedis, behaviour: Behaviour = {}): Promise<NoopFleet> {
  const redis = await connectRedis(at.url, 'worker');
  onTestFinished(() => redis.disconnect());
  const log: string[] = [];
  const ctx = noopContext({ redis, redisUrl: at.url, prefix: at.prefix, home: await tempFolder() });
  const handlers = noopHandlers({
    work: async ({ phase: { name }, attempt, plan, persona, round }) => {
      log.push(`${name}+`);
      await behaviour.work?.(name, attempt, plan.runId, persona, round);
      log.push(`${name}-`);
    },
    outputs: ({ plan, phase: { name } }) => behaviour.outputsOf?.(plan.runId, name) ?? behaviour.outputs?.(name),
    verdict: ({ plan, phase: { name }, round }) => {
      behaviour.judge?.(name);
      return behaviour.verdictOf?.(plan.runId, name, round) ?? behaviour.verdicts?.[name] ?? 'passed';
    },
  });
  const options = { personas: behaviour.personas ?? ['noop'], gates: true, concurrency: behaviour.concurrency ?? 10 };
  const fleet = await startFleet(ctx, options, handlers);
  return { store: ctx.store, redis, fleet, ctx, log };
}
