import { type Command, Option } from 'commander';
import { answerCommand } from '../commands/answer.ts';
import { COST_VIEWS, costsCommand } from '../commands/costs.ts';
import { limitsCommand } from '../commands/limits.ts';
import { logsCommand } from '../commands/logs.ts';
import {
  approveCommand,
  artifactsCommand,
  eventsCommand,
  reportCommand,
  runsCommand,
  statusCommand,
} from '../commands/runs.ts';
import { evidenceCommand, verifyCommand } from '../commands/verify.ts';
import { workersCommand } from '../commands/workers.ts';
import { type MakeContext, type SetExit, collect, json, wholeNumber } from './options.ts';

export function addLooking(program: Command, context: MakeContext, set: SetExit): void {
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
    .option('--turn <N>', 'only this turn', wholeNumber(1, 100_000))
    .option('--follow', 'print each turn as it ends, until the run has')
    .action((id: string, phase: string | undefined, flags) => set(logsCommand(context(), id, phase, flags)));
  json(program.command('limits').description('which models the fleet may call now, and who waits for them')).action(
    (flags) => set(limitsCommand(context(), flags)),
  );
  json(program.command('workers').description('the workers there are, the queues, and what they do')).action((flags) =>
    set(workersCommand(context(), flags)),
  );
  json(program.command('costs [RUN]').description('what calls to models have cost: of a run, or of the fleet by day'))
    .addOption(
      new Option('--by <WHAT>', 'what is added up (default: phase of a run, day of the fleet)').choices(COST_VIEWS),
    )
    .option('--days <N>', 'without RUN: how many days, today included', wholeNumber(1, 400), 30)
    .option('--free', 'without RUN: simulated and replayed calls, which cost nothing')
    .action((id: string | undefined, flags) => set(costsCommand(context(), id, flags)));
  json(program.command('artifacts <RUN>').description('write the repository a run produced'))
    .option('--phase <P>', 'only the work of this phase, also when its gates blocked it')
    .option('--out <DIR>', 'a new or empty folder to write it to')
    .action((id: string, flags) => set(artifactsCommand(context(), id, flags)));
  json(program.command('report <RUN>').description('write the report of a run'))
    .option('--html <FILE>', 'the file to write it to')
    .action((id: string, flags) => set(reportCommand(context(), id, flags)));
  json(program.command('evidence <RUN>').description('write the signed evidence of a run as one file'))
    .option('--out <FILE>', 'a new file (default: RUN.evidence.jsonl)')
    .action((id: string, flags) => set(evidenceCommand(context(), id, flags)));
  json(
    program
      .command('verify <RUN|FILE>')
      .description('check the signed evidence of a run; ends with 6 when it does not hold'),
  )
    .option('--key <FILE>', 'a public key to trust, in PEM; repeatable (default: the key of this machine)', collect, [])
    .action((what: string, flags) => set(verifyCommand(context(), what, flags)));
}
