import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { evaluateSupplied, exitCodeOf } from '../../gates/evaluate-supplied.ts';
import { evaluatePhase } from '../../gates/evaluate.ts';
import { type PolicySet, findPolicy, loadPolicySet } from '../../gates/load-policy.ts';
import { measurePhase } from '../../gates/measure.ts';
import { openMeasuringAids } from '../../gates/open-measuring-aids.ts';
import { suppliedReport } from '../../gates/reports/phase-report.ts';
import { type ReportFormat, renderPhase } from '../../gates/reports/render.ts';
import { readPolicies } from '../../producer/definitions-builder.ts';
import { FleetError } from '../../shared/errors.ts';
import { createLogger } from '../../shared/logger.ts';
import { packagePath } from '../../shared/package-root.ts';
import { openSandbox } from '../../shared/sandbox/open-sandbox.ts';
import type { CommandContext } from '../session.ts';

const loadPolicies = async (context: CommandContext, file: string | undefined): Promise<PolicySet> =>
  loadPolicySet(await readPolicies(file === undefined ? packagePath('policies') : resolve(context.cwd, file)));

/** `maestro gates DIR --phase P`: measures a folder and judges it, without Redis, a model or a key. */
export async function gatesCommand(
  context: CommandContext,
  dir: string,
  flags: { phase?: string; policy?: string; format: ReportFormat; reuse?: boolean },
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
  const policySet = await loadPolicies(context, flags.policy);
  const { policy, fallback } = findPolicy(policySet, phase);
  if (fallback) terminal.err(`no policy names the phase "${phase}": ${policy} is used`);
  const logger = createLogger({ level: config.logLevel, name: 'maestro' });
  const sandbox = await openSandbox({ mode: config.sandbox, cache: config.cache, logger });
  const scratch = await mkdtemp(join(tmpdir(), 'maestro-gates-'));
  try {
    terminal.err(`measuring ${root} for phase ${phase} (policy ${policy}, sandbox ${sandbox.description})`);
    const announce = (id: string): void => terminal.err(`self-test of ${id}, once for this machine and these tools`);
    const aids = await openMeasuringAids({ cache: config.cache, sandbox, logger, signal, announce });
    const run = { approvals: [], judgements: [], phaseStartedAt: undefined, round: 0, inputs: {} };
    const measured = await measurePhase({
      root,
      scratch,
      phase,
      policySet,
      policy,
      sandbox,
      run,
      selftest: aids.selftest,
      cache: flags.reuse === false ? undefined : aids.cache,
      signal,
      logger,
    });
    const verdict = evaluatePhase({ policySet, policy, phase, fallback, ...measured });
    terminal.out(renderPhase({ verdict, ...measured }, flags.format, terminal.outColors).trimEnd());
    return exitCodeOf(verdict);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

/** `maestro gates eval`: judges given values; every one of them is marked `supplied`. */
export async function gatesEvalCommand(
  context: CommandContext,
  flags: { phase: string; metrics: string; policy?: string; json?: boolean },
): Promise<number> {
  const { terminal, cwd } = context;
  const policySet = await loadPolicies(context, flags.policy);
  let text: string;
  try {
    text = await readFile(resolve(cwd, flags.metrics), 'utf8');
  } catch (err) {
    throw new FleetError('BAD_USAGE', `--metrics ${flags.metrics} cannot be read`, {
      cause: err,
      remedy: 'Check the path.',
    });
  }
  const verdict = evaluateSupplied({ policySet, phase: flags.phase, text, file: flags.metrics });
  terminal.out(
    renderPhase(suppliedReport(verdict), flags.json === true ? 'json' : 'table', terminal.outColors).trimEnd(),
  );
  return exitCodeOf(verdict);
}
