import { Queue } from 'bullmq';
import type { EnqueueTarget } from './enqueue-target.ts';

/** Opens one queue for a moment. */
export async function withQueue<T>(
  { redis, prefix }: Pick<EnqueueTarget, 'redis' | 'prefix'>,
  name: string,
  use: (queue: Queue) => Promise<T>,
): Promise<T> {
  const queue = new Queue(name, { connection: redis, prefix });
  try {
    return await use(queue);
  } finally {
    await queue.close();
  }
}
