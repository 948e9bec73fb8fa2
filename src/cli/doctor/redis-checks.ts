import { unservedQueues } from '../../producer/queue-workers.ts';
import { PutBackLog } from '../../shared/put-back.ts';
import { type Redis, connectRedis } from '../../shared/redis.ts';
import { findRedis } from '../../shared/redis-server.ts';
import { WorkerRegistry } from '../../shared/worker-registry.ts';
import { allPersonas } from '../policies.ts';
import type { CommandContext } from '../session.ts';
import { count } from '../text.ts';
import { type Check, type Found, look, quiet, skipped, unusable } from './check.ts';

const PINGS = 20;
const SLOW_MS = 20;
const SKEW_WARNING_MS = 1_000;
const SKEW_FAILURE_MS = 30_000;
const FULL = 0.8;
const OF_REDIS = ['persistence', 'memory', 'latency', 'clock', 'workers', 'queues'] as const;

/** Redis, and what can be seen through it. When it is not there, nothing about it is guessed. */
export async function redisChecks(context: CommandContext): Promise<Check[]> {
  const { config } = context;
  let redis: Redis | undefined;
  let description = '';
  const found = await look('redis', async () => {
    // Refuses one that is too old, a replica, or drops jobs when memory is short.
    const server = await findRedis({ config, logger: quiet(), start: 'never' });
    redis = await connectRedis(server.url, 'producer');
    description = server.description;
    return description.replaceAll(/WARNING: /g, '');
  });
  if (redis === undefined)
    return [found, ...OF_REDIS.map((name) => skipped(name, 'not looked at: there is no Redis to ask'))];
  const open = redis;
  try {
    return [
      found,
      await look('persistence', async () => persistence(description)),
      await look('memory', () => memory(open)),
      await look('latency', () => latency(open)),
      await look('clock', () => clock(open)),
      await look('workers', () => workers(open, config.prefix)),
      await look('queues', () => queues(context, open)),
    ];
  } finally {
    open.disconnect();
  }
}

function persistence(description: string): Found {
  const [, problem] = /WARNING: ([^()]*?)(?= \(|$)/.exec(description) ?? [];
  if (problem === undefined) return 'append-only file on';
  return {
    detail: problem,
    warning: 'Run `CONFIG SET appendonly yes` on it, and set the same in its configuration file.',
  };
}

const mib = (bytes: number): string => `${Math.round(bytes / 1024 ** 2)} MiB`;

async function memory(redis: Redis): Promise<Found> {
  const info = await redis.info('memory');
  const read = (name: string): number => Number(new RegExp(`^${name}:(\\d+)`, 'm').exec(info)?.[1] ?? '0');
  const [used, most] = [read('used_memory'), read('maxmemory')];
  if (most === 0) return `${mib(used)} used, no limit of its own`;
  const detail = `${mib(used)} of ${mib(most)} used`;
  if (used < FULL * most) return detail;
  return {
    detail,
    warning: 'A full Redis takes no more work: raise its maxmemory, or keep fewer runs (MAESTRO_KEEP_RUNS_COUNT).',
  };
}

async function latency(redis: Redis): Promise<Found> {
  const times: number[] = [];
  for (let nth = 0; nth < PINGS; nth += 1) {
    const before = performance.now();
    await redis.ping();
    times.push(performance.now() - before);
  }
  times.sort((a, b) => a - b);
  const [median = 0, worst = 0] = [times[PINGS / 2], times.at(-1)];
  const detail = `${median.toFixed(1)} ms at the median of ${PINGS} pings, ${worst.toFixed(1)} ms at most`;
  return median < SLOW_MS
    ? detail
    : { detail, warning: 'Every step of a job asks Redis several times: run workers near it.' };
}

/** Parked work, delays and locks go by both clocks. Half of the way there and back is taken off. */
async function clock(redis: Redis): Promise<Found> {
  const before = Date.now();
  const [seconds, micros] = await redis.time();
  const middle = (before + Date.now()) / 2;
  const skew = Number(seconds) * 1000 + Number(micros) / 1000 - middle;
  const detail = `${Math.abs(skew) < 10 ? 'the same as' : `${(Math.abs(skew) / 1000).toFixed(2)} s ${skew > 0 ? 'behind' : 'ahead of'}`} the clock of Redis`;
  const remedy = 'Set this clock by NTP (`timedatectl set-ntp true`), and that of the Redis machine too.';
  if (Math.abs(skew) > SKEW_FAILURE_MS) throw unusable(detail, remedy);
  return Math.abs(skew) > SKEW_WARNING_MS ? { detail, warning: remedy } : detail;
}

async function workers(redis: Redis, prefix: string): Promise<Found> {
  const all = await new WorkerRegistry(redis, prefix).list();
  if (all.length === 0)
    return { detail: 'none is running', warning: 'Start one with `maestro worker`, or all with `maestro up`.' };
  const versions = [...new Set(all.map(({ version }) => version))];
  const talks = all.reduce((sum, { conversations }) => sum + conversations, 0);
  const detail = `${count(all.length, 'process')}, ${count(talks, 'conversation')}, version ${versions.join(' and ')}`;
  return versions.length === 1
    ? detail
    : { detail, warning: 'Work that one version does not know is left to the others: renew them all.' };
}

async function queues(context: CommandContext, redis: Redis): Promise<Found> {
  const { config } = context;
  const personas = Object.keys(await allPersonas(context, {}));
  const unserved = await unservedQueues({ redis, config }, personas);
  const putBack = await new PutBackLog(redis, config.prefix).recent();
  const problems = [
    ...unserved.map(({ queue, jobs }) => `no worker consumes ${queue} (${count(jobs, 'job')} waiting)`),
    ...putBack.map(({ jobId, reason }) => `${jobId} was put back: ${reason}`),
  ];
  if (problems.length === 0) return 'a worker consumes every queue that holds work';
  throw unusable(problems.join('; '), 'Start one with `maestro worker`, of the version that made the work.');
}
