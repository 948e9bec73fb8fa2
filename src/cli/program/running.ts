import { type Command, Option } from 'commander';
import { demoCommand } from '../commands/demo.ts';
import { runCommand } from '../commands/run.ts';
import { scheduleAddCommand, scheduleListCommand, scheduleRemoveCommand } from '../commands/schedule.ts';
import { scriptedCommand } from '../commands/scripted.ts';
import { serveCommand, upCommand } from '../commands/serve.ts';
import { workerCommand } from '../commands/worker.ts';
import {
  type MakeContext,
  type SetExit,
  collect,
  json,
  provider,
  duration,
  wholeNumber,
  withDefinitions,
  withPersonas,
  withRunFlags,
} from './options.ts';

const serving = (command: Command): Command =>
  withDefinitions(command)
    .option('--host <HOST>', 'address to listen on', '127.0.0.1')
    .option('--port <N>', 'port to listen on; 0 takes a free one', wholeNumber(0, 65_535))
    .addOption(provider('anthropic'));

function addScripted(program: Command, context: MakeContext, set: SetExit): void {
  const perMinute = wholeNumber(1, 1e9);
  program
    .command('scripted')
    .description('the stand-in for a model, playing scripts, until Ctrl-C: to test workflows and personas')
    .option('--script <FILE>', 'a script to play; repeatable (default: those that ship)', collect, [])
    .option('--host <HOST>', 'address to listen on', '127.0.0.1')
    .option('--port <N>', 'port to listen on; 0 takes a free one', wholeNumber(0, 65_535), 0)
    .option('--latency <MS>', 'added before every answer', wholeNumber(0, 600_000), 0)
    .option('--requests-per-minute <N>', 'refuse more with 429, and tell it in headers', perMinute)
    .option('--input-tokens-per-minute <N>', 'the same for what is sent', perMinute)
    .option('--output-tokens-per-minute <N>', 'the same for what is answered', perMinute)
    .option('--json', 'at its end: what it would have charged, request by request')
    .action((flags) => set(scriptedCommand(context(), flags)));
}

export function addRunning(program: Command, context: MakeContext, set: SetExit): void {
  withRunFlags(
    program.command('demo').description('run the shipped workflow from requirement to gated code, with all it needs'),
    'scripted',
  )
    .option('--sabotage <GATE>', 'plant a fault that this gate must catch: the run ends blocked')
    .option('--workers <N>', 'worker processes', wholeNumber(1, 16), 2)
    .action((flags) => set(demoCommand(context(), flags)));
  addScripted(program, context, set);
  withDefinitions(
    withRunFlags(
      program.command('run <WORKFLOW>').description('start a run and show it; workers do the work'),
      'anthropic',
      ['replay'],
    ),
  )
    .option('--records <FILE>', 'exported records of the service in operation, for its gates')
    .option('--advisories <FILE>', 'a snapshot of known vulnerabilities of packages, for its gates')
    .option('--from <P>', 'start from this phase; those before it are not run')
    .option('--files <DIR>', 'with --from: the files that stand for the work of the phases before it')
    .option('--delay <TIME>', 'start it after a while, such as 10m')
    .option('--at <TIME>', 'start it at a time with its zone, such as 2027-01-31T18:00:00Z')
    .option('--idempotency-key <KEY>', 'asking again with this key, within a day, gives the same run')
    .option('--record <FILE>', 'record every call to a model, and write the recording when the run has ended')
    .option('--cassette <FILE>', '--provider replay: the recording that answers')
    .option('--detach', 'print the run id and return')
    .action((name: string, flags) => set(runCommand(context(), name, flags)));
  addSchedules(program, context, set);
  const withPort = <F extends { port?: number }>(flags: F): F & { port: number } => ({
    ...flags,
    port: flags.port ?? context().config.port,
  });
  serving(program.command('up').description('Redis, API and workers on this machine, until Ctrl-C'))
    .option('--workers <N>', 'worker processes', wholeNumber(1, 16), 1)
    .option('--concurrency <N>', 'jobs at once of each persona, per worker', wholeNumber(1, 500), 2)
    .action((flags) => set(upCommand(context(), withPort(flags))));
  serving(program.command('serve').description('HTTP API, run viewer and Bull Board')).action((flags) =>
    set(serveCommand(context(), withPort(flags))),
  );
  withPersonas(program.command('worker'))
    .description('consume persona and gate queues')
    .option('--personas <A,B>', 'only these personas')
    .option('--gates', 'the gates and control queues (alone: only these)')
    .option('--concurrency <N>', 'jobs at once of each persona', wholeNumber(1, 500), 2)
    .option(
      '--max-conversations <N>',
      'conversations at once, of all personas together (MAESTRO_MAX_CONVERSATIONS; 100, or --concurrency if more)',
      wholeNumber(1, 10_000),
    )
    .addOption(
      new Option('--provider <NAME>', 'scripted: also play runs that ask for the scripted provider').choices([
        'anthropic',
        'scripted',
      ]),
    )
    .option(
      '--health-port <N>',
      'say here how it is: /healthz, /readyz, /metrics; 0 takes a free port',
      wholeNumber(0, 65_535),
    )
    .option('--health-host <HOST>', 'the address for it', '127.0.0.1')
    .option(
      '--drain <TIME>',
      'when stopped, how long its work may go on, such as 45s (MAESTRO_DRAIN_DEADLINE)',
      duration,
    )
    .addOption(new Option('--exit-with-parent').hideHelp())
    .action((flags) => set(workerCommand(context(), flags)));
}

function addSchedules(program: Command, context: MakeContext, set: SetExit): void {
  const schedule = program.command('schedule').description('start runs of a workflow at their times');
  withDefinitions(withRunFlags(schedule.command('add <WORKFLOW>'), 'anthropic'))
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
