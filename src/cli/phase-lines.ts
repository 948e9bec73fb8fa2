import type { PhaseRecord } from '../shared/run-record.ts';
import type { Terminal } from './terminal.ts';
import { oneLine } from './text.ts';
import { cost, elapsed, paintStatus, statusText, tokens, verdictProblems } from './words.ts';

/** Names of instances can be long; a terminal is not. */
const WIDEST_NAME = 30;

/** How the phases of a run stand, as lines for a terminal. */
export function phaseLines(colors: Terminal['colors'], phases: readonly PhaseRecord[]): string[] {
  const width = Math.min(WIDEST_NAME, Math.max(16, ...phases.map(({ phase }) => phase.length)));
  return phases.flatMap((phase) => {
    const until = phase.finishedAt === null ? Date.now() : Date.parse(phase.finishedAt);
    const time = phase.startedAt === null ? '' : elapsed(until - Date.parse(phase.startedAt));
    const spent = phase.usage.calls === 0 ? '' : `${tokens(phase.usage)}, ${cost(phase.usage, phase.simulated)}`;
    const reworked = phase.round - phase.firstRound;
    const status = paintStatus(colors, phase.status, statusText(phase.status).padEnd(22));
    const line = `  ${phase.phase.padEnd(width)} ${status} ${time.padStart(7)}  ${spent.padEnd(24)}  ${reworked > 0 ? `rework ${reworked}` : ''}`;
    return [line.trimEnd(), ...problemsOf(phase).map((problem) => `      ${problem}`)];
  });
}

/** What its last verdict found, unless the phase ended, or was taken up again, without one. */
function problemsOf(phase: PhaseRecord): string[] {
  const last = phase.rounds.at(-1);
  const isOld = last === undefined || last.round < phase.firstRound || ['failed', 'cancelled'].includes(phase.status);
  return (isOld || phase.status === 'not_started' ? [oneLine(phase.reason)] : verdictProblems(last.verdict)).filter(
    (problem) => problem !== '',
  );
}
