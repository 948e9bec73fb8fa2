import { type Job, Worker } from 'bullmq';
import type { BlobStore } from '../shared/blob-store.ts';
import { errorMessage } from '../shared/errors.ts';
import type { Logger } from '../shared/logger.ts';
import { QUEUES } from '../shared/names.ts';
import { connectRedis } from '../shared/redis.ts';
import type { RunStore } from '../shared/run-store.ts';
import { fireSchedule } from './schedule.ts';

interface SchedulerOptions {
  redisUrl: string;
  prefix: string;
  store: RunStore;
  blobs: BlobStore;
  logger: Logger;
}

/** Starts the runs of schedules when their time comes. Any number of processes may do it: each time is one run. */
export async function startScheduler(options: SchedulerOptions): Promise<{ close(): Promise<void> }> {
  const { redisUrl, prefix, logger } = options;
  const redis = await connectRedis(redisUrl, 'worker');
  const fire = async (job: Job): Promise<unknown> => {
    const fired = await fireSchedule({ ...options, redis }, { data: job.data, at: timeOf(job) });
    logger.info(fired, 'scheduled run started');
    return fired;
  };
  const worker = new Worker(QUEUES.schedules, fire, {
    connection: redis,
    prefix,
    lockDuration: 6_000,
    stalledInterval: 3_000,
    maxStalledCount: 1_000_000,
  });
  worker.on('error', (err) => logger.warn({ err: errorMessage(err) }, 'scheduler error'));
  worker.on('failed', (job, err) => logger.warn({ schedule: job?.repeatJobKey, err: errorMessage(err) }, 'schedule'));
  await worker.waitUntilReady();
  return {
    close: async () => {
      // A run that is being started is started whole, here or by whoever takes the job over.
      const tooLong = new Promise((resolve) => setTimeout(resolve, 3_000).unref());
      await Promise.race([worker.close(), tooLong]);
      redis.disconnect();
    },
  };
}

/** The time a job was meant for, which its id tells: the same however late it is taken. */
const timeOf = (job: Job): number => Number(String(job.id).split(':').at(-1));
