import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Queue } from 'bullmq';
import { describe, expect, test } from 'vitest';
import { QUEUES, jobIds, personaQueue } from '../../src/shared/names.ts';
import { exportRun } from '../../src/producer/export-run.ts';
import type { PlannedPhase, RunPlan } from '../../src/shared/run-record.ts';
import { startFleetOf } from '../support/gate-fleet.ts';
import { writeFile } from 'node:fs/promises';
import { noopPlan } from '../support/noop-fleet.ts';
import { startNoopRuns } from '../support/noop-runs.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { testRedis } from '../support/test-redis.ts';

const DEMO = { design: [], audit: ['design'], test: ['audit'], side: ['design'] };

/** A plan in which some phases have a condition. */
const planWith = (conditions: Record<string, string>, inputs: RunPlan['inputs'] = {}): RunPlan =>
  noopPlan(
    DEMO,
    {},
    {
      inputs,
      phase: (name): Partial<PlannedPhase> => {
        const text = conditions[name];
        return text === undefined ? {} : { conditions: [{ text, prefix: '' }] };
      },
    },
  );

describe('a phase with a condition', () => {
  test('runs when it holds', async () => {
    const { run, statuses, log } = await startNoopRuns();
    const plan = planWith({ audit: 'inputs.audit && phases.design.status == "passed"' }, { audit: true });
    expect(await run(plan)).toBe('passed');
    expect((await statuses(plan))['audit']).toBe('passed');
    expect(log).toContain('audit+');
  });

  test('is skipped when it does not; what needs it goes on, and the run says so', async () => {
    const { run, statuses, store, log } = await startNoopRuns();
    const plan = planWith({ audit: 'inputs.audit' }, { audit: false });
    expect(await run(plan)).toBe('passed');
    expect(await statuses(plan)).toEqual({ design: 'passed', audit: 'skipped', test: 'passed', side: 'passed' });
    expect(log).not.toContain('audit+');
    expect((await store.getPhase(plan.runId, 'audit')).reason).toBe('`if: inputs.audit` does not hold');
    expect((await store.getRun(plan.runId)).reason).toBe('skipped: audit');
  });

  test('that is skipped is a job that completed, in the queues too', async () => {
    const { run, redis, at } = await startNoopRuns();
    const plan = planWith({ audit: 'false' });
    await run(plan);
    const take = { runId: plan.runId, generation: 0 };
    for (const [name, id, value] of [
      [personaQueue('noop'), jobIds.work(take, 'audit', 'noop', 0), null],
      [QUEUES.gates, jobIds.gate(take, 'audit'), { phase: 'audit', status: 'skipped', verdict: null }],
    ] as const) {
      const queue = new Queue(name, { connection: redis, prefix: at.prefix });
      const job = await queue.getJob(id);
      expect(await job?.getState()).toBe('completed');
      expect(job?.returnvalue).toEqual(value);
      await queue.close();
    }
  });

  test('is skipped once, however many personas it has', async () => {
    const { run, store } = await startNoopRuns({ personas: ['noop', 'other'] });
    const plan = noopPlan(
      { a: [], b: ['a'] },
      { personas: ['noop', 'other'] },
      {
        phase: (name) => (name === 'a' ? { conditions: [{ text: 'false', prefix: '' }] } : {}),
      },
    );
    expect(await run(plan)).toBe('passed');
    const events = await store.readEvents(plan.runId, 0);
    expect(events.filter((event) => event.type === 'phase.status' && event.status === 'skipped')).toHaveLength(1);
  });

  test('is not looked at when a phase it needs did not pass', async () => {
    const { run, statuses } = await startNoopRuns({ verdicts: { design: 'blocked' } });
    const plan = planWith({ audit: 'false' });
    expect(await run(plan)).toBe('blocked');
    expect((await statuses(plan))['audit']).toBe('not_started');
  });

  test('reads what earlier phases handed over, also past a skipped one', async () => {
    const { run, statuses } = await startNoopRuns({
      outputs: (phase) => (phase === 'design' ? { services: ['users', 'orders'], risky: true } : undefined),
    });
    const plan = planWith({
      audit: 'phases.design.outputs.services.size() > 2',
      test: 'phases.audit.status == "skipped" && phases.design.outputs.risky',
    });
    expect(await run(plan)).toBe('passed');
    expect(await statuses(plan)).toMatchObject({ audit: 'skipped', test: 'passed' });
  });

  test.each([
    ['phases.design.outputs.none', 'phase design handed over no output "none"'],
    ['phases.design.metrics.clarity_score > 0.5', 'phase design has no measured clarity_score'],
    ['inputs.none == 1', 'the input "none" was not given'],
    ['phases.design.outputs.services', 'it gives ["users"], which is neither true nor false'],
  ])('blocks when `%s` has no result, and never runs', async (text, why) => {
    const { run, statuses, store, log } = await startNoopRuns({ outputs: () => ({ services: ['users'] }) });
    const plan = planWith({ audit: text });
    expect(await run(plan)).toBe('blocked');
    expect(await statuses(plan)).toEqual({ design: 'passed', audit: 'blocked', test: 'not_started', side: 'passed' });
    expect((await store.getPhase(plan.runId, 'audit')).reason).toBe(`\`if: ${text}\` has no result: ${why}`);
    expect(log).not.toContain('audit+');
  });

  test('a run in which every phase is skipped has proven nothing, and says so', async () => {
    const { run, store } = await startNoopRuns();
    const plan = noopPlan({ a: [] }, { conditions: [{ text: 'false', prefix: '' }] });
    expect(await run(plan)).toBe('passed_with_warnings');
    expect((await store.getRun(plan.runId)).reason).toBe('nothing ran; skipped: a');
  });
});

test('a skipped phase hands on the files it was given, to phases and to the repository of the run', async () => {
  const seen: Record<string, string> = {};
  const fleet = await startFleetOf(testRedis(), async (tree, _round, _persona, phase) => {
    if (phase !== 'first') seen[phase] = await readFile(join(tree, 'first.md'), 'utf8').catch(() => 'nothing');
    await writeFile(join(tree, `${phase}.md`), `made by ${phase}\n`);
  });
  const skip = { conditions: [{ text: 'false', prefix: '' }] };
  const plan = await fleet.start({ policy: null, approvalRoles: [], needs: ['second'] }, true, {
    first: { needs: [] },
    second: { needs: ['first'], ...skip },
    last: { needs: ['second'], ...skip },
  });
  await fleet.ended(plan);
  expect(seen).toEqual({ requirements: 'made by first\n' });
  const dir = join(await tempFolder(), 'repository');
  const exported = await exportRun({ ...fleet, runId: plan.runId, dir, scratch: await tempFolder() });
  expect(exported.phases).toEqual(['requirements']);
  expect(await readFile(join(dir, 'first.md'), 'utf8')).toBe('made by first\n');
});
