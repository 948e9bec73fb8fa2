import type { Sample } from './chaos.ts';

/** Growth of a process below this is taken for the ups and downs of a garbage collector, that of Redis for its buffers. */
const SLACK_BYTES = 48e6;
const REDIS_SLACK_BYTES = 8e6;
const SLACK_SHARE = 1.25;
/** Fewer samples say nothing. */
const LEAST_SAMPLES = 12;
/** An ended run stays for a minute; then the sweep archives it, which may have to find another leader first. */
const ARCHIVED_WITHIN_MS = 150_000;
/** Runs that have not ended yet, and those that end while somebody counts. */
const UNDER_WAY = 30;

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;

interface Of {
  worker: string;
  /** How many ended runs are to stay in Redis. */
  keepRuns: number;
}

/** Says where memory grew and grew: the last third of the time against the second, the first being warm-up. */
export function memoryProblems(samples: readonly Sample[], { worker, keepRuns }: Of): string[] {
  const third = Math.floor(samples.length / 3);
  if (samples.length < LEAST_SAMPLES) return [`${samples.length} samples of memory are too few to say anything`];
  /** How many runs Redis should hold at the time of a sample: when more of them end in a minute, there are more. */
  const due = samples.map((now) => keepRuns + UNDER_WAY + now.runsEnded - endedBy(samples, now.elapsedMs));
  const change = (sizes: readonly number[]): [before: number, after: number] => [
    median(sizes.slice(third, 2 * third)),
    median(sizes.slice(2 * third)),
  ];
  const [dueBefore, dueAfter] = change(due);
  const grew = (what: string, of: (sample: Sample) => number, share: number, slack: number): string[] => {
    const [before, after] = change(samples.map(of));
    const isBounded = after <= before * share || after <= before + slack;
    return isBounded ? [] : [`${what} grew from ${Math.round(before)} to ${Math.round(after)}`];
  };
  const redisShare = SLACK_SHARE * Math.max(1, dueAfter / dueBefore);
  const tooMany = samples.slice(2 * third).filter((now, at) => now.runsHeld > (due[2 * third + at] ?? 0));
  return [
    ...grew(
      `memory of ${worker} in MB`,
      (sample) => (sample.workerBytes[worker] ?? 0) / 1e6,
      SLACK_SHARE,
      SLACK_BYTES / 1e6,
    ),
    ...grew('memory of Redis in MB', (sample) => sample.redisBytes / 1e6, redisShare, REDIS_SLACK_BYTES / 1e6),
    ...grew('the number of keys in Redis', (sample) => sample.redisKeys, redisShare, 0),
    ...tooMany.slice(-1).map((now) => `Redis still holds ${now.runsHeld} runs of ${now.runsEnded} that ended`),
    ...(samples.at(-1)?.runsArchived === 0 ? ['no run was archived'] : []),
  ];
}

/** How many runs had ended so long before that none of them need be in Redis any more. */
const endedBy = (samples: readonly Sample[], elapsedMs: number): number =>
  samples.findLast((earlier) => earlier.elapsedMs <= elapsedMs - ARCHIVED_WITHIN_MS)?.runsEnded ?? 0;

const ROWS = 12;

/** How everything that could grow did over the time, as a table. */
export function describeGrowth(samples: readonly Sample[], worker: string): string {
  const step = Math.max(1, Math.ceil(samples.length / ROWS));
  const shown = samples.filter((_, index) => (samples.length - 1 - index) % step === 0);
  const rows = shown.map((now) => [
    `${Math.round(now.elapsedMs / 1000)} s`,
    String(now.runsEnded),
    String(now.runsHeld),
    String(now.runsArchived),
    String(now.redisKeys),
    `${(now.redisBytes / 1e6).toFixed(1)} MB`,
    `${((now.workerBytes[worker] ?? 0) / 1e6).toFixed(0)} MB`,
  ]);
  const head = ['time', 'runs ended', 'in Redis', 'archived', 'keys', 'Redis', worker];
  return [head, ...rows].map((row) => row.map((cell) => cell.padStart(11)).join('')).join('\n');
}
