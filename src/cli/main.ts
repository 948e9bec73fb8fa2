import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { readConfig } from '../shared/config.ts';
import { EXIT, FleetError, errorMessage } from '../shared/errors.ts';
import {
  approveCommand,
  artifactsCommand,
  eventsCommand,
  reportCommand,
  runsCommand,
  statusCommand,
} from './commands/runs.ts';
import {
  bypassApproveCommand,
  bypassListCommand,
  bypassRequestCommand,
  bypassRevokeCommand,
} from './commands/bypass.ts';
import { answerCommand } from './commands/answer.ts';
import { deadCommand } from './commands/dead.ts';
import { demoCommand } from './commands/demo.ts';
import { doctorCommand } from './commands/doctor.ts';
import { gatesCommand, gatesEvalCommand } from './commands/gates.ts';
import { limitsCommand } from './commands/limits.ts';
import { logsCommand } from './commands/logs.ts';
import { planCommand, validateCommand } from './commands/plan.ts';
import { runCommand } from './commands/run.ts';
import { cancelCommand, pauseCommand, resumeCommand, retryCommand } from './commands/run-control.ts';
import { selfTestCommand } from './commands/selftest.ts';
import { scheduleAddCommand, scheduleListCommand, scheduleRemoveCommand } from './commands/schedule.ts';
import { SCHEMA_KINDS, schemaCommand } from './commands/schema.ts';
import { serveCommand, upCommand } from './commands/serve.ts';
import { workerCommand } from './commands/worker.ts';
import { COMMAND_HELP, MAIN_HELP } from './help.ts';
import type { CommandContext } from './session.ts';
import { type Terminal, processTerminal } from './terminal.ts';
import { version } from './version.ts';

type Environment = NodeJS.ProcessEnv;

/** The `maestro` command. Returns the exit code; prints one readable line for every error. */
export async function main(argv: readonly string[], env: Environment, cwd: string): Promise<number> {
  const terminal = processTerminal(env);
  const stop = new AbortController();
  const onSignal = (): void => {
    if (stop.signal.aborted) process.exit(EXIT.cancelled);
    terminal.err('\nstopping (again to stop at once)');
    stop.abort();
  };
  process.on('SIGINT', onSignal);
  process.on('SIGTERM', onSignal);
  try {
    return await runCommandLine(argv, { env, cwd, terminal, signal: stop.signal });
  } catch (err) {
    return report(err, terminal, argv.includes('--debug'));
  } finally {
    process.off('SIGINT', onSignal);
    process.off('SIGTERM', onSignal);
  }
}

function report(err: unknown, terminal: Terminal, isDebug: boolean): number {
  if (err instanceof CommanderError) return err.exitCode === 0 ? EXIT.passed : EXIT.badInput;
  const { colors } = terminal;
  const remedy = err instanceof FleetError && err.remedy !== undefined ? ` ${err.remedy}` : '';
  terminal.err(
    `${colors.red('error:')} ${errorMessage(err)}${/[.!?]$/.test(errorMessage(err)) || remedy === '' ? '' : '.'}${remedy}`,
  );
  if (isDebug && err instanceof Error) terminal.err(err.stack ?? '');
  else if (!(err instanceof FleetError)) terminal.err('This is a fault of the program itself; --debug shows where.');
  return err instanceof FleetError ? err.exitCode : EXIT.internal;
}

interface Called {
  env: Environment;
  cwd: string;
  terminal: Terminal;
  signal: AbortSignal;
}

async function runCommandLine(argv: readonly string[], called: Called): Promise<number> {
  let exit: number = EXIT.passed;
  const context = (): CommandContext => ({ ...called, config: readConfig(called.env, called.cwd) });
  const set = async (work: Promise<number>): Promise<void> => {
    exit = await work;
  };
  const program = buildProgram(called.terminal, context, set);
  await program.parseAsync(argv, { from: 'user' });
  return exit;
}

const wholeNumber =
  (low: number, high: number) =>
  (text: string): number => {
    const value = Number(text);
    if (!Number.isInteger(value) || value < low || value > high)
      throw new InvalidArgumentError(`give a whole number from ${low} to ${high}.`);
    return value;
  };
const amount = (text: string): number => {
  const value = Number(text);
  if (!Number.isFinite(value) || value <= 0) throw new InvalidArgumentError('give a number above 0.');
  return value;
};
const collect = (value: string, before: string[]): string[] => [...before, value];
const provider = (fallback: string): Option =>
  new Option('--provider <NAME>', 'who plays the personas').choices(['anthropic', 'scripted']).default(fallback);

type MakeContext = () => CommandContext;
type SetExit = (work: Promise<number>) => Promise<void>;

function buildProgram(terminal: Terminal, context: MakeContext, set: SetExit): Command {
  const program = new Command('maestro')
    .description('A worker fleet that delivers software by AI personas. Nothing is green unless it was measured.')
    .version(version())
    .option('--debug', 'show where an error came from')
    .exitOverride()
    // `maestro gates` and `maestro gates eval` have options of the same names: each takes what stands after it.
    .enablePositionalOptions()
    .configureOutput({
      writeOut: (text) => terminal.out(text.trimEnd()),
      writeErr: (text) => terminal.err(text.trimEnd()),
      outputError: (text, write) => {
        const message = text
          .replace(/^error: /, '')
          .trim()
          .replaceAll(/\s*\n\s*/g, ' ');
        const end = /[.!?)]$/.test(message) ? '' : '.';
        write(`${terminal.colors.red('error:')} ${message}${end} \`maestro --help\` shows what there is.`);
      },
    });
  addRunning(program, context, set);
  addLooking(program, context, set);
  addControl(program, context, set);
  addChecking(program, context, set);
  addBypasses(program, context, set);
  program.addHelpText('after', MAIN_HELP);
  for (const command of program.commands) {
    command.addHelpText('after', COMMAND_HELP[command.name()] ?? '');
    for (const one of [command, ...command.commands]) one.addOption(new Option('--debug').hideHelp());
  }
  return program;
}

function withRunFlags(command: Command, fallback: string): Command {
  return command
    .option('--input <NAME=VALUE>', 'an input of the workflow; repeatable', collect, [])
    .option('--input-file <FILE>', 'inputs as YAML or JSON')
    .addOption(provider(fallback))
    .addOption(new Option('--scenario <NAME>', 'scripted provider: which scenario it plays').default('main'))
    .addOption(new Option('--approvals <WHO>', 'scripted provider: who approves').choices(['scripted', 'people']))
    .option('--budget-usd <N>', 'stop before more is spent', amount)
    .option('--budget-tokens <N>', 'stop before more is used', wholeNumber(1, 1e12))
    .option('--priority <N>', 'from 0, the most urgent, to 100', wholeNumber(0, 100))
    .option('--json', 'one JSON document on stdout');
}

function addRunning(program: Command, context: MakeContext, set: SetExit): void {
  withRunFlags(
    program.command('demo').description('run the shipped workflow from requirement to gated code, with all it needs'),
    'scripted',
  )
    .option('--sabotage <GATE>', 'plant a fault that this gate must catch: the run ends blocked')
    .option('--workers <N>', 'worker processes', wholeNumber(1, 16), 2)
    .action((flags) => set(demoCommand(context(), flags)));
  withPolicies(
    withRunFlags(
      program.command('run <WORKFLOW>').description('start a run and show it; workers do the work'),
      'anthropic',
    ),
  )
    .option('--records <FILE>', 'exported records of the service in operation, for its gates')
    .option('--advisories <FILE>', 'a snapshot of known vulnerabilities of packages, for its gates')
    .option('--from <P>', 'start from this phase; those before it are not run')
    .option('--files <DIR>', 'with --from: the files that stand for the work of the phases before it')
    .option('--delay <TIME>', 'start it after a while, such as 10m')
    .option('--at <TIME>', 'start it at a time with its zone, such as 2027-01-31T18:00:00Z')
    .option('--idempotency-key <KEY>', 'asking again with this key, within a day, gives the same run')
    .option('--detach', 'print the run id and return')
    .action((name: string, flags) => set(runCommand(context(), name, flags)));
  addSchedules(program, context, set);
  const serving = (command: Command): Command =>
    withPolicies(command)
      .option('--host <HOST>', 'address to listen on', '127.0.0.1')
      .option('--port <N>', 'port to listen on; 0 takes a free one', wholeNumber(0, 65_535))
      .addOption(provider('anthropic'));
  const withPort = <F extends { port?: number }>(flags: F): F & { port: number } => ({
    ...flags,
    port: flags.port ?? context().config.port,
  });
  serving(program.command('up').description('Redis, API and workers on this machine, until Ctrl-C'))
    .option('--workers <N>', 'worker processes', wholeNumber(1, 16), 1)
    .option('--concurrency <N>', 'persona jobs at once per worker', wholeNumber(1, 500), 2)
    .action((flags) => set(upCommand(context(), withPort(flags))));
  serving(program.command('serve').description('HTTP API, run viewer and Bull Board')).action((flags) =>
    set(serveCommand(context(), withPort(flags))),
  );
  program
    .command('worker')
    .description('consume persona and gate queues')
    .option('--personas <A,B>', 'only these personas')
    .option('--gates', 'the gates and control queues (alone: only these)')
    .option('--concurrency <N>', 'persona jobs at once', wholeNumber(1, 500), 2)
    .addOption(
      new Option('--provider <NAME>', 'scripted: also play runs that ask for the scripted provider').choices([
        'anthropic',
        'scripted',
      ]),
    )
    .addOption(new Option('--exit-with-parent').hideHelp())
    .action((flags) => set(workerCommand(context(), flags)));
}

function addSchedules(program: Command, context: MakeContext, set: SetExit): void {
  const schedule = program.command('schedule').description('start runs of a workflow at their times');
  withPolicies(withRunFlags(schedule.command('add <WORKFLOW>'), 'anthropic'))
    .description('add a schedule, or change the one of the same name')
    .requiredOption('--cron <EXPR>', 'minute, hour, day, month and weekday, such as "0 6 * * 1-5"')
    .option('--tz <ZONE>', 'the time zone of the expression', 'UTC')
    .option('--name <NAME>', "what it is called (default: the workflow's name)")
    .action((workflow: string, flags) => set(scheduleAddCommand(context(), workflow, flags)));
  json(schedule.command('list'))
    .description('all schedules, the next one first')
    .action((flags) => set(scheduleListCommand(context(), flags)));
  json(schedule.command('remove <NAME>'))
    .description('remove a schedule; its runs go on')
    .action((name: string, flags) => set(scheduleRemoveCommand(context(), name, flags)));
}

/** Which policies count: those of the repository are laid over the shipped ones. */
const withPolicies = (command: Command): Command =>
  command
    .option('--policy <FILE>', 'a policy file other than the shipped one')
    .option('--overlay <FILE>', 'what is laid over the policies (default: maestro.policies.yaml, where there is one)');
const withJudging = (command: Command): Command =>
  withPolicies(command)
    .option('--bypasses <FILE>', 'a log of bypasses, made with `maestro bypass ... --log FILE`')
    .option('--baseline <FILE>', 'the JSON report of an earlier run, for criteria relative to it');

const json = (command: Command): Command => command.option('--json', 'one JSON document on stdout');

function addLooking(program: Command, context: MakeContext, set: SetExit): void {
  json(program.command('runs').description('list runs, newest first'))
    .option('--limit <N>', 'how many', wholeNumber(1, 1000), 20)
    .option('--status <A,B>', 'only with these statuses')
    .action((flags) => set(runsCommand(context(), flags)));
  json(program.command('status <RUN>').description('how a run stands')).action((id: string, flags) =>
    set(statusCommand(context(), id, flags)),
  );
  json(program.command('events <RUN>').description("a run's log"))
    .option('--follow', 'wait for more until the run has ended')
    .option('--from <SEQ>', 'after this sequence number', wholeNumber(0, Number.MAX_SAFE_INTEGER), 0)
    .action((id: string, flags) => set(eventsCommand(context(), id, flags)));
  json(program.command('approve <RUN> <PHASE>').description('decide on a phase that waits for a person'))
    .requiredOption('--role <ROLE>', 'the role you decide in')
    .requiredOption('--by <NAME>', 'who you are')
    .option('--reject', 'refuse it: it goes back as rework')
    .option('--note <TEXT>', 'what you saw', '')
    .option('--round <N>', 'the round you looked at, from 0: refused when it is at another', wholeNumber(0, 1_000))
    .action((id: string, phase: string, flags) => set(approveCommand(context(), id, phase, flags)));
  json(program.command('answer <RUN> <PHASE>').description('answer what a persona asked a person'))
    .option('--id <QUESTION>', 'which question, when several are open')
    .requiredOption('--by <NAME>', 'who you are')
    .requiredOption('--text <TEXT>', 'what you answer')
    .action((id: string, phase: string, flags) => set(answerCommand(context(), id, phase, flags)));
  json(program.command('logs <RUN> [PHASE]').description('what the personas of a run said and did'))
    .option('--full', 'nothing cut')
    .action((id: string, phase: string | undefined, flags) => set(logsCommand(context(), id, phase, flags)));
  json(program.command('limits').description('which models the fleet may call now, and who waits for them')).action(
    (flags) => set(limitsCommand(context(), flags)),
  );
  json(program.command('artifacts <RUN>').description('write the repository a run produced'))
    .option('--phase <P>', 'only the work of this phase, also when its gates blocked it')
    .option('--out <DIR>', 'a new or empty folder to write it to')
    .action((id: string, flags) => set(artifactsCommand(context(), id, flags)));
  json(program.command('report <RUN>').description('write the report of a run'))
    .option('--html <FILE>', 'the file to write it to')
    .action((id: string, flags) => set(reportCommand(context(), id, flags)));
}

function addControl(program: Command, context: MakeContext, set: SetExit): void {
  json(program.command('cancel <RUN>').description('end a run and stop its work everywhere'))
    .option('--reason <TEXT>', 'why', 'cancelled by a person')
    .action((id: string, flags) => set(cancelCommand(context(), id, flags)));
  json(program.command('pause <RUN>').description('start nothing new; conversations under way end their turn and wait'))
    .option('--reason <TEXT>', 'why', 'paused by a person')
    .action((id: string, flags) => set(pauseCommand(context(), id, flags)));
  const takingUp = (command: Command): Command =>
    json(command)
      .option('--phase <P>', 'one phase that did not pass')
      .option('--edits <DIR>', 'files that take the place of the work of --phase, or of --from')
      .option('--by <NAME>', 'who made the edits')
      .option('--budget-usd <N>', 'what the run may spend from now on, in all', amount)
      .option('--budget-tokens <N>', 'what the run may use from now on, in all', wholeNumber(1, 1e12))
      .option('--reason <TEXT>', 'why', '')
      .option('--follow', 'show it until it has ended');
  takingUp(
    program
      .command('resume <RUN>')
      .description('let a run go on: a paused one, or what did not pass of one that ended'),
  ).action((id: string, flags) => set(resumeCommand(context(), id, flags)));
  json(program.command('dead').description('the phases that failed for good, over all runs'))
    .option('--redrive <RUN>', 'let this run go on with what did not pass')
    .option('--all', 'let every run that ended with one go on')
    .action((flags) => set(deadCommand(context(), flags)));
  takingUp(program.command('retry <RUN>').description('run one phase again, or all from a phase onward'))
    .option('--from <P>', 'this phase and all after it, whether they passed or not')
    .action((id: string, flags) => set(retryCommand(context(), id, flags)));
}

function addChecking(program: Command, context: MakeContext, set: SetExit): void {
  withPolicies(program.command('validate <FILE...>'))
    .description('check workflow files; costs nothing')
    .option('--json', 'one JSON document on stdout')
    .action((files: string[], flags) => set(validateCommand(context(), files, flags)));
  withPolicies(program.command('plan <WORKFLOW>'))
    .description('what a run would do; costs nothing')
    .option('--json', 'one JSON document on stdout')
    .option('--mermaid', 'as a Mermaid graph')
    .action((name: string, flags) => set(planCommand(context(), name, flags)));
  const gates = withJudging(program.command('gates'))
    .enablePositionalOptions()
    .description('judge a folder by a phase policy, without Redis, a model or a key')
    .argument('<dir>', 'the folder to measure')
    // Required too, but commander would then ask for it in front of `eval` as well.
    .option('--phase <P>', 'the phase whose gates apply')
    .option('--measure <FILE>', 'commands that measure what the built-in collectors cannot; kept outside the folder')
    .option('--against <REF>', 'hold the tests against this git revision: the code before, and the tests handed down')
    .option('--no-reuse', 'measure again what was measured before on the same files')
    .option('--records <FILE>', 'exported records of the service in operation')
    .option('--advisories <FILE>', 'a snapshot of known vulnerabilities of packages')
    .addOption(
      new Option('--format <F>', 'how to print it')
        .choices(['table', 'json', 'junit', 'sarif', 'markdown', 'html'])
        .default('table'),
    )
    .action((dir: string, flags) => set(gatesCommand(context(), dir, flags)));
  withJudging(gates.command('eval'))
    .description('judge given values, with no files and no collectors')
    .requiredOption('--phase <P>', 'the phase whose gates apply')
    .requiredOption('--metrics <FILE>', '{"metrics": {...}, "artifacts": [...]}')
    .option('--json', 'one JSON document on stdout')
    .action((flags) => set(gatesEvalCommand(context(), flags)));
  gates
    .command('selftest')
    .description('plant known defects: every collector must turn red on this machine')
    .option('--collector <ID>', 'only this collector')
    .option('--cached', 'believe self-tests that passed before with the same tools')
    .option('--json', 'one JSON document on stdout')
    .action((flags) => set(selfTestCommand(context(), flags)));
  program
    .command('schema')
    .description('the JSON Schema of a kind of file, for editors')
    .argument('<kind>', SCHEMA_KINDS.join(', '))
    .action((kind: string) => set(schemaCommand(context(), kind)));
  program
    .command('doctor')
    .description('what this machine has and lacks, with remedies')
    .option('--json', 'one JSON document on stdout')
    .action((flags) => set(doctorCommand(context(), flags)));
}

const withLog = (command: Command): Command =>
  json(command).option('--log <FILE>', 'a log for `maestro gates DIR --bypasses FILE` instead of the one of the fleet');

function addBypasses(program: Command, context: MakeContext, set: SetExit): void {
  const bypass = program.command('bypass').description('let a failed gate through, in the open and for a while');
  withPolicies(withLog(bypass.command('request')))
    .description('ask for a bypass: RUN PHASE GATE, or PHASE GATE with --workflow or --log')
    .argument('<WHERE...>', 'RUN PHASE GATE')
    .requiredOption('--by <NAME>', 'who asks')
    .requiredOption('--reason <TEXT>', 'why')
    .requiredOption('--adr <FILE>', 'the decision record')
    .requiredOption('--expires <TIME>', 'how long it may count, such as 7d or 12h')
    .option('--workflow <NAME>', 'for every run of this workflow, until it expires')
    .action((where: string[], flags) => set(bypassRequestCommand(context(), where, flags)));
  withLog(bypass.command('approve <ID>'))
    .description('approve a bypass that somebody else asked for')
    .requiredOption('--by <NAME>', 'who approves')
    .requiredOption('--role <ROLE>', 'in which role')
    .action((id: string, flags) => set(bypassApproveCommand(context(), id, flags)));
  withLog(bypass.command('revoke <ID>'))
    .description('end a bypass now')
    .requiredOption('--by <NAME>', 'who revokes')
    .requiredOption('--reason <TEXT>', 'why')
    .action((id: string, flags) => set(bypassRevokeCommand(context(), id, flags)));
  withPolicies(withLog(bypass.command('list [RUN]')))
    .description('who let what through, whether the log is whole, and whether it happens too often')
    .action((run: string | undefined, flags) => set(bypassListCommand(context(), run, flags)));
}
