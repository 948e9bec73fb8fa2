import type { Redis } from '../../src/shared/redis.ts';

/** When jobs begin and end in this process, so that the time between the end of a job and the start of the next is known. */
export class HandOffs {
  readonly milliseconds: number[] = [];
  readonly #ended = new Map<string, number>();

  ended(job: string): void {
    this.#ended.set(job, performance.now());
  }

  /** A job begins that waited for these. */
  began(waitedFor: readonly string[]): void {
    const ends = waitedFor.flatMap((job) => this.#ended.get(job) ?? []);
    if (ends.length > 0 && ends.length === waitedFor.length)
      this.milliseconds.push(performance.now() - Math.max(...ends));
  }
}

export const percentile = (values: readonly number[], share: number): number =>
  values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))] ?? Number.NaN;

export const median = (values: readonly number[]): number => percentile(values, 0.5);

/** What Redis has done since it started. */
interface Load {
  commands: number;
  bytes: number;
  cpuMs: number;
}

const field = (info: string, name: string): number =>
  Number(new RegExp(`^${name}:([\\d.]+)`, 'm').exec(info)?.[1] ?? 0);

export async function redisLoad(redis: Redis): Promise<Load> {
  const [stats, cpu] = [await redis.info('stats'), await redis.info('cpu')];
  return {
    commands: field(stats, 'total_commands_processed'),
    bytes: field(stats, 'total_net_input_bytes') + field(stats, 'total_net_output_bytes'),
    cpuMs: 1_000 * (field(cpu, 'used_cpu_user') + field(cpu, 'used_cpu_sys')),
  };
}

export const redisMemory = async (redis: Redis): Promise<number> => field(await redis.info('memory'), 'used_memory');
