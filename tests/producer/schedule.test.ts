import { Queue } from 'bullmq';
import { expect, onTestFinished, test } from 'vitest';
import { RunArchive } from '../../src/shared/archive.ts';
import { archiveRun } from '../../src/shared/archive-run.ts';
import { openBlobStore } from '../../src/shared/open-blob-store.ts';
import { silentLogger } from '../../src/shared/logger.ts';
import { newRunId } from '../../src/shared/names.ts';
import { RunStore } from '../../src/shared/run-store.ts';
import { addSchedule, fireSchedule, listSchedules, removeSchedule, runIdAt } from '../../src/producer/schedule.ts';
import { startScheduler } from '../../src/producer/scheduler.ts';
import { startTime } from '../../src/producer/start-time.ts';
import { moveRun } from '../../src/shared/transitions.ts';
import { noopPlan } from '../support/noop-fleet.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { testRedis } from '../support/test-redis.ts';

async function fleetOf() {
  const at = testRedis();
  const redis = await at.connect();
  const blobs = openBlobStore(await tempFolder());
  const { prefix } = at;
  const store = new RunStore(redis, prefix, new RunArchive(redis, prefix, blobs));
  return { at, redis, prefix, blobs, store, redisUrl: at.url, logger: silentLogger() };
}

test('a schedule is listed with its next time, in the order of the times, changed by its name, and removed', async () => {
  const fleet = await fleetOf();
  const plan = noopPlan({ a: [] });
  const yearly = await addSchedule(fleet, { name: 'yearly', cron: '0 12 1 1 *', tz: 'Europe/Berlin', plan });
  expect(yearly).toMatchObject({ name: 'yearly', workflow: 'noop', cron: '0 12 1 1 *', tz: 'Europe/Berlin' });
  expect(yearly.next).toMatch(/-01-01T11:00:00\.000Z$/);
  await addSchedule(fleet, { name: 'minutely', cron: '* * * * *', tz: 'UTC', plan });
  expect((await listSchedules(fleet)).map(({ name }) => name)).toEqual(['minutely', 'yearly']);
  await addSchedule(fleet, { name: 'yearly', cron: '0 6 * * *', tz: 'UTC', plan });
  expect((await listSchedules(fleet)).find(({ name }) => name === 'yearly')).toMatchObject({ cron: '0 6 * * *' });
  expect(await removeSchedule(fleet, 'minutely')).toBe(true);
  expect(await removeSchedule(fleet, 'minutely')).toBe(false);
  expect((await listSchedules(fleet)).map(({ name }) => name)).toEqual(['yearly']);
});

test.each([
  ['not cron', 'UTC', 'x', /"not cron" is not a cron expression/],
  ['99 * * * *', 'UTC', 'x', /"99 \* \* \* \*" is not a cron expression/],
  ['0 0 30 2 *', 'UTC', 'x', /"0 0 30 2 \*" is not a cron expression/],
  ['* * * * *', 'Mars/Olympus', 'x', /"Mars\/Olympus" is not a time zone/],
  ['* * * * *', 'UTC', 'Bad Name', /"Bad Name" is not a name/],
])(
  'a schedule with %s in %s named %s is refused in one line, and nothing is stored',
  async (cron, tz, name, message) => {
    const fleet = await fleetOf();
    const adding = addSchedule(fleet, { name, cron, tz, plan: noopPlan({ a: [] }) });
    await expect(adding).rejects.toThrow(message);
    await expect(adding).rejects.not.toThrow(/\n/);
    expect(await listSchedules(fleet)).toEqual([]);
  },
);

test('one time of a schedule is one run, however many replicas see it, however often, also after it was archived', async () => {
  const fleet = await fleetOf();
  const plan = noopPlan({ a: [] });
  await addSchedule(fleet, { name: 'nightly', cron: '0 0 1 1 *', tz: 'UTC', plan });
  const queue = new Queue('schedules', { connection: fleet.redis, prefix: fleet.prefix });
  onTestFinished(() => queue.close());
  const [job] = await queue.getDelayed();
  const at = Number(job?.id?.split(':').at(-1));
  const fire = () => fireSchedule(fleet, { data: job?.data, at });
  const fired = await Promise.all(Array.from({ length: 5 }, fire));
  const ids = new Set(fired.map(({ runId }) => runId));
  expect(ids.size).toBe(1);
  const runId = fired[0]?.runId ?? newRunId();
  expect(runId).toBe(runIdAt(at, `${fleet.prefix} nightly`));
  expect(runId).not.toBe(runIdAt(at + 60_000, `${fleet.prefix} nightly`));
  const work = new Queue('persona.noop', { connection: fleet.redis, prefix: fleet.prefix });
  onTestFinished(() => work.close());
  expect(await work.getJobCountByTypes('waiting')).toBe(1);
  expect((await fleet.store.getPlan(runId)).definitions).toBe(plan.definitions);
  await moveRun(fleet.store, runId, 'passed');
  await archiveRun(fleet.store, runId);
  await fire();
  expect(await work.getJobCountByTypes('waiting')).toBe(1);
  expect((await fleet.store.getRun(runId)).status).toBe('passed');
});

test('two replicas start the run of each time once', async () => {
  const fleet = await fleetOf();
  const schedulers = [await startScheduler(fleet), await startScheduler(fleet)];
  onTestFinished(async () => {
    for (const scheduler of schedulers) await scheduler.close();
  });
  // Six fields: every second.
  await addSchedule(fleet, { name: 'busy', cron: '* * * * * *', tz: 'UTC', plan: noopPlan({ a: [] }) });
  await expect.poll(async () => (await fleet.store.index.counts()).queued, { timeout: 15_000 }).toBeGreaterThan(2);
  await removeSchedule(fleet, 'busy');
  const { runs } = await fleet.store.listRuns({ limit: 50 });
  // A run's id begins with the second it was meant for.
  const seconds = runs.map((run) => run.runId.slice(0, 10));
  expect(new Set(seconds).size).toBe(seconds.length);
});

test('a delay and a time are told apart, and the past is refused', () => {
  const now = Date.parse('2027-01-01T00:00:00Z');
  expect(startTime({ delay: '1h30m' }, now)).toBe('2027-01-01T01:30:00.000Z');
  expect(startTime({ at: '2027-01-02T00:00:00+02:00' }, now)).toBe('2027-01-01T22:00:00.000Z');
  expect(() => startTime({ at: '2026-12-31T23:59:59Z' }, now)).toThrow('2026-12-31T23:59:59Z is in the past');
  expect(() => startTime({ at: '2027-01-02' }, now)).toThrow('"2027-01-02" is not a time with a zone');
  expect(() => startTime({ delay: 'soon' }, now)).toThrow('"soon" is not a delay');
  expect(() => startTime({ at: '2037-01-02T00:00:00Z' }, now)).toThrow('more than a year away');
});
