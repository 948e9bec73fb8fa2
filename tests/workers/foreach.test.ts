import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { enqueueRun } from '../../src/producer/enqueue.ts';
import { resumeRun } from '../../src/producer/resume.ts';
import type { Handoff } from '../../src/shared/handoff.ts';
import type { PlannedPhase, RunPlan } from '../../src/shared/run-record.ts';
import { RunStore } from '../../src/shared/run-store.ts';
import { neededSources } from '../../src/workers/needed-sources.ts';
import { childModule } from '../support/child-module.ts';
import { startFleetOf } from '../support/gate-fleet.ts';
import { noopPlan } from '../support/noop-fleet.ts';
import { startNoopRuns } from '../support/noop-runs.ts';
import { testRedis } from '../support/test-redis.ts';

type Repeat = NonNullable<PlannedPhase['repeat']>;

/** design -> service (once for each entry) -> test. */
const planWith = (lists: Repeat['lists'], more: Partial<Repeat> = {}, phase: Partial<PlannedPhase> = {}): RunPlan =>
  noopPlan(
    { design: [], service: ['design'], test: ['service'], side: ['design'] },
    {},
    {
      phase: (name) =>
        name === 'service' ? { repeat: { lists, isMatrix: false, parallel: null, ...more }, ...phase } : {},
    },
  );

const FROM_DESIGN = { item: 'phases.design.outputs.services' };
const designed =
  (services: NonNullable<Handoff['outputs']>[string]) =>
  (phase: string): Handoff['outputs'] =>
    phase === 'design' ? { services } : undefined;

describe('a phase that is repeated', () => {
  test('runs once for each entry of a list that was made before it, and then what needs it', async () => {
    const { run, statuses, log, store } = await startNoopRuns({ outputs: designed(['users', 'Order Book', 3]) });
    const plan = planWith(FROM_DESIGN);
    expect(await run(plan)).toBe('passed');
    expect(await statuses(plan)).toEqual({
      design: 'passed',
      'service--users': 'passed',
      'service--order-book': 'passed',
      'service--3': 'passed',
      service: 'passed',
      test: 'passed',
      side: 'passed',
    });
    expect(log).not.toContain('service+');
    for (const name of ['users', 'order-book', '3']) {
      expect(log.filter((entry) => entry === `service--${name}+`)).toHaveLength(1);
      expect(log.indexOf('design-')).toBeLessThan(log.indexOf(`service--${name}+`));
      expect(log.indexOf(`service--${name}-`)).toBeLessThan(log.indexOf('test+'));
    }
    const finished = (await store.readEvents(plan.runId, 0)).filter((event) => event.type === 'run.finished');
    expect(finished).toHaveLength(1);
  });

  test('gives each instance its entry, and its description and group filled in', async () => {
    const { run, store } = await startNoopRuns();
    const plan = planWith(
      {
        item: [
          { name: 'users', port: 1 },
          { name: 'orders', port: 2 },
        ],
      },
      {},
      { description: 'Write ${{ item.name }}.', concurrency: { group: 'port-${{ item.port }}', limit: 1 } },
    );
    expect(await run(plan)).toBe('passed');
    const planned = (await store.getPlan(plan.runId)).phases.find(({ name }) => name === 'service--orders');
    expect(planned).toMatchObject({
      description: 'Write orders.',
      concurrency: { group: 'port-2', limit: 1 },
      instance: { of: 'service', item: { name: 'orders', port: 2 } },
      needs: ['design'],
    });
    expect(planned?.repeat).toBeUndefined();
  });

  test('as a matrix runs once for each combination', async () => {
    const { run, statuses } = await startNoopRuns({ outputs: designed(['x', 'y']) });
    const plan = planWith({ os: ['linux', 'mac'], part: 'phases.design.outputs.services' }, { isMatrix: true });
    expect(await run(plan)).toBe('passed');
    const names = Object.keys(await statuses(plan)).filter((name) => name.startsWith('service--'));
    expect(names).toEqual(['service--linux-x', 'service--linux-y', 'service--mac-x', 'service--mac-y']);
  });

  test('runs at most as many instances at a time as it may', async () => {
    let now = 0;
    let most = 0;
    const { run } = await startNoopRuns({
      concurrency: 20,
      work: async (phase) => {
        if (!phase.startsWith('service--')) return;
        now += 1;
        most = Math.max(most, now);
        await sleep(80);
        now -= 1;
      },
    });
    expect(await run(planWith({ item: ['a', 'b', 'c', 'd', 'e', 'f'] }, { parallel: 2 }))).toBe('passed');
    expect(most).toBe(2);
  });

  test('with an empty list is skipped, and says why', async () => {
    const { run, statuses, store } = await startNoopRuns({ outputs: designed([]) });
    const plan = planWith(FROM_DESIGN);
    expect(await run(plan)).toBe('passed');
    expect(await statuses(plan)).toEqual({ design: 'passed', service: 'skipped', test: 'passed', side: 'passed' });
    expect((await store.getPhase(plan.runId, 'service')).reason).toBe('its list is empty');
  });

  test.each([
    ['no list', 'many' as const, '`foreach` gives "many", which is no list'],
    ['two entries of one name', ['Users', 'users'], '"Users" and "users", both make the instance service--users'],
    ['an entry without a name', [{ port: 1 }], 'no name for an instance of service can be made of {"port":1}'],
    ['too many entries', Array.from({ length: 501 }, (_, index) => index), '501 instances are too many'],
    ['a name that is too long', ['x'.repeat(80)], 'no name for an instance of service'],
  ])('with %s is blocked, and nothing of it runs', async (_what, services, why) => {
    const { run, statuses, store, log } = await startNoopRuns({ outputs: designed(services) });
    const plan = planWith(FROM_DESIGN);
    expect(await run(plan)).toBe('blocked');
    expect(await statuses(plan)).toEqual({ design: 'passed', service: 'blocked', test: 'not_started', side: 'passed' });
    expect((await store.getPhase(plan.runId, 'service')).reason).toContain(why);
    expect(log.some((entry) => entry.startsWith('service--'))).toBe(false);
  });

  test('is blocked when one of its instances is, after all have ended; resumed, only that one runs again', async () => {
    let verdict: 'blocked' | 'passed' = 'blocked';
    const { run, endOf, statuses, store, log, target } = await startNoopRuns({
      outputs: designed(['a', 'b', 'c']),
      verdictOf: (_run, phase) => (phase === 'service--b' ? verdict : 'passed'),
    });
    const plan = planWith(FROM_DESIGN);
    expect(await run(plan)).toBe('blocked');
    expect(await statuses(plan)).toMatchObject({
      'service--a': 'passed',
      'service--b': 'blocked',
      'service--c': 'passed',
      service: 'blocked',
      test: 'not_started',
    });
    expect((await store.getPhase(plan.runId, 'service')).reason).toBe(
      '1 of 3 instances did not pass: service--b is blocked',
    );
    verdict = 'passed';
    log.length = 0;
    await resumeRun(target, plan.runId);
    expect(await endOf(plan)).toBe('passed');
    // The work of the blocked one was done, and is judged again; that of the others is neither done nor judged again.
    expect(log).toEqual(['test+', 'test-']);
    const judged = (await store.readEvents(plan.runId, 0)).flatMap((event) =>
      event.type === 'phase.status' && event.status === 'passed' ? [event.phase] : [],
    );
    expect(judged.toSorted()).toEqual(['design', 'service', 'service--a', 'service--b', 'service--c', 'side', 'test']);
  });

  test('run again from before its list, runs the entries of the new list', async () => {
    let services = ['a', 'b'];
    const { run, endOf, statuses, log, target } = await startNoopRuns({
      outputs: (phase) => (phase === 'design' ? { services } : undefined),
    });
    const plan = planWith(FROM_DESIGN);
    expect(await run(plan)).toBe('passed');
    services = ['b', 'c'];
    log.length = 0;
    await resumeRun(target, plan.runId, { takeUp: { kind: 'from', phase: 'design' } });
    expect(await endOf(plan)).toBe('passed');
    expect(await statuses(plan)).toMatchObject({
      'service--a': 'skipped',
      'service--b': 'passed',
      'service--c': 'passed',
    });
    expect(log.filter((entry) => entry.startsWith('service--') && entry.endsWith('+')).toSorted()).toEqual([
      'service--b+',
      'service--c+',
    ]);
  });
});

test(
  'workers that are killed while instances are added and run lose none, and none is done twice',
  { timeout: 90_000 },
  async () => {
    const at = testRedis();
    const items = Array.from({ length: 25 }, (_, index) => index);
    const plan = planWith({ item: items }, { parallel: 8 });
    const redis = await at.connect();
    const store = new RunStore(redis, at.prefix);
    await enqueueRun({ redis, prefix: at.prefix, store }, plan);
    const passedSoFar = async (): Promise<number> =>
      (await store.getPhases(plan.runId)).filter(({ phase, status }) => phase.includes('--') && status === 'passed')
        .length;
    for (const enough of [3, 9]) {
      const { child } = await childModule(`
      import { connectRedis } from '../../src/shared/redis.ts';
      import { startFleet } from '../../src/workers/fleet.ts';
      import { noopContext, noopHandlers } from './noop-handlers.ts';
      (async () => {
        const at = ${JSON.stringify({ redisUrl: at.url, prefix: at.prefix, home: '/tmp' })};
        const ctx = noopContext({ ...at, redis: await connectRedis(at.redisUrl, 'worker') });
        const work = () => new Promise((done) => setTimeout(done, 200));
        await startFleet(ctx, { personas: ['noop'], gates: true, concurrency: 4 }, noopHandlers({ work }));
        console.log('ready');
      })();
    `);
      await expect.poll(passedSoFar, { timeout: 30_000, interval: 20 }).toBeGreaterThanOrEqual(enough);
      child.kill('SIGKILL');
    }
    // Killed for nothing proves nothing: some of it was done by then, and some was not.
    expect(await passedSoFar()).toBeLessThan(items.length);
    const fleet = await startNoopRuns({ concurrency: 20 }, at);
    expect(await fleet.endOf(plan)).toBe('passed');
    const events = await store.readEvents(plan.runId, 0, { count: 5_000 });
    const passed = events.flatMap((event) =>
      event.type === 'phase.status' && event.status === 'passed' ? [event.phase] : [],
    );
    expect(passed.toSorted()).toEqual(
      ['design', 'service', 'side', 'test', ...items.map((item) => `service--${item}`)].toSorted(),
    );
    expect(events.filter((event) => event.type === 'run.finished')).toHaveLength(1);
  },
);

describe('the work of instances', () => {
  const others = (lists: Repeat['lists']) => ({
    first: { needs: [] },
    service: { needs: ['first'], repeat: { lists, isMatrix: false, parallel: null } },
  });
  const last = { policy: null, approvalRoles: [], needs: ['service'] };

  test('is merged and handed on', async () => {
    const seen: string[] = [];
    const fleet = await startFleetOf(testRedis(), async (tree, _round, _persona, phase) => {
      if (phase === 'requirements')
        seen.push(...(await readdir(tree)).filter((name) => name.endsWith('.md')).toSorted());
      await writeFile(join(tree, `${phase}.md`), `${phase}\n`);
    });
    const plan = await fleet.start(last, true, others({ item: ['a', 'b'] }));
    await fleet.ended(plan);
    expect(seen).toEqual(['first.md', 'service--a.md', 'service--b.md']);
    const phase = plan.phases.find(({ name }) => name === 'requirements');
    if (phase === undefined) throw new Error('no phase');
    expect((await neededSources(fleet.store, plan.runId, phase)).map(({ label }) => label)).toEqual(['service']);
  });

  test('that cannot be merged blocks the phase, and names the file and both instances', async () => {
    const fleet = await startFleetOf(testRedis(), async (tree, _round, _persona, phase) => {
      await writeFile(join(tree, 'same.md'), `${phase}\n`);
    });
    const plan = await fleet.start(last, true, others({ item: ['a', 'b'] }));
    await fleet.ended(plan);
    const { status, reason } = await fleet.store.getPhase(plan.runId, 'service');
    expect(status).toBe('blocked');
    expect(reason).toMatch(/^merge_conflict: same\.md was changed by .*service--/);
    expect((await fleet.phaseOf(plan)).status).toBe('not_started');
  });
});
