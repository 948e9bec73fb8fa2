import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from '../../src/shared/redis.ts';
import type { CutProxy } from '../support/cut-proxy.ts';
import type { Journal } from './journal.ts';
import type { RedisProcess } from './redis-process.ts';
import type { WorkerProcess } from './worker-process.ts';
import { freezeKey } from './freeze-key.ts';

/** A lock lives six seconds and is looked for every three: whoever is away for longer than this has lost it. */
const PAST_THE_LOCK_MS = 10_500;
const COMMIT_WITHIN_MS = 5_000;

const FAULTS = [
  'kill',
  'cut',
  'freeze in commit',
  'reply lost',
  'kill',
  'redis killed',
  'cut',
  'partition',
  'producer cut',
  'kill',
  'reply lost',
  'freeze',
  'producer reply lost',
] as const;
type Fault = (typeof FAULTS)[number];

export interface Field {
  redis: Redis;
  prefix: string;
  journal: Journal;
  server: RedisProcess;
  producer: CutProxy;
  random: () => number;
  workers(): readonly WorkerProcess[];
  /** Never killed, so that its memory can be watched. */
  isSpared(worker: WorkerProcess): boolean;
  /** Puts a new worker in the place of one that was killed. */
  replace(gone: WorkerProcess): Promise<void>;
}

/** Does one thing after another to the workers, to Redis and to the connections between them. */
export class FaultInjector {
  readonly #field: Field;
  #queue: Fault[] = [];
  #away: Promise<void> | undefined;

  constructor(field: Field) {
    this.#field = field;
  }

  /** Injects the next fault. Those that keep a worker away go on in the background, one at a time. */
  async next(): Promise<void> {
    if (this.#queue.length === 0) this.#queue = [...FAULTS];
    const fault = this.#queue.shift() ?? 'kill';
    if (fault !== 'freeze' && fault !== 'freeze in commit' && fault !== 'partition') return this.#brief(fault);
    if (this.#away !== undefined) {
      this.#queue.push(fault);
      if (this.#queue.every((kind) => kind === 'freeze' || kind === 'freeze in commit' || kind === 'partition'))
        await this.#away;
      return;
    }
    this.#away = this.#keepAway(fault).finally(() => (this.#away = undefined));
  }

  /** Waits until everybody is back. */
  async settle(): Promise<void> {
    await this.#away;
  }

  #victim(toKill = false): WorkerProcess | undefined {
    const at = this.#field
      .workers()
      .filter((worker) => !worker.isAway && !worker.isGone && !(toKill && this.#field.isSpared(worker)));
    return at[Math.floor(this.#field.random() * at.length)];
  }

  async #brief(fault: Exclude<Fault, 'freeze' | 'freeze in commit' | 'partition'>): Promise<void> {
    const { journal, producer, server } = this.#field;
    const note = (worker: string, name: string = fault): Promise<void> =>
      journal.write({ kind: 'fault', worker, fault: name });
    if (fault === 'producer cut') {
      producer.drop();
      return;
    }
    if (fault === 'producer reply lost') {
      await producer.dropReply(300);
      return;
    }
    if (fault === 'redis killed') {
      await server.killAndRestart(this.#field.random() * 1_000);
      await note('redis');
      return;
    }
    const worker = this.#victim(fault === 'kill');
    if (worker === undefined) return;
    if (fault === 'kill') {
      await worker.kill();
      await note(worker.name);
      await this.#field.replace(worker);
    } else if (fault === 'cut') {
      if (worker.proxy.drop() > 0) await note(worker.name);
    } else if (await worker.proxy.dropReply(1_000)) await note(worker.name);
  }

  async #keepAway(fault: 'freeze' | 'freeze in commit' | 'partition'): Promise<void> {
    const { journal, redis, prefix } = this.#field;
    const worker = this.#victim();
    if (worker === undefined) return;
    worker.isAway = true;
    const note = (name: string): Promise<void> => journal.write({ kind: 'fault', worker: worker.name, fault: name });
    try {
      if (fault === 'partition') {
        await worker.proxy.cut();
        await note(fault);
        await sleep(PAST_THE_LOCK_MS);
        await worker.proxy.mend();
        await note('mended');
        return;
      }
      if (fault === 'freeze') worker.freeze();
      else if (!(await this.#stopsInCommit(worker, redis, prefix))) return;
      await note(fault);
      await sleep(PAST_THE_LOCK_MS);
      worker.thaw();
      await note('thawed');
    } finally {
      worker.isAway = false;
    }
  }

  /** Asks the worker to stop itself between the reading and the writing of its next commit. */
  async #stopsInCommit(worker: WorkerProcess, redis: Redis, prefix: string): Promise<boolean> {
    await redis.set(freezeKey(prefix, worker.name), '1', 'PX', COMMIT_WITHIN_MS);
    const until = Date.now() + COMMIT_WITHIN_MS;
    while (Date.now() < until) {
      if (await worker.isStopped()) return true;
      await sleep(20);
    }
    // It may have taken the request and stop later.
    await redis.del(freezeKey(prefix, worker.name));
    if (await worker.isStopped()) return true;
    return false;
  }
}
