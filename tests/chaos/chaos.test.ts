import { expect, test } from 'vitest';
import { type Minimum, runChaos, shortOf } from './chaos.ts';
import { describeReport } from './report.ts';

/** The short form; `npm run chaos` is the long one. Any seed must do: name one to see its order of faults again. */
const SEED = Number(process.env['MAESTRO_TEST_SEED'] ?? Date.now() % 100_000);

const MINIMUM: Minimum = {
  runs: 20,
  killsThatHit: 1,
  cutsThatHit: 1,
  repliesLost: 1,
  redisKills: 1,
  takeovers: 1,
  refusals: 1,
  refusalsInCommit: 1,
};

test(
  `runs end as they must while workers are killed, frozen and cut off, and Redis is killed (seed ${SEED})`,
  { timeout: 240_000 },
  async () => {
    const report = await runChaos({
      seed: SEED,
      minimum: MINIMUM,
      minimumMs: 0,
      limitMs: 100_000,
      workers: 3,
      mostPhases: 12,
      mostWorkMs: 300,
      runsAtOnce: 6,
      gapMs: 600,
      keepRuns: 20,
      log: () => undefined,
    });
    process.stdout.write(`${describeReport(report, MINIMUM)}\n`);
    expect(report.problems).toEqual([]);
    expect(shortOf(report, MINIMUM, report.runsEnded)).toEqual([]);
  },
);
