import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { errorMessage } from '../shared/errors.ts';
import { HEARTBEAT_MS, WorkerRegistry, type WorkerStanding } from '../shared/worker-registry.ts';
import type { Fleet, FleetOptions } from './fleet.ts';
import { Vitals } from './vitals.ts';
import type { WorkerContext } from './worker-context.ts';

const LEAVE_MS = 1_000;

/** A worker process, as the fleet sees it. */
export interface Presence {
  readonly vitals: Vitals;
  /** How this process stands now. */
  standing(): WorkerStanding;
  /** Tells the fleet now, and not with the next heartbeat only. */
  tell(): Promise<void>;
  close(): Promise<void>;
}

/** Enters this process into the registry of workers, and keeps the entry alive. */
export async function announce(
  ctx: WorkerContext,
  fleet: Fleet,
  as: Pick<FleetOptions, 'personas' | 'gates' | 'concurrency'> & { version: string },
): Promise<Presence> {
  const registry = new WorkerRegistry(ctx.redis, ctx.config.prefix);
  const vitals = new Vitals();
  const startedAt = new Date().toISOString();
  const host = hostname();
  const id = `${host}.${process.pid}.${randomUUID().slice(0, 8)}`;
  let recent = vitals.sinceLast();
  const standing = (): WorkerStanding => {
    const { active, conversations, maxConversations, done, failed, isDraining } = fleet.load();
    return {
      id,
      host,
      pid: process.pid,
      version: as.version,
      state: isDraining ? 'draining' : 'working',
      personas: [...as.personas],
      gates: as.gates,
      concurrency: as.concurrency,
      active,
      conversations,
      ...(as.personas.length === 0 ? {} : { maxConversations }),
      done,
      failed,
      startedAt,
      seenAt: new Date().toISOString(),
      rssBytes: vitals.rssBytes,
      cpu: recent.cpu,
      loopDelayP50Ms: recent.delay.p50Ms,
      loopDelayP99Ms: recent.delay.p99Ms,
      sandbox: ctx.sandbox.description,
    };
  };
  let isTelling = false;
  const tell = async (): Promise<void> => {
    // While Redis is away, what is to be told waits there already.
    if (isTelling) return;
    isTelling = true;
    try {
      await registry.beat(standing());
    } catch (err) {
      // The next heartbeat says it; a worker works on while Redis is away for a moment.
      ctx.logger.debug({ err: errorMessage(err) }, 'heartbeat not sent');
    } finally {
      isTelling = false;
    }
  };
  const timer = setInterval(() => {
    recent = vitals.sinceLast();
    void tell();
  }, HEARTBEAT_MS);
  timer.unref();
  await tell();
  return {
    vitals,
    standing,
    tell,
    close: async () => {
      clearInterval(timer);
      vitals.close();
      // A Redis that is away forgets the entry by itself.
      await Promise.race([registry.leave(id).catch(() => undefined), sleep(LEAVE_MS, undefined, { ref: false })]);
    },
  };
}
