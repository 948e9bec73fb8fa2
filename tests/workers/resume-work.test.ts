import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { editPhase } from '../../src/producer/edit-phase.ts';
import { approvePhase } from '../../src/producer/enqueue.ts';
import { exportRun } from '../../src/producer/export-run.ts';
import { resumeRun } from '../../src/producer/resume.ts';
import { cancelRun } from '../../src/producer/run-control.ts';
import { type Work, startFleetOf } from '../support/gate-fleet.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { testRedis } from '../support/test-redis.ts';

const GOOD = join(import.meta.dirname, '..', 'fixtures', 'docs-links', 'docs');
const MISSING = 'docs/requirements/acceptance';

/** Forgets the acceptance criteria as long as `isGood` says no. */
const author =
  (isGood: (call: number) => boolean, calls: number[]): Work =>
  async (tree, round) => {
    calls.push(round);
    await cp(GOOD, join(tree, 'docs'), { recursive: true });
    if (!isGood(calls.length)) await rm(join(tree, MISSING), { recursive: true, force: true });
  };

test('blocked work that nobody mended is judged again, blocked again, and costs no persona a call', async () => {
  const calls: number[] = [];
  const fleet = await startFleetOf(
    testRedis(),
    author(() => false, calls),
  );
  const plan = await fleet.start({ rework: 0 }, true);
  await fleet.ended(plan);
  await resumeRun(fleet.target, plan.runId);
  await fleet.ended(plan);
  const record = await fleet.phaseOf(plan);
  expect(record.status).toBe('blocked');
  expect(calls).toEqual([0]);
  expect(record.rounds.map(({ round, verdict }) => [round, verdict.verdict])).toEqual([
    [0, 'blocked'],
    [1, 'blocked'],
  ]);
  expect(record.rounds[1]?.candidate?.commit).toBe(record.rounds[0]?.candidate?.commit);
});

test('what is still blocked after a resume goes to rework, with as many rounds as at first', async () => {
  const calls: number[] = [];
  const fleet = await startFleetOf(
    testRedis(),
    author((call) => call > 2, calls),
  );
  const plan = await fleet.start({ rework: 1 }, true);
  await fleet.ended(plan);
  expect((await fleet.phaseOf(plan)).status).toBe('blocked');
  await resumeRun(fleet.target, plan.runId);
  await fleet.ended(plan);
  const record = await fleet.phaseOf(plan);
  expect(record.status).toMatch(/^passed/);
  // Two rounds at first; then the old work judged again, and one round of rework.
  expect(calls).toEqual([0, 1, 3]);
  expect(record.rounds.map(({ verdict }) => verdict.verdict === 'blocked')).toEqual([true, true, true, false]);
});

test('a person takes the blocked files, mends them, and the run goes on with the edits as a commit of theirs', async () => {
  const calls: number[] = [];
  const fleet = await startFleetOf(
    testRedis(),
    author(() => false, calls),
  );
  const plan = await fleet.start({ rework: 0 }, true);
  await fleet.ended(plan);
  const { store, blobs } = fleet;
  const scratch = await tempFolder();
  const folder = join(await tempFolder(), 'work');
  const of = { store, blobs, runId: plan.runId, phase: 'requirements', scratch };
  const exported = await exportRun({ ...of, dir: folder });
  expect(exported.phases).toEqual(['requirements']);
  await expect(editPhase({ ...of, folder, by: 'Ada Lovelace' })).rejects.toThrow(/nothing that is not there already/);
  await cp(join(GOOD, 'requirements', 'acceptance'), join(folder, MISSING), { recursive: true });
  const commit = await editPhase({ ...of, folder, by: 'Ada Lovelace' });
  await resumeRun(fleet.target, plan.runId, { edited: { phase: 'requirements', commit } });
  await fleet.ended(plan);
  const record = await fleet.phaseOf(plan);
  expect(record.status).toMatch(/^passed/);
  expect(record.commit).toBe(commit.commit);
  expect(calls).toEqual([0]);
});

test('edits that were not judged yet when the run was cancelled are judged when it goes on', async () => {
  const calls: number[] = [];
  const fleet = await startFleetOf(
    testRedis(),
    author(() => false, calls),
  );
  const plan = await fleet.start({ rework: 0 }, true);
  await fleet.ended(plan);
  const { store, blobs } = fleet;
  const folder = await tempFolder();
  await cp(GOOD, join(folder, 'docs'), { recursive: true });
  const of = { store, blobs, runId: plan.runId, phase: 'requirements', scratch: await tempFolder() };
  const commit = await editPhase({ ...of, folder, by: 'Ada Lovelace' });
  await resumeRun(fleet.target, plan.runId, { edited: { phase: 'requirements', commit } });
  await cancelRun(fleet.target, plan.runId, 'wrong moment');
  expect((await fleet.phaseOf(plan)).rounds).toHaveLength(1);
  await resumeRun(fleet.target, plan.runId);
  await fleet.ended(plan);
  const record = await fleet.phaseOf(plan);
  expect(calls).toEqual([0]);
  expect(record.commit).toBe(commit.commit);
  expect(record.status).toMatch(/^passed/);
});

test('work on which somebody has decided when the run is cancelled is asked about again, and not done again', async () => {
  const calls: number[] = [];
  const fleet = await startFleetOf(
    testRedis(),
    author(() => true, calls),
  );
  const plan = await fleet.start({ approvalRoles: ['stakeholder', 'owner'] }, false);
  const waits = () =>
    expect
      .poll(async () => (await fleet.phaseOf(plan)).status, { timeout: 30_000, interval: 100 })
      .toBe('awaiting_approval');
  const approve = (role: string) =>
    approvePhase(fleet.target, plan.runId, {
      phase: 'requirements',
      role,
      by: 'Ada',
      decision: 'approved',
      note: '',
      simulated: false,
    });
  await waits();
  await approve('owner');
  await cancelRun(fleet.target, plan.runId, 'not now');
  await resumeRun(fleet.target, plan.runId);
  await waits();
  await approve('owner');
  await approve('stakeholder');
  await fleet.ended(plan);
  expect(calls).toEqual([0]);
  expect((await fleet.phaseOf(plan)).status).toMatch(/^passed/);
});
