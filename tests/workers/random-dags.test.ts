import { expect, test } from 'vitest';
import { enqueueRun } from '../../src/producer/enqueue.ts';
import { TERMINAL_RUN } from '../../src/shared/run-record.ts';
import { startNoopFleet } from '../support/noop-fleet.ts';
import { NOOP_PERSONAS, type RandomDag, interpret, lastRound, randomDag, randomPlan } from '../support/random-dag.ts';
import { testRedis } from '../support/test-redis.ts';

/** A hundred for every day; MAESTRO_TEST_DAGS=500 for the long form. */
const RUNS = Number(process.env['MAESTRO_TEST_DAGS'] ?? 100);
const MOST_PHASES = 60;
const AT_ONCE = 40;

test(
  `${RUNS} random DAGs run in order, each phase once, and end as a plain interpreter says`,
  { timeout: 240_000 },
  async () => {
    const at = testRedis();
    const began = new Map<string, string[]>();
    const dags = new Map<string, RandomDag>();
    const of = (runId: string): RandomDag => dags.get(runId) ?? { needs: {}, fates: {}, personas: {} };
    const problems: string[] = [];
    const { store, redis, fleet } = await startNoopFleet(at, {
      concurrency: 50,
      personas: NOOP_PERSONAS,
      verdictOf: (runId, phase, round) => {
        const fate = of(runId).fates[phase];
        return fate === 'blocked' || (fate === 'reworked' && round === 0) ? 'blocked' : 'passed';
      },
      work: (phase, attempt, runId, persona, round) => {
        const dag = of(runId);
        const done = began.get(runId) ?? [];
        began.set(runId, done);
        const ended = `${phase} by ${persona} in round ${round}`;
        const { phases: expected } = interpret(dag);
        for (const need of (dag.needs[phase] ?? []).filter((name) => expected[name] === 'passed'))
          for (const other of dag.personas[need] ?? [])
            if (!done.includes(`${need} by ${other} in round ${lastRound(dag, need)}`))
              problems.push(`${runId}: ${phase} began before ${need} ended`);
        const fate = dag.fates[phase];
        if (fate === 'failed' || (fate === 'flaky' && attempt === 1)) throw new Error(`${phase} fails`);
        if (done.includes(ended)) problems.push(`${runId}: ${ended} was done twice`);
        done.push(ended);
      },
    });
    const one = async (seed: number): Promise<void> => {
      const dag = randomDag(seed, MOST_PHASES);
      const plan = randomPlan(dag, {});
      dags.set(plan.runId, dag);
      await enqueueRun({ redis, prefix: at.prefix, store }, plan);
      while (!TERMINAL_RUN.includes((await store.getStanding(plan.runId))?.status ?? 'queued'))
        await new Promise((resolve) => setTimeout(resolve, 25));
      const expected = interpret(dag);
      const phases = Object.fromEntries(
        (await store.getPhases(plan.runId)).map((record) => [record.phase, record.status]),
      );
      expect(phases, `seed ${seed}`).toEqual(expected.phases);
      expect((await store.getRun(plan.runId)).status, `seed ${seed}`).toBe(expected.run);
      const finished = (await store.readEvents(plan.runId, 0, { count: 5_000 })).filter(
        (event) => event.type === 'run.finished',
      );
      expect(finished, `seed ${seed}`).toHaveLength(1);
    };
    let next = 1;
    const lane = async (): Promise<void> => {
      while (next <= RUNS) await one(next++);
    };
    try {
      await Promise.all(Array.from({ length: AT_ONCE }, lane));
    } finally {
      await fleet.close(2_000);
    }
    expect(problems).toEqual([]);
    expect(dags.size).toBe(RUNS);
    // Green for nothing is no proof: enough of the runs must have met trouble.
    const ends = [...dags.values()].map((dag) => interpret(dag).run);
    expect(ends.filter((end) => end !== 'passed').length).toBeGreaterThan(RUNS / 5);
    const fates = [...dags.values()].flatMap((dag) => Object.values(dag.fates));
    for (const fate of ['reworked', 'skipped', 'follows'] as const)
      expect(fates.filter((drawn) => drawn === fate).length).toBeGreaterThan(RUNS / 5);
  },
);
