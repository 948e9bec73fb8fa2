import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { FleetError } from '../../src/shared/errors.ts';
import { connectRedis } from '../../src/shared/redis.ts';
import { startFleet } from '../../src/workers/fleet.ts';
import { type NoopStep, noopContext, noopHandlers } from '../support/noop-handlers.ts';
import { NOOP_PERSONAS, type RandomDag, type Fate, outputsOf, randomDag, randomSource } from '../support/random-dag.ts';
import { freezeKey } from './freeze-key.ts';
import { Journal } from './journal.ts';

/** How a worker process of the chaos test is told what to do: one JSON argument. */
export const WorkerOptions = z.strictObject({
  name: z.string(),
  redisUrl: z.string(),
  prefix: z.string(),
  home: z.string(),
  mostPhases: z.number(),
  /** Work takes up to this long. */
  mostWorkMs: z.number(),
  /** How many ended runs stay in Redis; the others move to the blob store below `home`. */
  keepRuns: z.number(),
});
export type WorkerOptions = z.infer<typeof WorkerOptions>;

async function main(): Promise<void> {
  const options = WorkerOptions.parse(JSON.parse(process.argv[2] ?? 'null'));
  const { name, redisUrl, prefix } = options;
  const redis = await connectRedis(redisUrl, 'worker');
  const journal = new Journal(redis, prefix, name);
  const made = noopContext({ redis, redisUrl, prefix, home: options.home });
  const ctx = { ...made, config: { ...made.config, keepRuns: { ...made.config.keepRuns, count: options.keepRuns } } };

  let mustFreeze = false;
  let isLooking = false;
  const lookForFreeze = async (): Promise<void> => {
    if (isLooking) return;
    isLooking = true;
    mustFreeze ||= (await redis.getdel(freezeKey(prefix, name))) !== null;
    isLooking = false;
  };
  setInterval(() => void lookForFreeze(), 100).unref();

  const note = (kind: 'begin' | 'end' | 'stale', { plan, phase, lock }: NoopStep): Promise<void> => {
    const job = lock.lockKey.replace(/:lock$/, '');
    const entry = { kind, worker: name, run: plan.runId, phase: phase.name, job, token: lock.token };
    return journal.write(entry, lock.lockKey);
  };
  const dagOf = ({ plan }: NoopStep): RandomDag => randomDag(Number(plan.inputs['seed']), options.mostPhases);
  const attempts = new Map<string, NoopStep>();
  const begin = async (step: NoopStep): Promise<Fate | undefined> => {
    attempts.set(step.lock.token + step.lock.lockKey, step);
    await note('begin', step);
    return dagOf(step).fates[step.phase.name];
  };
  /** Notes how an attempt ended that had begun. */
  const watched = async <T>({ token, lockKey }: NoopStep['lock'], work: () => Promise<T>): Promise<T> => {
    const ended = async (kind: 'end' | 'stale'): Promise<void> => {
      const step = attempts.get(token + lockKey);
      attempts.delete(token + lockKey);
      if (step !== undefined) await note(kind, step);
    };
    try {
      const result = await work();
      await ended('end');
      return result;
    } catch (err) {
      await ended(err instanceof FleetError && err.code === 'STALE_ATTEMPT' ? 'stale' : 'end');
      throw err;
    }
  };

  const random = randomSource(process.pid);
  const handlers = noopHandlers({
    work: async (step) => {
      const fate = await begin(step);
      await sleep(random() * options.mostWorkMs);
      if (fate === 'failed' || (fate === 'flaky' && step.attempt === 1)) throw new Error(`${step.phase.name} fails`);
    },
    outputs: (step) => outputsOf(dagOf(step), step.phase.name),
    verdict: async (step) => {
      const fate = await begin(step);
      return fate === 'blocked' || (fate === 'reworked' && step.round === 0) ? 'blocked' : 'passed';
    },
    inCommit: () => {
      if (!mustFreeze) return;
      mustFreeze = false;
      process.kill(process.pid, 'SIGSTOP');
    },
  });
  const fleet = await startFleet(
    ctx,
    { personas: NOOP_PERSONAS, gates: true, concurrency: 5 },
    {
      persona: (context, attempt) => watched(attempt.fence, () => handlers.persona(context, attempt)),
      gate: (context, handle) => watched(handle.fence, () => handlers.gate(context, handle)),
    },
  );
  process.once('SIGTERM', () => {
    void fleet.close(2_000).then(() => process.exit(0));
  });
  process.stdout.write('ready\n');
}

void main();
