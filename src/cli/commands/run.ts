import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { runCosts } from '../../producer/cost-report.ts';
import { enqueueRun } from '../../producer/enqueue.ts';
import { type RunRequest, prepareRun } from '../../producer/prepare-run.ts';
import { startTime } from '../../producer/start-time.ts';
import { loadWorkflow } from '../../producer/workflow-file.ts';
import { EXIT, FleetError } from '../../shared/errors.ts';
import { commitFolder } from '../../shared/folder-commit.ts';
import { newRunId } from '../../shared/names.ts';
import { PACKAGE_ROOT } from '../../shared/package-root.ts';
import { ProviderName, type RunPlan, isReplayedRun, isSimulatedRun } from '../../shared/run-record.ts';
import { type InputValues, type Workflow } from '../../shared/workflow-schema.ts';
import { parseYaml } from '../../shared/yaml-file.ts';
import { InputValues as InputValuesSchema } from '../../shared/workflow-schema.ts';
import { audited } from '../audited.ts';
import { type GivenFlags, readGivenFiles } from '../given-files.ts';
import { type PolicyFlags, runSources } from '../policies.ts';
import { type CommandContext, type Session, withSession } from '../session.ts';
import { type CassetteFlags, assertWritable, cassetteFor, writeCassette } from './cassette.ts';
import { costNotes, costSourcesOf } from './costs.ts';
import { followRun } from './follow.ts';
import { collectResult, commandFor, commandName, exitOfResult, resultJson, resultLines } from './run-result.ts';

export interface RunFlags extends PolicyFlags, GivenFlags, CassetteFlags {
  input: string[];
  inputFile?: string;
  provider: string;
  scenario: string;
  approvals?: string;
  budgetUsd?: number;
  budgetTokens?: number;
  from?: string;
  files?: string;
  priority?: number;
  delay?: string;
  at?: string;
  idempotencyKey?: string;
  detach?: boolean;
  json?: boolean;
}

export const SIMULATED = 'simulated: a script plays the personas, no model is asked; the rest is real';

export const REPLAYED =
  'replayed: the answers come from the recording of an earlier run, no model is asked; the rest is real';

/** Plans a run of a workflow file with the flags of the command line. */
export async function planFromFlags(
  context: CommandContext,
  session: Session,
  name: string,
  flags: RunFlags,
): Promise<RunPlan> {
  const loaded = await loadWorkflow(name, { cwd: context.cwd, packageRoot: PACKAGE_ROOT });
  const provider = ProviderName.safeParse(flags.provider);
  if (!provider.success)
    throw new FleetError('BAD_USAGE', `unknown provider "${flags.provider}"`, { remedy: 'Use anthropic or scripted.' });
  const isScripted = provider.data === 'scripted';
  const played = await cassetteFor(context, session, flags, loaded.workflow.name);
  const { perDay: _ofAllRuns, ...ofRun } = loaded.workflow.budget ?? {};
  const budget = {
    ...ofRun,
    ...(flags.budgetTokens === undefined ? {} : { tokens: flags.budgetTokens }),
    ...(flags.budgetUsd === undefined ? {} : { usd: flags.budgetUsd }),
  };
  if (flags.budgetTokens !== undefined && flags.budgetUsd === undefined) delete budget.usd;
  return prepareRun(session.blobs, await runSources(context, flags), loaded, {
    inputs: { ...played?.inputs, ...(await readInputs(context.cwd, flags, loaded.workflow)) },
    provider: provider.data,
    scripted: isScripted
      ? { scenario: flags.scenario, approvals: flags.approvals !== 'people' }
      : (played?.scripted ?? null),
    ...(played === undefined ? {} : { cassette: played.cassette }),
    ...(flags.record === undefined ? {} : { isRecorded: true }),
    budget,
    ...(flags.priority === undefined ? {} : { priority: flags.priority }),
    given: await readGivenFiles(context.cwd, flags),
    ...(await startOf(context, session, flags)),
    ...timeOf(flags),
  });
}

function timeOf({ delay, at }: Pick<RunFlags, 'delay' | 'at'>): Pick<RunRequest, 'startAt'> {
  if (delay !== undefined && at !== undefined)
    throw new FleetError('BAD_USAGE', '--delay and --at both say when to start', { remedy: 'Use one of them.' });
  if (delay !== undefined) return { startAt: startTime({ delay }) };
  return at === undefined ? {} : { startAt: startTime({ at }) };
}

/** `--from P --files DIR`: the files become a commit that the phases before P would have handed on. */
async function startOf(
  { cwd, config }: CommandContext,
  { blobs }: Session,
  { from, files }: Pick<RunFlags, 'from' | 'files'>,
): Promise<Pick<RunRequest, 'startFrom'>> {
  if (from === undefined && files === undefined) return {};
  if (from === undefined) throw new FleetError('BAD_USAGE', '--files needs --from, the phase that starts from them');
  if (files === undefined) return { startFrom: { phase: from, given: null } };
  const given = await commitFolder({
    blobs,
    base: undefined,
    folder: resolve(cwd, files),
    scratch: join(config.home, 'work', `start-${newRunId()}`),
    message: `Files given to start from ${from}`,
    by: 'given by a person',
    trailers: {},
  });
  return { startFrom: { phase: from, given } };
}

/** `--input k=v` and `--input-file`, typed as the workflow declares them. */
async function readInputs(cwd: string, flags: RunFlags, workflow: Workflow): Promise<InputValues> {
  const fromFile = flags.inputFile === undefined ? {} : await readInputFile(resolve(cwd, flags.inputFile));
  const fromFlags = flags.input.map((pair): [string, string | number | boolean] => {
    const at = pair.indexOf('=');
    if (at < 1) throw new FleetError('BAD_USAGE', `--input ${pair}: write it as name=value`);
    const [name, text] = [pair.slice(0, at), pair.slice(at + 1)];
    const type = workflow.inputs[name]?.type;
    if (type === 'number' && text.trim() !== '' && Number.isFinite(Number(text))) return [name, Number(text)];
    return [name, type === 'boolean' && /^(true|false)$/.test(text) ? text === 'true' : text];
  });
  return { ...fromFile, ...Object.fromEntries(fromFlags) };
}

async function readInputFile(file: string): Promise<InputValues> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (err) {
    throw new FleetError('BAD_USAGE', `--input-file ${file} cannot be read`, { cause: err, remedy: 'Check the path.' });
  }
  return parseYaml(InputValuesSchema, { file, text }).value;
}

/** `maestro run WORKFLOW`: enqueues a run and shows it until it has ended. The run goes on without this command. */
export function runCommand(context: CommandContext, name: string, flags: RunFlags): Promise<number> {
  const { terminal, signal } = context;
  return withSession(context, { startRedis: false }, async (session) => {
    const planned = await planFromFlags(context, session, name, flags);
    if (flags.record !== undefined) await assertWritable(resolve(context.cwd, flags.record), flags);
    if (isReplayedRun(planned)) terminal.err(REPLAYED);
    if (isSimulatedRun(planned)) terminal.err(SIMULATED);
    const { idempotencyKey: key } = flags;
    const given = await readGivenFiles(context.cwd, flags);
    const once = key === undefined ? {} : { once: { key, given } };
    const { workflow } = planned;
    const runId = await audited(session, 'run', { id: planned.runId, workflow }, async (note) => {
      const id = await enqueueRun({ ...session, prefix: session.config.prefix }, planned, once);
      note({ id });
      return id;
    });
    const isNew = runId === planned.runId;
    const plan = isNew ? planned : await session.store.getPlan(runId);
    const { startAt } = plan;
    const phases = `${plan.phases.length} phases`;
    if (!isNew) terminal.err(`run ${runId} of ${plan.workflow} was started before with this key`);
    else if (startAt === undefined) terminal.err(`run ${runId} of ${plan.workflow} is queued (${phases})`);
    else terminal.err(`run ${runId} of ${plan.workflow} starts at ${startAt} (${phases})`);
    if (flags.detach === true) {
      const { status, simulated } = await session.store.getRun(runId);
      const found = {
        runId,
        workflow: plan.workflow,
        status,
        simulated,
        ...(startAt === undefined ? {} : { startAt }),
      };
      terminal.out(flags.json === true ? JSON.stringify(found, null, 2) : runId);
      return EXIT.passed;
    }
    const hasEnded = await followRun(session, plan, terminal, signal);
    if (!hasEnded) {
      terminal.err(`the run goes on without this command: maestro status ${runId}; maestro cancel ${runId} ends it`);
      const { status, simulated } = await session.store.getRun(runId);
      if (flags.json === true)
        terminal.out(JSON.stringify({ runId, workflow: plan.workflow, status, simulated }, null, 2));
      return EXIT.cancelled;
    }
    const exit = await showResult(context, session, plan, flags);
    if (flags.record !== undefined && plan.isRecorded === true)
      await writeCassette(context, session, plan, resolve(context.cwd, flags.record));
    return exit;
  });
}

/** Prints what a run ended with and turns it into the exit code. */
export async function showResult(
  context: CommandContext,
  session: Session,
  plan: RunPlan,
  flags: { json?: boolean },
): Promise<number> {
  const { terminal, cwd } = context;
  const result = await collectResult(session, plan.runId);
  // A private Redis that this command started ends with it; its data stays in the home folder.
  const first = session.server.started ? `${commandName(cwd)} up, then ` : '';
  const lines = resultLines(terminal.colors, result, `${first}${commandFor(context)} status ${plan.runId}`);
  const { totals } = await runCosts(await costSourcesOf(context, session), plan.runId);
  terminal.err(['', ...lines, ...costNotes(totals).map((note) => `  costs       ${note}`)].join('\n'));
  if (flags.json === true) terminal.out(JSON.stringify({ ...resultJson(result), costs: totals }, null, 2));
  if (result.run.replayed === true) terminal.err(REPLAYED);
  if (result.run.simulated) terminal.err(SIMULATED);
  return exitOfResult(result);
}
