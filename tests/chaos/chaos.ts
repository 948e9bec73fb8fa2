import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Queue } from 'bullmq';
import { enqueueRun } from '../../src/producer/enqueue.ts';
import { RunArchive } from '../../src/shared/archive.ts';
import { openBlobStore } from '../../src/shared/open-blob-store.ts';
import { QUEUES, type RunId, personaQueue } from '../../src/shared/names.ts';
import { type Redis, connectRedis } from '../../src/shared/redis.ts';
import { TERMINAL_PHASE, TERMINAL_RUN } from '../../src/shared/run-record.ts';
import { RunStore } from '../../src/shared/run-store.ts';
import { cutProxy } from '../support/cut-proxy.ts';
import { NOOP_PERSONAS, randomDag, randomPlan, randomSource } from '../support/random-dag.ts';
import { type Analysis, Analyst } from './analysis.ts';
import { checkRun } from './check-run.ts';
import { FaultInjector } from './faults.ts';
import { Journal } from './journal.ts';
import { freePort, startRedis } from './redis-process.ts';
import { type WorkerProcess, bundleWorker, startWorker } from './worker-process.ts';

/** What must at least have happened before a time under faults says anything. */
export interface Minimum {
  runs: number;
  killsThatHit: number;
  cutsThatHit: number;
  repliesLost: number;
  redisKills: number;
  takeovers: number;
  refusals: number;
  refusalsInCommit: number;
}

export interface ChaosOptions {
  seed: number;
  minimum: Minimum;
  /** Goes on at least until then. */
  minimumMs: number;
  /** Whoever has not reached the minimum by then has not shown anything. */
  limitMs: number;
  workers: number;
  /** A worker that is frozen and cut off like the others, but never killed. */
  spared?: string;
  mostPhases: number;
  mostWorkMs: number;
  runsAtOnce: number;
  gapMs: number;
  /** How many ended runs stay in Redis. */
  keepRuns: number;
  log: (line: string) => void;
  /** Called now and then, to look at the memory of everybody. */
  sample?: (now: Sample) => void;
}

/** A look at how much memory is taken. */
export interface Sample {
  elapsedMs: number;
  runsEnded: number;
  /** Runs in Redis, ended and under way, and those in the archive. */
  runsHeld: number;
  runsArchived: number;
  redisBytes: number;
  redisKeys: number;
  /** By the name of the worker. */
  workerBytes: Readonly<Record<string, number>>;
}

export interface ChaosReport extends Analysis {
  seed: number;
  runsEnded: number;
  runsByStatus: Record<string, number>;
  /** Runs that Redis forgot with its last second, and that were enqueued again. */
  forgotten: number;
  elapsedMs: number;
}

const DRAIN_MS = 60_000;
const LEFT_MS = 20_000;
const CHECK_AGAIN_MS = 20_000;
const SAMPLE_MS = 5_000;
/** The first runs to end are looked at once more in the end: by then they are in the archive. */
const LOOKED_AT_LAST = 50;

/** Tries until it succeeds: Redis may be away for the moment. */
async function insist<T>(what: () => Promise<T>, withinMs = 30_000): Promise<T> {
  const until = Date.now() + withinMs;
  for (;;) {
    try {
      return await what();
    } catch (err) {
      if (Date.now() > until) throw err;
      await sleep(200);
    }
  }
}

interface Ended {
  runId: RunId;
  seed: number;
  at: number;
}

/** The state of one time under faults. */
class Chaos {
  readonly problems: string[] = [];
  readonly statuses: Record<string, number> = {};
  runsEnded = 0;
  forgotten = 0;
  /** No new runs; those under way have until the deadline. */
  isOver = false;
  deadline = Number.POSITIVE_INFINITY;
  readonly #open = new Set<RunId>();
  readonly #store: RunStore;

  readonly #mostPhases: number;
  readonly #ended: Ended[] = [];
  readonly #first: Ended[] = [];

  constructor(store: RunStore, mostPhases: number) {
    this.#store = store;
    this.#mostPhases = mostPhases;
  }

  get open(): number {
    return this.#open.size;
  }

  async #check({ runId, seed }: Pick<Ended, 'runId' | 'seed'>): Promise<void> {
    const found = await insist(() => checkRun(this.#store, runId, randomDag(seed, this.#mostPhases)));
    this.problems.push(...found.map((problem) => `run ${runId} (seed ${seed}): ${problem}`));
  }

  /** Looks again at runs that ended some time ago: who was away then may have come back and written something since. */
  async checkAgain(afterMs: number): Promise<void> {
    for (;;) {
      const [oldest] = this.#ended;
      if (oldest === undefined || Date.now() - oldest.at < afterMs) return;
      this.#ended.shift();
      await this.#check(oldest);
    }
  }

  /** Whatever the time under faults has done to them, the first runs read as they ended, from wherever they are now. */
  async checkFirst(): Promise<void> {
    for (const run of this.#first) await this.#check(run);
  }

  async #describe(runId: RunId): Promise<string> {
    const phases = await this.#store.getPhases(runId);
    const open = phases.filter((phase) => !TERMINAL_PHASE.includes(phase.status));
    return open.map((phase) => `${phase.phase} is ${phase.status}`).join(', ') || 'all its phases have';
  }

  async run(seed: number, enqueue: (plan: ReturnType<typeof randomPlan>) => Promise<unknown>): Promise<void> {
    const plan = randomPlan(randomDag(seed, this.#mostPhases), { seed });
    const { runId } = plan;
    this.#open.add(runId);
    await insist(() => enqueue(plan));
    for (;;) {
      const status = (await insist(() => this.#store.getStanding(runId)))?.status;
      if (status === undefined) {
        this.forgotten += 1;
        await insist(() => enqueue(plan));
      } else if (TERMINAL_RUN.includes(status)) {
        this.statuses[status] = (this.statuses[status] ?? 0) + 1;
        break;
      } else if (Date.now() > this.deadline) {
        this.problems.push(`run ${runId} (seed ${seed}) did not end: ${await this.#describe(runId)}`);
        return;
      }
      await sleep(100);
    }
    await this.#check({ runId, seed });
    const run: Ended = { runId, seed, at: Date.now() };
    this.#ended.push(run);
    if (this.#first.length < LOOKED_AT_LAST) this.#first.push(run);
    this.#open.delete(runId);
    this.runsEnded += 1;
  }
}

/** Runs random DAGs on real worker processes while everything is done to them that the faults know. */
export async function runChaos(options: ChaosOptions): Promise<ChaosReport> {
  const folder = await mkdtemp(join(tmpdir(), 'maestro-chaos-'));
  const ends: (() => Promise<unknown> | void)[] = [() => rm(folder, { recursive: true, force: true, maxRetries: 3 })];
  try {
    return await inFolder(folder, options, ends);
  } finally {
    for (const end of ends.toReversed()) await end();
  }
}

async function inFolder(
  folder: string,
  options: ChaosOptions,
  ends: (() => Promise<unknown> | void)[],
): Promise<ChaosReport> {
  const { seed, log, minimum } = options;
  const prefix = '{chaos}';
  const began = Date.now();
  const random = randomSource(seed);
  const server = await startRedis(folder, await freePort());
  ends.push(() => server.stop());
  // `server` connections come back by themselves; the harness asks again until they answer.
  const redis = await connectRedis(server.url, 'server');
  ends.push(() => redis.disconnect());
  const blobs = openBlobStore(join(folder, 'blobs'));
  const store = new RunStore(redis, prefix, new RunArchive(redis, prefix, blobs));
  const journalRedis = await connectRedis(server.url, 'worker');
  ends.push(() => journalRedis.disconnect());
  const journal = new Journal(journalRedis, prefix, 'harness');
  const producer = await cutProxy(server.url);
  ends.push(() => producer.close());
  const producerRedis = await connectRedis(producer.url, 'server');
  ends.push(() => producerRedis.disconnect());
  const target = { redis: producerRedis, prefix, store: new RunStore(producerRedis, prefix) };

  const program = await bundleWorker(folder);
  const workers: WorkerProcess[] = [];
  let named = 0;
  const add = async (): Promise<void> => {
    named += 1;
    const { mostPhases, mostWorkMs, keepRuns } = options;
    const told = { name: `w${named}`, prefix, home: folder, mostPhases, mostWorkMs, keepRuns };
    workers.push(await startWorker(program, server.url, told));
  };
  ends.push(() => Promise.all(workers.filter((worker) => !worker.isGone).map((worker) => worker.kill())));
  await Promise.all(Array.from({ length: options.workers }, add));

  const chaos = new Chaos(store, options.mostPhases);
  let nextSeed = seed * 1_000;
  const lane = async (): Promise<void> => {
    while (!chaos.isOver) {
      nextSeed += 1;
      const isTwice = random() < 0.2;
      await chaos.run(nextSeed, async (plan) => {
        await enqueueRun(target, plan, { repeatable: true });
        if (isTwice) await enqueueRun(target, plan, { repeatable: true });
      });
    }
  };
  const lanes = Array.from({ length: options.runsAtOnce }, lane);
  const isLaneBroken = Promise.all(lanes).then(() => undefined);
  // A lane that breaks ends the whole; until somebody waits for it, it must not count as unhandled.
  isLaneBroken.catch(() => (chaos.isOver = true));

  const injector = new FaultInjector({
    redis: journalRedis,
    prefix,
    journal,
    server,
    producer,
    random,
    workers: () => workers,
    isSpared: (worker) => worker.name === options.spared,
    replace: async (gone) => {
      workers.splice(workers.indexOf(gone), 1);
      await add();
    },
  });
  const elapsed = (): number => Date.now() - began;
  const analyst = new Analyst();
  const hasMinimum = async (): Promise<boolean> => {
    analyst.read(await journal.take());
    if (elapsed() < options.minimumMs || chaos.runsEnded < minimum.runs) return false;
    return shortOf(analyst.found, minimum, chaos.runsEnded).length === 0;
  };
  let sampledAt = 0;
  const sample = async (): Promise<void> => {
    if (Date.now() - sampledAt < SAMPLE_MS) return;
    sampledAt = Date.now();
    const now: Sample = {
      elapsedMs: elapsed(),
      runsEnded: chaos.runsEnded,
      ...(await lookAtRedis(journalRedis, store)),
      workerBytes: await memoryOf(workers),
    };
    options.sample?.(now);
    log(describeSample(now, chaos));
  };
  while (!chaos.isOver && elapsed() < options.limitMs && !(await hasMinimum())) {
    await sleep(options.gapMs * (0.5 + random()));
    await injector.next();
    await sample();
    await chaos.checkAgain(CHECK_AGAIN_MS);
  }
  await injector.settle();
  log(`${Math.round(elapsed() / 1000)} s: faults are over, ${chaos.open} runs under way`);

  chaos.isOver = true;
  chaos.deadline = Date.now() + DRAIN_MS;
  await isLaneBroken;
  const left = chaos.open > 0 ? [] : await leftInQueues(redis, prefix);
  // Longer than the frozen need to come back and to try what they were about to do.
  await sleep(1_000);
  await chaos.checkAgain(0);
  await chaos.checkFirst();
  analyst.read(await journal.take());
  const { found } = analyst;
  return {
    ...found,
    problems: [...found.problems, ...chaos.problems, ...left],
    seed,
    runsEnded: chaos.runsEnded,
    runsByStatus: chaos.statuses,
    forgotten: chaos.forgotten,
    elapsedMs: elapsed(),
  };
}

const sum = (counts: Readonly<Partial<Record<string, number>>>): number =>
  Object.values(counts).reduce<number>((total, count) => total + (count ?? 0), 0);

async function lookAtRedis(
  redis: Redis,
  store: RunStore,
): Promise<Omit<Sample, 'elapsedMs' | 'runsEnded' | 'workerBytes'>> {
  return insist(async () => ({
    runsHeld: sum(await store.index.counts()),
    runsArchived: sum((await store.archive?.counts()) ?? {}),
    redisBytes: Number(/^used_memory:(\d+)/m.exec(await redis.info('memory'))?.[1] ?? 0),
    redisKeys: await redis.dbsize(),
  }));
}

async function memoryOf(workers: readonly WorkerProcess[]): Promise<Record<string, number>> {
  const live = workers.filter((worker) => !worker.isGone);
  return Object.fromEntries(
    await Promise.all(live.map(async (worker): Promise<[string, number]> => [worker.name, await worker.memory()])),
  );
}

const UNFINISHED = ['active', 'waiting', 'delayed', 'prioritized', 'waiting-children'] as const;

/** When every run has ended, nothing may be left in any queue, but for what is being closed just now. */
async function leftInQueues(redis: Redis, prefix: string): Promise<string[]> {
  const queues = [...Object.values(QUEUES), ...NOOP_PERSONAS.map(personaQueue)].map(
    (name) => new Queue(name, { connection: redis, prefix }),
  );
  const look = async (): Promise<string[]> => {
    const left: string[] = [];
    for (const queue of queues)
      for (const job of await queue.getJobs([...UNFINISHED], 0, 20))
        left.push(`job ${job.id} of queue ${queue.name} is still ${await job.getState()}`);
    return left;
  };
  try {
    const deadline = Date.now() + LEFT_MS;
    for (;;) {
      const left = await look();
      if (left.length === 0 || Date.now() > deadline) return left;
      await sleep(500);
    }
  } finally {
    for (const queue of queues) await queue.close();
  }
}

const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;

const describeSample = (now: Sample, { open, problems }: Chaos): string =>
  [
    `${Math.round(now.elapsedMs / 1000)} s: ${now.runsEnded} runs ended, ${open} under way, ${problems.length} problems`,
    `Redis ${megabytes(now.redisBytes)}, ${now.redisKeys} keys, ${now.runsHeld} runs, ${now.runsArchived} archived`,
    ...Object.entries(now.workerBytes).map(([name, bytes]) => `${name} ${megabytes(bytes)}`),
  ].join('; ');

/** What of the minimum was not reached. */
export function shortOf(found: Analysis, minimum: Minimum, runsEnded: number): string[] {
  const has: Minimum = { ...found, runs: runsEnded };
  const names: (keyof Minimum)[] = [
    'runs',
    'killsThatHit',
    'cutsThatHit',
    'repliesLost',
    'redisKills',
    'takeovers',
    'refusals',
    'refusalsInCommit',
  ];
  return names.filter((name) => has[name] < minimum[name]).map((name) => `${name}: ${has[name]} of ${minimum[name]}`);
}
