import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { editPhase } from '../../src/producer/edit-phase.ts';
import { exportRun } from '../../src/producer/export-run.ts';
import { resumeRun } from '../../src/producer/resume.ts';
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
