import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { type BypassRate, bypassRate, rateLine, rateSettings } from '../../gates/bypass/bypass-rate.ts';
import { loadPolicySet } from '../../gates/load-policy.ts';
import { renderRunHtml } from '../../gates/reports/run-report.ts';
import { type ExportedRun, exportRun } from '../../producer/export-run.ts';
import { type BlobStore, getJson } from '../../shared/blob-store.ts';
import { readConfig } from '../../shared/config.ts';
import { Definitions } from '../../shared/definitions.ts';
import { EXIT, FleetError, errorMessage } from '../../shared/errors.ts';
import { Handoff } from '../../shared/handoff.ts';
import type { RunId } from '../../shared/names.ts';
import { packagePath } from '../../shared/package-root.ts';
import { RoundEvidence } from '../../shared/round-evidence.ts';
import { type BlobRef, type PhaseRecord, type RunRecord, originMark, replayedMark } from '../../shared/run-record.ts';
import type { CommandContext, Session } from '../session.ts';
import type { Terminal } from '../terminal.ts';
import { count, oneLine } from '../text.ts';
import { cost, elapsed, paintStatus, tokens, verdictProblems } from '../words.ts';

/** What a run came to, for people and for machines. */
export interface RunResult {
  run: RunRecord;
  phases: PhaseRecord[];
  exported: ExportedRun;
  report: string;
  /** How much was bypassed lately in the whole fleet. */
  bypassRate: BypassRate;
}

const runFolder = (session: Session, runId: RunId): string => join(session.config.home, 'runs', runId);

/** How much was bypassed lately, by the alert threshold of the run's own policies. */
async function fleetBypassRate(session: Session, runId: RunId): Promise<BypassRate> {
  const { definitions } = await session.store.getPlan(runId);
  const { policies } = await getJson(session.blobs, definitions, Definitions);
  return bypassRate(session.store, rateSettings(loadPolicySet(policies).file), new Date().toISOString());
}

/** Writes repository and report of a run below the home folder. */
export async function collectResult(session: Session, runId: RunId): Promise<RunResult> {
  const exported = await writeRepository(session, runId);
  return { ...(await writeReport(session, runId)), exported };
}

/** Writes what a run has handed on as a git repository, to the folder asked for or to the run's own. */
export async function writeRepository(
  session: Session,
  runId: RunId,
  { out, phase }: { out?: string | undefined; phase?: string | undefined } = {},
): Promise<ExportedRun> {
  if (out !== undefined) await assertEmpty(out);
  const dir = out ?? join(runFolder(session, runId), phase === undefined ? 'repository' : `phase-${phase}`);
  await mkdir(dirname(dir), { recursive: true });
  return exportRun({ ...session, runId, phase, dir, scratch: join(session.config.home, 'work') });
}

/** A folder that holds anything is somebody's: it is never replaced. */
async function assertEmpty(dir: string): Promise<void> {
  const names = await readdir(dir).catch((err: unknown) => {
    if (err instanceof Error && 'code' in err && err.code === 'ENOENT') return [];
    throw new FleetError('BAD_USAGE', `--out ${dir} cannot be used: ${errorMessage(err)}`, { cause: err });
  });
  if (names.length === 0) return;
  throw new FleetError('BAD_USAGE', `--out ${dir} is not empty`, { remedy: 'Give a new or an empty folder.' });
}

/** Writes the report of a run as one HTML page, to the file asked for or to the run's own folder. */
export async function writeReport(session: Session, runId: RunId, html?: string): Promise<Omit<RunResult, 'exported'>> {
  const run = await session.store.getRun(runId);
  const phases = await session.store.getPhases(runId);
  const report = html ?? join(runFolder(session, runId), 'report.html');
  const evidence = await readBlobs(
    session.blobs,
    phases.flatMap((phase) => phase.rounds.map((round) => round.evidence)),
    RoundEvidence,
  );
  const handoffs = await readBlobs(
    session.blobs,
    phases.flatMap((phase) => Object.values(phase.handoffs)),
    Handoff,
  );
  const rate = await fleetBypassRate(session, runId);
  try {
    await mkdir(dirname(report), { recursive: true });
    await writeFile(report, renderRunHtml({ run, phases, evidence, handoffs, bypassRate: rate }));
  } catch (err) {
    throw new FleetError('BAD_USAGE', `the report cannot be written: ${errorMessage(err)}`, { cause: err });
  }
  return { run, phases, report, bypassRate: rate };
}

async function readBlobs<T>(
  blobs: BlobStore,
  refs: readonly BlobRef[],
  schema: { parse(value: unknown): T },
): Promise<Map<string, T>> {
  const read = new Map<string, T>();
  for (const ref of new Set(refs)) read.set(ref, await getJson(blobs, ref, schema));
  return read;
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
      if (/BUDGET_EXCEEDED|NEEDS_UNMET/.test(run.reason)) return EXIT.blocked;
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

export function resultJson(result: Omit<RunResult, 'exported'> & { exported?: ExportedRun }): Record<string, unknown> {
  const { run, phases, exported, report, bypassRate: rate } = result;
  return {
    runId: run.runId,
    workflow: run.workflow,
    status: run.status,
    reason: run.reason,
    simulated: run.simulated,
    ...replayedMark(run.replayed),
    provider: run.provider,
    usage: run.usage,
    startedAt: run.startedAt,
    finishedAt: run.finishedAt,
    ...(exported === undefined
      ? {}
      : { repository: exported.repository, commit: exported.commit, conflicts: exported.conflicts }),
    report,
    gates: countGates(phases),
    bypassRate: rate,
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

/** What a run came to, on a terminal. `again`: the commands that show it later. */
export function resultLines(colors: Terminal['colors'], result: RunResult, again: string): string[] {
  const { run, exported, report } = result;
  const { repository } = exported;
  return [
    ...summaryLines(colors, result),
    `  code        ${repository === null ? 'no phase handed anything on' : `git clone ${repository} my-copy`}`,
    ...conflictLines(colors, exported),
    `  report      ${report}`,
    `  later       ${again}`,
    `  personas    ${run.simulated || run.replayed === true ? colors.yellow(originText(run)) : `real: the answers came from the provider ${run.provider}`}`,
  ];
}

/** Who gave the answers of a run that asked no model. */
function originText({ simulated, replayed }: Pick<RunRecord, 'simulated' | 'replayed'>): string {
  const script = 'simulated: played from a script, no model was asked';
  if (replayed !== true) return script;
  return `replayed: the answers are from the recording of an earlier run${simulated ? `, and ${script}` : ''}`;
}

/** Verdict, what did not pass, gates and tokens; and that too much is bypassed, where it is. */
export function summaryLines(
  colors: Terminal['colors'],
  { run, phases, bypassRate: rate }: Pick<RunResult, 'run' | 'phases'> & Partial<Pick<RunResult, 'bypassRate'>>,
): string[] {
  const gates = countGates(phases);
  const took = run.startedAt === null || run.finishedAt === null ? null : span(run.startedAt, run.finishedAt);
  const mark = originMark(run);
  const lines = [
    `${colors.bold('Run')} ${run.runId} of ${run.workflow}: ${paintStatus(colors, run.status)}${took === null ? '' : ` in ${took}`}${mark}`,
  ];
  for (const phase of phases) {
    if (phase.status === 'passed') continue;
    const reason = phase.reason === '' ? '' : `: ${oneLine(phase.reason)}`;
    lines.push(`  ${phase.phase.padEnd(14)} ${paintStatus(colors, phase.status)}${reason}`);
    const verdict = phase.rounds.at(-1)?.verdict;
    if (verdict !== undefined && phase.status !== 'not_started')
      lines.push(...verdictProblems(verdict).map((problem) => `${' '.repeat(17)}${problem}`));
  }
  if (rate?.isAlert === true) lines.push(colors.red(`  bypasses    ${rateLine(rate)}`));
  lines.push(
    `  gates       ${gates.passed} passed, ${gates.failed} failed, ${gates.errors} in error, ${gates.bypassed} bypassed; ${count(gates.reworkRounds, 'rework round')}`,
    `  tokens      ${tokens(run.usage)} in ${count(run.usage.calls, 'call')}, ${cost(run.usage, run.simulated, run.replayed)}`,
  );
  return lines;
}

const span = (from: string, to: string): string => elapsed(Date.parse(to) - Date.parse(from));

/** One line that says what is missing, and one for every file that is why. */
export function conflictLines(colors: Terminal['colors'], { conflicts, leftOut }: ExportedRun): string[] {
  if (conflicts.length === 0) return [];
  return [
    `  blocked     the work of ${leftOut.join(', ')} does not fit with the rest and is not in the repository`,
    ...conflicts.map(({ file, labels }) => `  conflict    ${oneLine(file)} was changed by ${labels.join(' and ')}`),
  ].map((line) => colors.red(line));
}

/** The command as a person in this folder can type it: a clone has it in `bin`, an installed package on the PATH. */
export function commandName(cwd: string): string {
  const path = relative(cwd, packagePath('bin', 'maestro'));
  return path.startsWith('..') || path.includes('node_modules') ? 'maestro' : path;
}

/** The command with what it needs to find the runs of this one: a demo has keys of its own in Redis. */
export function commandFor({ config, env, cwd }: Pick<CommandContext, 'config' | 'env' | 'cwd'>): string {
  const isUsual = config.prefix === readConfig(env, cwd).prefix;
  return `${isUsual ? '' : `MAESTRO_PREFIX='${config.prefix}' `}${commandName(cwd)}`;
}

/** The code of a run, or 3 when all passed by itself and could not be handed over together. */
export function exitOfResult({ run, exported }: Pick<RunResult, 'run' | 'exported'>): number {
  const exit = exitOf(run);
  return exit === EXIT.passed && exported.conflicts.length > 0 ? EXIT.blocked : exit;
}
