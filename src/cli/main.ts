import { Command, CommanderError, Option } from 'commander';
import { readConfig } from '../shared/config.ts';
import { EXIT, FleetError, errorMessage } from '../shared/errors.ts';
import { COMMAND_HELP, MAIN_HELP } from './help.ts';
import { addAccess } from './program/access.ts';
import { addBypasses } from './program/bypasses.ts';
import { addChecking } from './program/checking.ts';
import { addControl } from './program/control.ts';
import { addLooking } from './program/looking.ts';
import type { MakeContext, SetExit } from './program/options.ts';
import { addRunning } from './program/running.ts';
import { addWebhooks } from './program/webhooks.ts';
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
  addAccess(program, context, set);
  addWebhooks(program, context, set);
  program.addHelpText('after', MAIN_HELP);
  for (const command of program.commands) {
    command.addHelpText('after', COMMAND_HELP[command.name()] ?? '');
    for (const one of [command, ...command.commands]) one.addOption(new Option('--debug').hideHelp());
  }
  return program;
}
