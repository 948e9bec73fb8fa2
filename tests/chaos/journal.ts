import { z } from 'zod';
import type { Redis } from '../../src/shared/redis.ts';
import { runKey } from '../../src/shared/run-keys.ts';

/**
 * What really happened, in the order in which Redis saw it: every attempt at a piece of work, outside any fence,
 * as a paid call would be made, and every fault. The same entry is written once, however often a cut connection
 * makes its sender say it again. Redis itself adds how things stood at that moment: whether the attempt still held
 * its job, whether the job had been completed, and whether the phase had ended.
 * KEYS: journal, counts of the writers, lock, job, phases. ARGV: writer, its count, token, phase, entry.
 */
const WRITE = `
if tonumber(ARGV[2]) <= tonumber(redis.call('HGET', KEYS[2], ARGV[1]) or '0') then return 0 end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
local record = redis.call('HGET', KEYS[5], ARGV[4])
local status = record and string.match(record, '"status":"([%w_]+)"') or ''
redis.call('XADD', KEYS[1], '*', 'entry', ARGV[5],
  'held', redis.call('GET', KEYS[3]) == ARGV[3] and '1' or '0',
  'completed', redis.call('HEXISTS', KEYS[4], 'returnvalue') == 1 and '1' or '0',
  'status', status)
return 1
`;

/** `begin` and `end` of an attempt; `stale`: its commit was refused; `fault`: something was done to a worker or to Redis. */
const Written = z.strictObject({
  kind: z.enum(['begin', 'end', 'stale', 'fault']),
  worker: z.string(),
  /** What the fault is called. */
  fault: z.string().optional(),
  /** Of an attempt: its run, phase and job. */
  run: z.string().optional(),
  phase: z.string().optional(),
  job: z.string().optional(),
  token: z.string().optional(),
});
export type Written = z.infer<typeof Written>;

export interface Entry extends Written {
  /** Milliseconds, by the clock of Redis. */
  at: number;
  held: boolean;
  completed: boolean;
  /** Of its phase; empty when there is none. */
  status: string;
}

export class Journal {
  readonly #redis: Redis;
  readonly #prefix: string;
  readonly #writer: string;
  #count = 0;

  constructor(redis: Redis, prefix: string, writer: string) {
    this.#redis = redis;
    this.#prefix = prefix;
    this.#writer = writer;
  }

  async write(entry: Written, lockKey = `${this.#prefix}:none:lock`): Promise<void> {
    this.#count += 1;
    await this.#redis.eval(
      WRITE,
      5,
      `${this.#prefix}:chaos:journal`,
      `${this.#prefix}:chaos:counts`,
      lockKey,
      lockKey.replace(/:lock$/, ''),
      runKey(this.#prefix, entry.run ?? '', 'phases'),
      this.#writer,
      this.#count,
      entry.token ?? '',
      entry.phase ?? '',
      JSON.stringify(entry),
    );
  }

  /** The entries that nobody has taken yet; they are gone then. */
  async take(): Promise<Entry[]> {
    const key = `${this.#prefix}:chaos:journal`;
    const raw = await this.#redis.xrange(key, '-', '+', 'COUNT', 10_000);
    const last = raw.at(-1)?.[0];
    if (last !== undefined) {
      const [ms, seq] = last.split('-');
      await this.#redis.xtrim(key, 'MINID', `${ms}-${Number(seq) + 1}`);
    }
    return raw.map(([id, fields]) => {
      const [, entry = 'null', , held, , completed, , status = ''] = fields;
      return {
        ...Written.parse(JSON.parse(entry)),
        at: Number(id.split('-')[0]),
        held: held === '1',
        completed: completed === '1',
        status,
      };
    });
  }
}
