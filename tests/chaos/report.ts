import type { ChaosReport, Minimum } from './chaos.ts';

const percentile = (values: readonly number[], share: number): number =>
  values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))] ?? 0;

/** The table that a time under faults ends with. */
export function describeReport(report: ChaosReport, minimum: Minimum): string {
  const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;
  const statuses = Object.entries(report.runsByStatus).map(([status, count]) => `${count} ${status}`);
  const { pickUps } = report;
  const rows: [string, string][] = [
    ['seed', String(report.seed)],
    ['time', seconds(report.elapsedMs)],
    ['runs ended', `${report.runsEnded} (at least ${minimum.runs}): ${statuses.join(', ')}`],
    ['runs forgotten by a killed Redis and enqueued again', String(report.forgotten)],
    ['kills that hit a worker at work', `${report.killsThatHit} (at least ${minimum.killsThatHit})`],
    [
      'its jobs taken up by another: p50, p90, longest',
      `${[0.5, 0.9, 1].map((share) => seconds(percentile(pickUps, share))).join(', ')} of ${pickUps.length}`,
    ],
    ['cuts that hit a worker at work', `${report.cutsThatHit} (at least ${minimum.cutsThatHit})`],
    ['answers of Redis swallowed', `${report.repliesLost} (at least ${minimum.repliesLost})`],
    ['Redis killed and restarted', `${report.redisKills} (at least ${minimum.redisKills})`],
    ['away past the lock, and the job taken over', `${report.takeovers} (at least ${minimum.takeovers})`],
    ['... and refused when it came back', `${report.refusals} (at least ${minimum.refusals})`],
    ['... and that in the middle of a commit', `${report.refusalsInCommit} (at least ${minimum.refusalsInCommit})`],
    ['attempts at a job', String(report.attempts)],
    ['... that repeated what a fault had interrupted', String(report.repeated)],
    ['problems', String(report.problems.length)],
  ];
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, value]) => `${name.padEnd(width)}  ${value}`).join('\n');
}
