import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { renderRunHtml } from '../../gates/reports/run-report.ts';
import { type ExportedRun, exportRun } from '../../producer/export-run.ts';
import { EXIT } from '../../shared/errors.ts';
import type { RunId } from '../../shared/names.ts';
import type { PhaseRecord, RunRecord } from '../../shared/run-record.ts';
import type { Session } from '../session.ts';
import type { Terminal } from '../terminal.ts';
import { cost, elapsed, paintStatus, tokens, verdictProblems } from '../words.ts';

/** What a run ended with, for people and for machines. */
export interface RunResult {
  run: RunRecord;
  phases: PhaseRecord[];
  exported: ExportedRun;
  report: string;
}

/** Writes repository and report of a run below the home folder. */
export async function collectResult(session: Session, runId: RunId): Promise<RunResult> {
  const folder = join(session.config.home, 'runs', runId);
  await mkdir(folder, { recursive: true });
  const run = await session.store.getRun(runId);
  const phases = await session.store.getPhases(runId);
  const exported = await exportRun({
    ...session,
    runId,
    dir: join(folder, 'repository'),
    scratch: join(session.config.home, 'work'),
  });
  const report = join(folder, 'report.html');
  await writeFile(report, renderRunHtml({ run, phases }));
  return { run, phases, exported, report };
}

/** 0 passed, 3 blocked, 4 failed because Redis, model or sandbox were away, 5 cancelled, 1 any other fault. */
export function exitOf(run: Pick<RunRecord, 'status' | 'reason'>): number {
  switch (run.status) {
    case 'passed':
    case 'passed_with_warnings':
      return EXIT.passed;
    case 'blocked':
      return EXIT.blocked;
    case 'cancelled':
      return EXIT.cancelled;
    case 'failed':
      return /\b(MODEL|SANDBOX|REDIS|BLOB|TOOL)_(UNAVAILABLE|REFUSED)\b/.test(run.reason)
        ? EXIT.unavailable
        : EXIT.internal;
    case 'queued':
    case 'running':
    case 'awaiting_approval':
    case 'paused':
      return EXIT.internal;
  }
}

export function resultJson(result: RunResult): Record<string, unknown> {
  const { run, phases, exported, report } = result;
  return {
    runId: run.runId,
    workflow: run.workflow,
    status: run.status,
    reason: run.reason,
    simulated: run.simulated,
    provider: run.provider,
    usage: run.usage,
    startedAt: run.startedAt,
    finishedAt: run.finishedAt,
    repository: exported.repository,
    commit: exported.commit,
    report,
    gates: countGates(phases),
    phases: phases.map((phase) => ({
      phase: phase.phase,
      status: phase.status,
      reason: phase.reason,
      simulated: phase.simulated,
      usage: phase.usage,
      rounds: phase.rounds.map((round) => ({
        round: round.round,
        at: round.at,
        findings: round.findings,
        ...round.verdict,
      })),
    })),
  };
}

/** Gate outcomes of the last round of every phase, and how many rounds were blocked on the way. */
export function countGates(phases: readonly PhaseRecord[]): {
  evaluated: number;
  passed: number;
  failed: number;
  errors: number;
  bypassed: number;
  reworkRounds: number;
} {
  const last = phases.flatMap((phase) => phase.rounds.at(-1)?.verdict.gates ?? []);
  const having = (outcome: string): number => last.filter((gate) => gate.outcome === outcome).length;
  return {
    evaluated: last.length - having('error'),
    passed: having('passed'),
    failed: having('failed'),
    errors: having('error'),
    bypassed: having('bypassed'),
    reworkRounds: phases.reduce((sum, phase) => sum + Math.max(0, phase.rounds.length - 1), 0),
  };
}

/** The last lines of a run on a terminal. */
export function printResult(terminal: Terminal, result: RunResult): void {
  const { run, phases, exported, report } = result;
  const { colors } = terminal;
  const gates = countGates(phases);
  const spent =
    run.startedAt === null
      ? ''
      : ` in ${elapsed(Date.parse(run.finishedAt ?? run.startedAt) - Date.parse(run.startedAt))}`;
  const lines = ['', `${colors.bold('Run')} ${run.runId} ${paintStatus(colors, run.status)}${spent}`];
  for (const phase of phases) {
    if (phase.status === 'passed') continue;
    const reason = phase.reason === '' ? '' : `: ${phase.reason}`;
    lines.push(`  ${phase.phase.padEnd(14)} ${paintStatus(colors, phase.status)}${reason}`);
    const verdict = phase.rounds.at(-1)?.verdict;
    if (verdict !== undefined && phase.status !== 'not_started')
      lines.push(...verdictProblems(verdict).map((problem) => `${' '.repeat(17)}${problem}`));
  }
  lines.push(
    `  gates       ${gates.passed} passed, ${gates.failed} failed, ${gates.errors} in error, ${gates.bypassed} bypassed; ${gates.reworkRounds} rework rounds`,
    `  tokens      ${tokens(run.usage)} in ${run.usage.calls} calls, ${cost(run.usage, run.simulated)}`,
    `  code        ${exported.repository === null ? 'none was handed on' : `git clone ${exported.repository}`}`,
    `  report      ${report}`,
  );
  for (const conflict of exported.conflicts)
    lines.push(
      colors.red(
        `  conflict    ${conflict.file}: ${conflict.labels.join(' and ')}; only part of the work is in the repository`,
      ),
    );
  terminal.err(lines.join('\n'));
}
