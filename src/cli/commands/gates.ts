import { mkdtemp, readFile, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { evaluateSupplied, exitCodeOf } from '../../gates/evaluate-supplied.ts';
import { type EvaluateInput, evaluatePhase } from '../../gates/evaluate.ts';
import { type IntegrityOptions, integrityOf, readsTests } from '../../gates/integrity/integrity-of.ts';
import { type Revision, openRevision } from '../../gates/integrity/revision.ts';
import { withIntegrity } from '../../gates/integrity/verdict.ts';
import { findPolicy } from '../../gates/load-policy.ts';
import { measurePhase } from '../../gates/measure.ts';
import { addressFindings } from '../../gates/owners/address-findings.ts';
import { projectOwners } from '../../gates/owners/project-owners.ts';
import { openMeasuringAids } from '../../gates/open-measuring-aids.ts';
import { type PhaseReport, suppliedReport } from '../../gates/reports/phase-report.ts';
import { type ReportFormat, renderPhase } from '../../gates/reports/render.ts';
import { baselineFromReport } from '../../gates/trend/baselines.ts';
import { FileBypassLog } from '../../shared/bypass-log.ts';
import { FleetError } from '../../shared/errors.ts';
import { createLogger } from '../../shared/logger.ts';
import { openSandbox } from '../../shared/sandbox/open-sandbox.ts';
import { readGivenFiles } from '../given-files.ts';
import { type PolicyFlags, declaredFor, loadPolicies } from '../policies.ts';
import type { CommandContext } from '../session.ts';
import { removeTree } from '../../shared/remove-tree.ts';

interface JudgeFlags extends PolicyFlags {
  phase: string;
  /** A log of bypasses as JSON lines. */
  bypasses?: string;
  /** The JSON report of an earlier run, for relative criteria. */
  baseline?: string;
}

/** What a folder or given values are judged with beside what was measured. */
async function judgedWith(
  context: CommandContext,
  flags: JudgeFlags,
  policy: string,
): Promise<Pick<EvaluateInput, 'bypasses' | 'baseline'>> {
  const { phase, bypasses, baseline } = flags;
  return {
    ...(bypasses === undefined ? {} : { bypasses: await readBypasses(context, bypasses) }),
    ...(baseline === undefined
      ? {}
      : {
          baseline: baselineFromReport(await readGiven(context, '--baseline', baseline), baseline, { phase, policy }),
        }),
  };
}

async function readBypasses(context: CommandContext, file: string): Promise<NonNullable<EvaluateInput['bypasses']>> {
  await readGiven(context, '--bypasses', file);
  const state = await new FileBypassLog(resolve(context.cwd, file)).read();
  if (state.problems.length > 0)
    throw new FleetError('BAD_INPUT', `the bypass log ${file} is broken: ${state.problems.join('; ')}`, {
      remedy: 'Bring it back from version control; no bypass in it counts.',
    });
  const known = state.bypasses.filter((bypass) => bypass.scope.kind === 'folder');
  return { now: new Date().toISOString(), known };
}

async function readGiven(context: CommandContext, flag: string, file: string): Promise<string> {
  try {
    return await readFile(resolve(context.cwd, file), 'utf8');
  } catch (err) {
    throw new FleetError('BAD_USAGE', `${flag} ${file} cannot be read`, { cause: err, remedy: 'Check the path.' });
  }
}

/** `maestro gates DIR --phase P`: measures a folder and judges it, without Redis, a model or a key. */
export async function gatesCommand(
  context: CommandContext,
  dir: string,
  flags: Omit<JudgeFlags, 'phase'> & {
    phase?: string;
    format: ReportFormat;
    reuse?: boolean;
    measure?: string;
    records?: string;
    advisories?: string;
    /** A git revision: the code before, and the tests handed down. */
    against?: string;
  },
): Promise<number> {
  const { config, terminal, signal } = context;
  const { phase } = flags;
  if (phase === undefined)
    throw new FleetError('BAD_USAGE', "required option '--phase <P>' not specified", {
      remedy: 'Name the phase whose gates apply, e.g. --phase backend.',
    });
  const root = resolve(context.cwd, dir);
  const found = await stat(root).catch(() => undefined);
  if (found?.isDirectory() !== true)
    throw new FleetError('BAD_USAGE', `${dir} is not a folder`, { remedy: 'Give the folder to measure.' });
  const policySet = await declaredFor(context, root, flags.measure, await loadPolicies(context, flags, root));
  const { policy, fallback } = findPolicy(policySet, phase);
  if (fallback) terminal.err(`no policy names the phase "${phase}": ${policy} is used`);
  const given = await readGivenFiles(context.cwd, flags);
  const beside = await judgedWith(context, { ...flags, phase }, policy);
  const logger = createLogger({ level: config.logLevel, name: 'maestro' });
  const sandbox = await openSandbox({ mode: config.sandbox, cache: config.cache, logger });
  const scratch = await mkdtemp(join(tmpdir(), 'maestro-gates-'));
  try {
    const { against: ref } = flags;
    const base = ref === undefined ? undefined : await openRevision({ root, ref, dir: scratch });
    terminal.err(`measuring ${root} for phase ${phase} (policy ${policy}, sandbox ${sandbox.description})`);
    const announce = (id: string): void => terminal.err(`self-test of ${id}, once for this machine and these tools`);
    const aids = await openMeasuringAids({ cache: config.cache, sandbox, logger, signal, announce });
    const cache = flags.reuse === false ? undefined : aids.cache;
    const run = { approvals: [], judgements: [], phaseStartedAt: undefined, round: 0, inputs: {}, given };
    const measured = await measurePhase({
      root,
      scratch,
      phase,
      policySet,
      policy,
      sandbox,
      run,
      selftest: aids.selftest,
      cache,
      signal,
      logger,
    });
    const judged = evaluatePhase({ policySet, policy, phase, fallback, ...measured, ...beside });
    const report = await heldAgainst(base, { ...measured, verdict: judged }, () => ({
      context: { root, sandbox, phase, run, signal, logger },
      dir: scratch,
      isTested: readsTests(policySet, policy, []),
      cache,
    }));
    const findings = addressFindings(report.findings, await projectOwners(root, logger));
    terminal.out(
      renderPhase({ ...report, findings }, flags.format, terminal.outColors, terminal.outColumns()).trimEnd(),
    );
    return exitCodeOf(report.verdict);
  } finally {
    await removeTree(scratch);
  }
}

/** The report with the checks of integrity against a revision, where one was named; they block like gates. */
async function heldAgainst(
  base: Revision | undefined,
  report: PhaseReport,
  optionsOf: () => Omit<IntegrityOptions, keyof Revision>,
): Promise<PhaseReport> {
  if (base === undefined) return report;
  const { checks, findings, reports } = await integrityOf({ ...base, ...optionsOf() });
  return {
    ...report,
    verdict: withIntegrity(report.verdict, checks),
    findings: [...report.findings, ...findings],
    reports: [...report.reports, ...reports],
    integrity: { against: base.ref, commit: base.commit, checks },
  };
}

/** `maestro gates eval`: judges given values; every one of them is marked `supplied`. */
export async function gatesEvalCommand(
  context: CommandContext,
  flags: JudgeFlags & { metrics: string; json?: boolean },
): Promise<number> {
  const { terminal, cwd } = context;
  const policySet = await loadPolicies(context, flags, cwd);
  const text = await readGiven(context, '--metrics', flags.metrics);
  const beside = await judgedWith(context, flags, findPolicy(policySet, flags.phase).policy);
  const verdict = evaluateSupplied({ policySet, phase: flags.phase, text, file: flags.metrics, ...beside });
  terminal.out(
    renderPhase(
      suppliedReport(verdict),
      flags.json === true ? 'json' : 'table',
      terminal.outColors,
      terminal.outColumns(),
    ).trimEnd(),
  );
  return exitCodeOf(verdict);
}
