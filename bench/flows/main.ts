import { mkdtemp, rm } from 'node:fs/promises';
import { cpus, release, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import Table from 'cli-table3';
import { buildFlow, countJobs, firstTake } from '../../src/producer/flow.ts';
import { type Redis, connectRedis } from '../../src/shared/redis.ts';
import { GATES_AT_ONCE } from '../../src/workers/fleet.ts';
import { freePort, startRedis } from '../../tests/chaos/redis-process.ts';
import { noopPlan } from '../../tests/support/noop-handlers.ts';
import { type Contender, type Place, openFleet, openRaw } from './contenders.ts';
import { median, percentile, redisLoad, redisMemory } from './meter.ts';
import { type Shape, chain, fan, randomShape } from './shapes.ts';

const { values: flags } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    /** Runs that wait in the longest queue. */
    backlog: { type: 'string', default: '10000' },
    only: { type: 'string', default: '' },
  },
});
const say = (line: string): void => void process.stdout.write(`${line}\n`);

const CASES: { name: string; shape: Shape; runs: number; atOnce: number }[] = [
  { name: 'chain of 11, one run at a time', shape: chain(11), runs: 20, atOnce: 1 },
  { name: 'chain of 11', shape: chain(11), runs: 100, atOnce: 20 },
  { name: 'fan-out 10 and fan-in', shape: fan(10), runs: 100, atOnce: 20 },
  { name: 'random 100-phase DAG', shape: randomShape(100, 7), runs: 12, atOnce: 4 },
];

interface Figures {
  enqueueMs: number;
  runsPerSecond: number;
  p50: number;
  p99: number;
  commandsPerPhase: number;
  bytesPerPhase: number;
  redisMsPerPhase: number;
  ownMsPerPhase: number;
  keptPerRun: number;
}

type Opening = (place: Omit<Place, 'url'>) => Promise<Contender>;

interface Measured {
  shape: Shape;
  runs: number;
  atOnce: number;
  queueFirst: boolean;
  gatesAtOnce: number;
}

interface Bench {
  redis: Redis;
  open: Record<'raw' | 'fleet', Opening>;
}

/** Runs are enqueued so that so many are always under way. */
async function measure(
  { redis }: Bench,
  open: Opening,
  { shape, runs, atOnce, queueFirst, gatesAtOnce }: Measured,
): Promise<Figures> {
  await redis.flushall();
  const contender = await open({ prefix: '{bench}', gatesAtOnce });
  const phases = Object.keys(shape).length;
  const plans = Array.from({ length: runs }, () => noopPlan(shape));
  let enqueueMs = 0;
  const enqueue = async (index: number): Promise<void> => {
    const plan = plans[index];
    if (plan === undefined) return;
    const began = performance.now();
    await contender.enqueue(plan);
    enqueueMs += performance.now() - began;
  };
  try {
    const emptyBytes = await redisMemory(redis);
    if (queueFirst) for (let index = 0; index < runs; index += 1) await enqueue(index);
    const before = await redisLoad(redis);
    const cpuBefore = process.cpuUsage();
    const began = performance.now();
    await contender.start();
    if (queueFirst) await contender.ended(runs);
    else {
      for (let index = 0; index < runs; index += 1) {
        await enqueue(index);
        await contender.ended(index + 1 - (atOnce - 1));
      }
      await contender.ended(runs);
    }
    const seconds = (performance.now() - began) / 1_000;
    const cpu = process.cpuUsage(cpuBefore);
    const after = await redisLoad(redis);
    const { milliseconds } = contender.handOffs;
    const all = runs * phases;
    return {
      enqueueMs: enqueueMs / runs,
      runsPerSecond: runs / seconds,
      p50: percentile(milliseconds, 0.5),
      p99: percentile(milliseconds, 0.99),
      commandsPerPhase: (after.commands - before.commands) / all,
      bytesPerPhase: (after.bytes - before.bytes) / all,
      redisMsPerPhase: (after.cpuMs - before.cpuMs) / all,
      ownMsPerPhase: (cpu.user + cpu.system) / 1_000 / all,
      keptPerRun: ((await redisMemory(redis)) - emptyBytes) / runs,
    };
  } finally {
    await contender.close();
  }
}

const FIELDS = [
  'enqueueMs',
  'runsPerSecond',
  'p50',
  'p99',
  'commandsPerPhase',
  'bytesPerPhase',
  'redisMsPerPhase',
  'ownMsPerPhase',
  'keptPerRun',
] as const;

const middle = (rounds: readonly Figures[]): Record<(typeof FIELDS)[number], number> => {
  const of = (field: (typeof FIELDS)[number]): number => median(rounds.map((figures) => figures[field]));
  return {
    enqueueMs: of('enqueueMs'),
    runsPerSecond: of('runsPerSecond'),
    p50: of('p50'),
    p99: of('p99'),
    commandsPerPhase: of('commandsPerPhase'),
    bytesPerPhase: of('bytesPerPhase'),
    redisMsPerPhase: of('redisMsPerPhase'),
    ownMsPerPhase: of('ownMsPerPhase'),
    keptPerRun: of('keptPerRun'),
  };
};

/** Both, turn about, so that what the machine does beside hits both. */
async function paired(bench: Bench, rounds: number, of: Measured): Promise<{ raw: Figures[]; fleet: Figures[] }> {
  const found: { raw: Figures[]; fleet: Figures[] } = { raw: [], fleet: [] };
  for (let round = 0; round < rounds; round += 1) {
    const order = round % 2 === 0 ? (['raw', 'fleet'] as const) : (['fleet', 'raw'] as const);
    for (const who of order) found[who].push(await measure(bench, bench.open[who], of));
  }
  return found;
}

const number = (value: number, digits = 1): string => value.toFixed(digits);

async function benchCases(bench: Bench, rounds: number, gatesAtOnce: number): Promise<void> {
  for (const { name, shape, runs, atOnce } of CASES.filter((each) => each.name.includes(flags.only))) {
    const { raw, fleet } = await paired(bench, rounds, { shape, runs, atOnce, queueFirst: false, gatesAtOnce });
    const [a, b] = [middle(raw), middle(fleet)];
    const ratios = raw.map((figures, round) => (fleet[round]?.runsPerSecond ?? 0) / figures.runsPerSecond);
    const p99s = raw.map((figures, round) => (fleet[round]?.p99 ?? 0) / figures.p99);
    const table = new Table({ head: ['', 'raw BullMQ', 'fleet', 'ratio'], style: { head: [], border: [] } });
    const row = (what: string, field: (typeof FIELDS)[number], digits = 1, ratio = b[field] / a[field]): void => {
      table.push([what, number(a[field], digits), number(b[field], digits), number(ratio, 2)]);
    };
    row('runs/s', 'runsPerSecond', 1, median(ratios));
    row('hand-off p50, ms', 'p50', 2);
    row('hand-off p99, ms', 'p99', 2, median(p99s));
    row('enqueue a run, ms', 'enqueueMs', 2);
    row('Redis commands per phase, in scripts too', 'commandsPerPhase');
    row('bytes to and from Redis per phase', 'bytesPerPhase', 0);
    row('CPU of Redis per phase, ms', 'redisMsPerPhase', 3);
    row('CPU of the worker per phase, ms', 'ownMsPerPhase', 3);
    row('Redis memory per kept run, bytes', 'keptPerRun', 0);
    const plan = noopPlan(shape);
    const jobs = countJobs(buildFlow(plan, firstTake(plan)));
    say(
      `\n${name}: ${Object.keys(shape).length} phases, ${jobs} jobs; ${runs} runs, ${atOnce} at once; ${rounds} rounds`,
    );
    say(table.toString());
    say(
      `throughput ${number(median(ratios), 2)} of raw (wanted: 0.80), p99 ${number(median(p99s), 2)} times raw (wanted: at most 1.50)`,
    );
  }
}

/** Milliseconds for one of the two phases of a run. */
const perPhase = (runsPerSecond: number): number => 1_000 / runsPerSecond / 2;

/** What a phase costs while ever more runs wait. */
async function benchBacklog(bench: Bench, most: number): Promise<void> {
  const shape = chain(2);
  const head = [
    'runs queued',
    'raw: ms per phase',
    'fleet: ms per phase',
    'ratio',
    'raw: enqueue ms',
    'fleet: enqueue ms',
  ];
  const table = new Table({ head, style: { head: [], border: [] } });
  for (let runs = 10; runs <= most; runs *= 10) {
    const rounds = runs < 1_000 ? 5 : 1;
    const { raw, fleet } = await paired(bench, rounds, {
      shape,
      runs,
      atOnce: 0,
      queueFirst: true,
      gatesAtOnce: GATES_AT_ONCE,
    });
    const [a, b] = [middle(raw), middle(fleet)];
    table.push([
      String(runs),
      number(perPhase(a.runsPerSecond), 3),
      number(perPhase(b.runsPerSecond), 3),
      number(b.runsPerSecond / a.runsPerSecond, 2),
      number(a.enqueueMs, 2),
      number(b.enqueueMs, 2),
    ]);
  }
  say(`\nbacklog of chains of 2, queued before anybody works`);
  say(table.toString());
}

async function main(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'maestro-bench-'));
  const server = await startRedis(folder, await freePort());
  try {
    const redis = await connectRedis(server.url, 'worker');
    const bench: Bench = {
      redis,
      open: {
        raw: (place) => openRaw({ ...place, url: server.url }),
        fleet: (place) => openFleet({ ...place, url: server.url }, folder),
      },
    };
    const version = /redis_version:(\S+)/.exec(await redis.info('server'))?.[1] ?? '?';
    const [cpu] = cpus();
    say(
      `${new Date().toISOString()}; ${cpus().length} x ${cpu?.model ?? '?'}, ${Math.round(totalmem() / 2 ** 30)} GiB, ` +
        `Linux ${release()}, Node ${process.version}, Redis ${version} with AOF everysec; one worker process`,
    );
    // A first round that is not counted: compilers and scripts warm up.
    for (const who of ['raw', 'fleet'] as const)
      await measure(bench, bench.open[who], {
        shape: chain(11),
        runs: 30,
        atOnce: 10,
        queueFirst: false,
        gatesAtOnce: GATES_AT_ONCE,
      });
    say(`\n== ${GATES_AT_ONCE} gate jobs at once, for both, as shipped`);
    await benchCases(bench, Number(flags.rounds), GATES_AT_ONCE);
    await benchBacklog(bench, Number(flags.backlog));
    redis.disconnect();
  } finally {
    await server.stop();
    await rm(folder, { recursive: true, force: true, maxRetries: 3 });
  }
}

void main();
