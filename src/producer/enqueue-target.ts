import type { Redis } from '../shared/redis.ts';
import type { RunStore } from '../shared/run-store.ts';

/** Where runs are enqueued and controlled. */
export interface EnqueueTarget {
  redis: Redis;
  prefix: string;
  store: RunStore;
}
