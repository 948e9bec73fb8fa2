import { parseArgs } from 'node:util';
import { type ChaosOptions, type Minimum, type Sample, runChaos, shortOf } from './chaos.ts';
import { describeGrowth, memoryProblems } from './memory.ts';
import { describeReport } from './report.ts';

const PICK_UP_MS = 10_000;
/** The first worker is never killed in a soak, so that its memory can be watched. */
const OLDEST = 'w1';

/**
 * Random DAGs under faults. `npm run chaos -- --runs N`: until enough runs ended and enough faults hit.
 * `npm run soak -- --minutes N`: for that long, with an eye on memory; `--keep N` ended runs stay in Redis, the others
 * are archived, so that many are the same as no archive, and must be found out. Both take `--seed N`.
 */
async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      runs: { type: 'string', default: '200' },
      minutes: { type: 'string' },
      seed: { type: 'string' },
      keep: { type: 'string', default: '20' },
      quiet: { type: 'boolean', default: false },
    },
  });
  const say = (line: string): void => void process.stdout.write(`${line}\n`);
  const seed = Number(values.seed ?? Date.now() % 100_000);
  const soakMs = values.minutes === undefined ? undefined : Number(values.minutes) * 60_000;
  const minimum: Minimum = {
    runs: Number(values.runs),
    killsThatHit: 10,
    cutsThatHit: 5,
    repliesLost: 3,
    redisKills: 3,
    takeovers: 4,
    refusals: 2,
    refusalsInCommit: 2,
  };
  const keepRuns = Number(values.keep);
  const samples: Sample[] = [];
  const options: ChaosOptions = {
    seed,
    minimum,
    minimumMs: soakMs ?? 0,
    limitMs: Math.max(30 * 60_000, 2 * (soakMs ?? 0)),
    workers: 3,
    ...(soakMs === undefined ? {} : { spared: OLDEST }),
    mostPhases: 30,
    mostWorkMs: 200,
    runsAtOnce: 10,
    gapMs: 1_500,
    keepRuns,
    log: values.quiet ? () => undefined : say,
    sample: (now) => samples.push(now),
  };
  say(`seed ${seed}: ${soakMs === undefined ? `at least ${minimum.runs} runs` : `${values.minutes} minutes`}`);
  const report = await runChaos(options);
  say(describeReport(report, minimum));
  if (soakMs !== undefined) say(describeGrowth(samples, OLDEST));
  const late = report.pickUps.filter((ms) => ms > PICK_UP_MS).length;
  const problems = [
    ...shortOf(report, minimum, report.runsEnded).map((what) => `not enough ${what}`),
    ...(late > report.pickUps.length / 10 ? [`${late} jobs of killed workers waited for more than 10 s`] : []),
    ...(soakMs === undefined ? [] : memoryProblems(samples, { worker: OLDEST, keepRuns })),
    ...report.problems,
  ];
  for (const problem of problems.slice(0, 50)) say(`problem: ${problem}`);
  say(problems.length === 0 ? 'nothing was lost' : `${problems.length} problems`);
  process.exitCode = problems.length === 0 ? 0 : 1;
}

void main();
