import { createHash } from 'node:crypto';
import { getNextMillis } from 'bullmq';
import { encodeTime } from 'ulid';
import { z } from 'zod';
import { type BlobStore, getJson, putJson } from '../shared/blob-store.ts';
import { FleetError, errorMessage } from '../shared/errors.ts';
import { Name, QUEUES, type RunId, RunId as RunIdSchema } from '../shared/names.ts';
import { BlobRef, RunPlan } from '../shared/run-record.ts';
import type { EnqueueTarget } from './enqueue-target.ts';
import { enqueueRun } from './enqueue.ts';
import { withQueue } from './with-queue.ts';

/** Job data of the `schedules` queue: which run begins each time. */
const ScheduleJob = z.strictObject({
  schemaVersion: z.literal(1),
  name: Name,
  workflow: Name,
  /** The plan of every run, as it was when the schedule was added. */
  plan: BlobRef,
});
type ScheduleJob = z.infer<typeof ScheduleJob>;

export interface Schedule {
  name: string;
  workflow: string;
  cron: string;
  /** IANA name of the time zone that the expression is read in. */
  tz: string;
  /** When the next run starts. */
  next: string | null;
}

interface ScheduleTarget extends EnqueueTarget {
  blobs: BlobStore;
}

/** A run that could not be started is tried again for some minutes; the next one comes at its own time anyway. */
const FIRE_OPTIONS = {
  attempts: 10,
  backoff: { type: 'exponential', delay: 1_000 },
  removeOnComplete: { count: 100 },
  removeOnFail: { count: 100 },
};

/** The first time after now that an expression names. Throws `BAD_USAGE` when it names none. */
function nextTime(cron: string, tz: string): number {
  try {
    Intl.DateTimeFormat('en', { timeZone: tz });
  } catch (err) {
    throw new FleetError('BAD_USAGE', `"${tz}" is not a time zone`, {
      cause: err,
      remedy: 'Use a name such as UTC or Europe/Berlin.',
    });
  }
  let next: number | undefined;
  try {
    next = getNextMillis(Date.now(), { pattern: cron, tz });
  } catch (err) {
    throw badCron(cron, errorMessage(err), err);
  }
  if (next === undefined) throw badCron(cron, 'it names no time that ever comes');
  return next;
}

const badCron = (cron: string, why: string, cause?: unknown): FleetError =>
  new FleetError('BAD_USAGE', `"${cron}" is not a cron expression: ${why}`, {
    cause,
    remedy: 'Write minute, hour, day, month and weekday, such as "0 6 * * 1-5".',
  });

/** Adds a schedule, or changes the one of this name. Its runs are all made from this plan. */
export async function addSchedule(
  target: ScheduleTarget,
  of: { name: string; cron: string; tz: string; plan: RunPlan },
): Promise<Schedule> {
  const name = Name.safeParse(of.name);
  if (!name.success) throw new FleetError('BAD_USAGE', `"${of.name}" is not a name: ${name.error.issues[0]?.message}`);
  nextTime(of.cron, of.tz);
  const { workflow } = of.plan;
  const data: ScheduleJob = { schemaVersion: 1, name: name.data, workflow, plan: await putJson(target.blobs, of.plan) };
  await withQueue(target, QUEUES.schedules, (queue) =>
    queue.upsertJobScheduler(name.data, { pattern: of.cron, tz: of.tz }, { name: workflow, data, opts: FIRE_OPTIONS }),
  );
  const added = (await listSchedules(target)).find((schedule) => schedule.name === name.data);
  if (added === undefined) throw new FleetError('INTERNAL', `the schedule "${name.data}" was not stored`);
  return added;
}

/** All schedules, the next one first. */
export async function listSchedules(target: Pick<EnqueueTarget, 'redis' | 'prefix'>): Promise<Schedule[]> {
  const found = await withQueue(target, QUEUES.schedules, (queue) => queue.getJobSchedulers(0, -1, true));
  return found.map(({ key, pattern = '', tz = 'UTC', next, template }) => ({
    name: key,
    workflow: ScheduleJob.parse(template?.data).workflow,
    cron: pattern,
    tz,
    next: next === undefined ? null : new Date(next).toISOString(),
  }));
}

/** Removes a schedule; runs that it has started are left alone. Returns whether there was one. */
export const removeSchedule = (target: Pick<EnqueueTarget, 'redis' | 'prefix'>, name: string): Promise<boolean> =>
  withQueue(target, QUEUES.schedules, (queue) => queue.removeJobScheduler(name));

/** Starts the run of one time of a schedule. However often this is done, and wherever, it is one run. */
export async function fireSchedule(
  target: ScheduleTarget,
  fire: { data: unknown; at: number },
): Promise<{ runId: RunId; schedule: string }> {
  const { name, plan: ref } = ScheduleJob.parse(fire.data);
  const plan = await getJson(target.blobs, ref, RunPlan);
  const runId = runIdAt(fire.at, `${target.prefix} ${name}`);
  const known = await target.store.findPlan(runId);
  const now = new Date().toISOString();
  await enqueueRun(target, known ?? { ...plan, runId, createdAt: now }, { repeatable: true });
  return { runId, schedule: name };
}

/** The signs of a ULID: no I, L, O and U. */
const SIGNS = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';

/** The id of the run that a schedule starts at a time: the same whoever works it out. */
export function runIdAt(at: number, schedule: string): RunId {
  const hash = createHash('sha256').update(`${schedule} ${at}`).digest();
  const random = Array.from(hash.subarray(0, 16), (byte) => SIGNS[byte % SIGNS.length]).join('');
  return RunIdSchema.parse(`${encodeTime(at, 10)}${random}`);
}
