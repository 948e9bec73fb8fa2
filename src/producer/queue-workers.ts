import { Queue } from 'bullmq';
import type { Config } from '../shared/config.ts';
import { QUEUES, personaQueue } from '../shared/names.ts';
import type { Redis } from '../shared/redis.ts';
import { withQueue } from './with-queue.ts';

/** Queues in which jobs wait, or are due, and that no worker listens to: with how many jobs. */
export async function unservedQueues(
  of: { redis: Redis; config: Pick<Config, 'prefix'> },
  personas: readonly string[],
): Promise<{ queue: string; jobs: number }[]> {
  const unserved: { queue: string; jobs: number }[] = [];
  for (const name of await idleQueues(of, personas)) {
    const jobs = await withQueue({ redis: of.redis, prefix: of.config.prefix }, name, (queue) =>
      queue.getJobCountByTypes('waiting', 'prioritized'),
    );
    if (jobs > 0) unserved.push({ queue: name, jobs });
  }
  return unserved;
}

/** The queues of these personas, and the gates queue, that no worker listens to at the moment. */
export async function idleQueues(
  of: { redis: Redis; config: Pick<Config, 'prefix'> },
  personas: readonly string[],
): Promise<string[]> {
  const idle: string[] = [];
  for (const name of [QUEUES.gates, ...personas.map(personaQueue)]) {
    const queue = new Queue(name, { connection: of.redis, prefix: of.config.prefix });
    // The call below fails by itself; without a listener the library would print the error as well.
    queue.on('error', () => undefined);
    try {
      if ((await queue.getWorkersCount()) === 0) idle.push(name);
    } finally {
      await queue.close();
    }
  }
  return idle;
}
