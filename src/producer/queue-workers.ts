import { Queue } from 'bullmq';
import type { Config } from '../shared/config.ts';
import { QUEUES, personaQueue } from '../shared/names.ts';
import type { Redis } from '../shared/redis.ts';
import type { RunPlan } from '../shared/run-record.ts';

/** The queues a run needs that no worker listens to at the moment. */
export async function idlePersonas(
  of: { redis: Redis; config: Pick<Config, 'prefix'> },
  plan: RunPlan,
): Promise<string[]> {
  const needed = [QUEUES.gates, ...new Set(plan.phases.flatMap((phase) => phase.personas.map(personaQueue)))];
  const idle: string[] = [];
  for (const name of needed) {
    const queue = new Queue(name, { connection: of.redis, prefix: of.config.prefix });
    try {
      if ((await queue.getWorkersCount()) === 0) idle.push(name);
    } finally {
      await queue.close();
    }
  }
  return idle;
}
