import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { enqueueRun } from '../../src/producer/enqueue.ts';
import { type PhaseStatus, type RunPlan, TERMINAL_RUN } from '../../src/shared/run-record.ts';
import type { Concurrency } from '../../src/shared/workflow-schema.ts';
import { HeldPlaces } from '../support/held-places.ts';
import { startNoopFleet } from '../support/noop-fleet.ts';
import {
  NOOP_PERSONAS,
  RUNS_GROUP,
  type RandomDag,
  SHARED_GROUPS,
  instancesOf,
  interpret,
  lastRound,
  outputsOf,
  randomDag,
  randomPlan,
  templateOf,
} from '../support/random-dag.ts';
import { testRedis } from '../support/test-redis.ts';

/** A hundred for every day; MAESTRO_TEST_DAGS=500 for the long form. */
const RUNS = Number(process.env['MAESTRO_TEST_DAGS'] ?? 100);
const MOST_PHASES = 60;
const AT_ONCE = 40;

type End = ReturnType<typeof interpret>;
const ENDS_OF_WORK = ['passed', 'failed', 'blocked'];

/** One random DAG under way, and what its personas see of it. */
class WatchedRun {
  readonly dag: RandomDag;
  readonly expected: End;
  readonly #runId: string;
  readonly #places: HeldPlaces;
  readonly #problems: string[];
  readonly #done = new Set<string>();
  /** The phases that personas work on, and those of them whose work is not done yet. */
  readonly #worked: ReadonlySet<string>;
  readonly #open: Set<string>;

  constructor(dag: RandomDag, runId: string, shared: { places: HeldPlaces; problems: string[] }) {
    this.dag = dag;
    this.expected = interpret(dag);
    this.#runId = runId;
    this.#places = shared.places;
    this.#problems = shared.problems;
    const hasWork = (phase: string): boolean => dag.repeats[phase] === undefined && dag.fates[phase] !== 'unclear';
    const begun = Object.entries(this.expected.phases).filter(([, end]) => ENDS_OF_WORK.includes(end));
    this.#worked = new Set(begun.map(([phase]) => phase).filter(hasWork));
    this.#open = new Set(this.#worked);
  }

  /** What a persona does: it fails as its fate wants, and notes whatever should not be. */
  async work({ phase, attempt, persona, round }: Work): Promise<void> {
    const { dag, expected } = this;
    const step = stepOf(phase, persona, round);
    for (const need of dag.needs[templateOf(phase)] ?? [])
      if (expected.phases[need] === 'passed') this.#expectDone(need, phase);
    if (!this.#worked.has(phase)) this.#problems.push(`${this.#runId}: ${phase} began, and must not`);
    for (const { group, holder } of this.#groupsOf(phase)) this.#places.enter(group, holder);
    await sleep(2);
    const fate = dag.fates[phase];
    if (fate === 'failed' && attempt === 2) this.#leave(phase);
    if (fate === 'failed' || (fate === 'flaky' && attempt === 1)) throw new Error(`${phase} fails`);
    if (this.#done.has(step)) this.#problems.push(`${this.#runId}: ${step} was done twice`);
    this.#done.add(step);
  }

  /** What a gate says. */
  verdict(phase: string, round: number): PhaseStatus {
    const fate = this.dag.fates[phase];
    if (round === lastRound(this.dag, phase)) this.#leave(phase);
    return fate === 'blocked' || (fate === 'reworked' && round === 0) ? 'blocked' : 'passed';
  }

  #expectDone(need: string, before: string): void {
    for (const name of instancesOf(this.dag, need))
      for (const persona of this.dag.personas[need] ?? [])
        if (!this.#done.has(stepOf(name, persona, lastRound(this.dag, name))))
          this.#problems.push(`${this.#runId}: ${before} began before ${name} ended`);
  }

  /** The run holds its place until all its work is done; a phase its own until its gate has spoken for the last time. */
  #leave(phase: string): void {
    this.#open.delete(phase);
    for (const { group, holder } of this.#groupsOf(phase))
      if (holder !== this.#runId || this.#open.size === 0) this.#places.leave(group, holder);
  }

  #groupsOf(phase: string): { group: Concurrency; holder: string }[] {
    const template = templateOf(phase);
    const own = this.dag.groups[template];
    const parallel = this.dag.repeats[template]?.parallel ?? null;
    const holder = `${this.#runId}/${phase}`;
    return [
      ...(this.dag.group === undefined ? [] : [{ group: this.dag.group, holder: this.#runId }]),
      ...(own === undefined ? [] : [{ group: own, holder }]),
      ...(parallel === null ? [] : [{ group: { group: `${this.#runId}/${template}`, limit: parallel }, holder }]),
    ];
  }
}

interface Work {
  phase: string;
  attempt: number;
  persona: string;
  round: number;
}
const stepOf = (phase: string, persona: string, round: number): string => `${phase} by ${persona} in round ${round}`;

test(
  `${RUNS} random DAGs run in order, each phase once, within their groups, and end as a plain interpreter says`,
  { timeout: 240_000 },
  async () => {
    const at = testRedis();
    const runs = new Map<string, WatchedRun>();
    const places = new HeldPlaces();
    const problems: string[] = [];
    const of = (runId: string): WatchedRun => {
      const run = runs.get(runId);
      if (run === undefined) throw new Error(`no run ${runId}`);
      return run;
    };
    const { store, redis, fleet } = await startNoopFleet(at, {
      concurrency: 50,
      personas: NOOP_PERSONAS,
      verdictOf: (runId, phase, round) => of(runId).verdict(phase, round),
      work: (phase, attempt, runId, persona, round) => of(runId).work({ phase, attempt, persona, round }),
      outputsOf: (runId, phase) => outputsOf(of(runId).dag, phase),
    });
    const started = (seed: number): { run: WatchedRun; plan: RunPlan } => {
      const dag = randomDag(seed, MOST_PHASES);
      const plan = randomPlan(dag, {});
      const run = new WatchedRun(dag, plan.runId, { places, problems });
      runs.set(plan.runId, run);
      return { run, plan };
    };
    const one = async (seed: number): Promise<void> => {
      const { run, plan } = started(seed);
      await enqueueRun({ redis, prefix: at.prefix, store }, plan);
      while (!TERMINAL_RUN.includes((await store.getStanding(plan.runId))?.status ?? 'queued')) await sleep(25);
      const phases = Object.fromEntries(
        (await store.getPhases(plan.runId)).map((record) => [record.phase, record.status]),
      );
      expect(phases, `seed ${seed}`).toEqual(run.expected.phases);
      expect((await store.getRun(plan.runId)).status, `seed ${seed}`).toBe(run.expected.run);
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
    expect(places.problems).toEqual([]);
    expect(runs.size).toBe(RUNS);
    expectTrouble([...runs.values()], places);
  },
);

/** Green for nothing is no proof: enough of the runs must have met trouble. */
function expectTrouble(runs: readonly WatchedRun[], places: HeldPlaces): void {
  expect(runs.filter((run) => run.expected.run !== 'passed').length).toBeGreaterThan(RUNS / 5);
  const fates = runs.flatMap((run) => Object.values(run.dag.fates));
  for (const fate of ['reworked', 'skipped', 'follows'] as const)
    expect(fates.filter((drawn) => drawn === fate).length).toBeGreaterThan(RUNS / 5);
  // Every group was full at some time, and had to keep somebody waiting.
  for (const { group, limit } of [...SHARED_GROUPS, RUNS_GROUP]) expect(places.most(group)).toBe(limit);
  const instances = runs.flatMap(({ dag, expected }) =>
    Object.entries(dag.fates).filter(([name]) => name !== templateOf(name) && name in expected.phases),
  );
  for (const fate of ['passed', 'flaky', 'reworked', 'blocked', 'failed'] as const)
    expect(instances.filter(([, drawn]) => drawn === fate).length).toBeGreaterThan(RUNS / 50);
  const lists = runs.flatMap(({ dag }) => Object.values(dag.repeats));
  expect(lists.filter(({ items }) => items.length === 0).length).toBeGreaterThan(RUNS / 20);
  expect(lists.filter(({ from }) => from !== null).length).toBeGreaterThan(RUNS / 20);
}
