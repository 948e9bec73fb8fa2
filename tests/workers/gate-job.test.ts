import { cp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { approvePhase } from '../../src/producer/enqueue.ts';
import { type Work, startFleetOf } from '../support/gate-fleet.ts';
import { testRedis } from '../support/test-redis.ts';

const GOOD = join(import.meta.dirname, '..', 'fixtures', 'docs-links', 'docs');

const writeGood: Work = async (tree) => {
  await cp(GOOD, join(tree, 'docs'), { recursive: true });
};

test('what a gate blocked goes back with its findings, and passes when it is mended', async () => {
  const fleet = await startFleetOf(testRedis(), async (tree, round) => {
    await writeGood(tree, round, 'noop', 'requirements');
    if (round === 0) await rm(join(tree, 'docs/requirements/acceptance'), { recursive: true });
  });
  const plan = await fleet.start({ rework: 2 }, true);
  await fleet.ended(plan);
  const record = await fleet.phaseOf(plan);
  expect(record.rounds.map(({ round, verdict }) => [round, verdict.verdict === 'blocked'])).toEqual([
    [0, true],
    [1, false],
  ]);
  const first = record.rounds[0]?.verdict.gates.find((gate) => gate.gate === 'acceptance_criteria_defined');
  expect(first?.outcome).toBe('error');
  expect(record.bundle).not.toBeNull();
  const events = await fleet.store.readEvents(plan.runId, 0);
  expect(events.filter((event) => event.type === 'rework.requested')).toHaveLength(1);
});

test('the limit of rework is a block, never a release, and nothing is handed on', async () => {
  let rounds = 0;
  const fleet = await startFleetOf(testRedis(), async (tree) => {
    rounds += 1;
    await writeFile(join(tree, `attempt-${rounds}.md`), 'nothing of use\n');
  });
  const plan = await fleet.start({ rework: 1 }, true);
  await fleet.ended(plan);
  const record = await fleet.phaseOf(plan);
  expect(rounds).toBe(2);
  expect(record).toMatchObject({ status: 'blocked', commit: null, bundle: null });
  expect(record.reason).toContain('documentation_completeness');
  expect((await fleet.store.getRun(plan.runId)).status).toBe('blocked');
});

test('a person approves: the phase waits without a worker, then passes', async () => {
  const fleet = await startFleetOf(testRedis(), writeGood);
  const plan = await fleet.start({}, false);
  await expect.poll(async () => (await fleet.phaseOf(plan)).status, { timeout: 30_000 }).toBe('awaiting_approval');
  expect((await fleet.store.getRun(plan.runId)).status).toBe('awaiting_approval');
  const decision = { phase: 'requirements', by: 'Ada', decision: 'approved', note: '', simulated: false } as const;
  await expect(approvePhase(fleet.target, plan.runId, { ...decision, role: 'tech_lead' })).rejects.toThrow(
    /does not ask/,
  );
  await approvePhase(fleet.target, plan.runId, { ...decision, role: 'stakeholder' });
  await fleet.ended(plan);
  const { status, rounds } = await fleet.phaseOf(plan);
  expect(['passed', 'passed_with_warnings']).toContain(status);
  const gate = rounds.at(-1)?.verdict.gates.find(({ gate: name }) => name === 'stakeholder_approved');
  expect(gate?.values['stakeholder_approval']).toEqual({ value: 1, source: 'approval', simulated: false });
});

test('a person refuses: the phase goes back, and is asked about again', async () => {
  const fleet = await startFleetOf(testRedis(), async (tree, round) => {
    await writeGood(tree, round, 'noop', 'requirements');
    await writeFile(join(tree, 'docs/round.md'), `round ${round}\n`);
  });
  const plan = await fleet.start({ rework: 1 }, false);
  const decide = async (round: number, decision: 'approved' | 'rejected'): Promise<void> => {
    await expect
      .poll(
        async () => {
          const { status, round: now } = await fleet.phaseOf(plan);
          return `${status} ${now}`;
        },
        { timeout: 30_000 },
      )
      .toBe(`awaiting_approval ${round}`);
    await approvePhase(fleet.target, plan.runId, {
      phase: 'requirements',
      role: 'stakeholder',
      by: 'Ada',
      decision,
      note: 'see above',
      simulated: false,
    });
  };
  await decide(0, 'rejected');
  await decide(1, 'approved');
  await fleet.ended(plan);
  const { rounds } = await fleet.phaseOf(plan);
  expect(
    rounds.map(({ verdict }) => verdict.gates.find(({ gate }) => gate === 'stakeholder_approved')?.outcome),
  ).toEqual(['failed', 'passed']);
});

test('two personas that change the same file differently are a block that names both', async () => {
  const fleet = await startFleetOf(testRedis(), async (tree, round, persona) => {
    await writeGood(tree, round, persona, 'requirements');
    await writeFile(
      join(tree, 'docs/requirements/prd.md'),
      `${await readFile(join(GOOD, 'requirements/prd.md'), 'utf8')}\nBy ${persona}.\n`,
    );
  });
  const plan = await fleet.start({ personas: ['noop', 'other'] }, true);
  await fleet.ended(plan);
  const { status, reason, rounds } = await fleet.phaseOf(plan);
  expect(status).toBe('blocked');
  expect(rounds.at(-1)?.verdict.errors).toContainEqual(expect.objectContaining({ metric: 'merge_conflict' }));
  expect(JSON.stringify(rounds.at(-1)?.verdict.errors)).toMatch(/requirements\/noop and requirements\/other/);
  expect(reason).not.toBe('');
});

test('phases that changed the same file differently are for the next one to resolve, and block until it has', async () => {
  let received = '';
  const fleet = await startFleetOf(testRedis(), async (tree, round, _persona, phase) => {
    const prd = join(tree, 'docs/requirements/prd.md');
    if (phase === 'left' || phase === 'right') {
      await writeGood(tree, round, 'noop', phase);
      await writeFile(prd, `${await readFile(join(GOOD, 'requirements/prd.md'), 'utf8')}\nBy ${phase}.\n`);
      return;
    }
    const text = await readFile(prd, 'utf8');
    if (round === 0) received = text;
    await writeFile(join(tree, `docs/round-${round}.md`), 'looked at it\n');
    if (round > 0) await writeFile(prd, text.replaceAll(/^(<{7}|={7}|>{7}).*\n/gm, ''));
  });
  const open = { policy: null, approvalRoles: [] };
  const plan = await fleet.start({ rework: 1 }, true, {
    left: open,
    right: open,
    requirements: { needs: ['left', 'right'] },
  });
  await fleet.ended(plan);
  const { rounds } = await fleet.phaseOf(plan);
  expect(received).toMatch(/^<{7} [^]*By left[^]*By right[^]*^>{7} /m);
  expect(rounds[0]?.verdict.errors).toContainEqual({
    metric: 'merge_conflict',
    reason: 'docs/requirements/prd.md still holds conflict markers: resolve them',
  });
  expect(rounds.map(({ verdict }) => verdict.verdict === 'blocked')).toEqual([true, false]);
});

test('a phase without a policy is not gated, and that is said instead of passed', async () => {
  const fleet = await startFleetOf(testRedis(), writeGood);
  const plan = await fleet.start({ policy: null, approvalRoles: [] }, true);
  await fleet.ended(plan);
  expect((await fleet.phaseOf(plan)).status).toBe('not_gated');
  expect(await fleet.store.getRun(plan.runId)).toMatchObject({
    status: 'passed_with_warnings',
    reason: 'not gated: requirements',
  });
});
