import type { Command } from 'commander';
import { deadCommand } from '../commands/dead.ts';
import { cancelCommand, pauseCommand, resumeCommand, retryCommand } from '../commands/run-control.ts';
import { type MakeContext, type SetExit, amount, json, wholeNumber } from './options.ts';

const takingUp = (command: Command): Command =>
  json(command)
    .option('--phase <P>', 'one phase that did not pass')
    .option('--edits <DIR>', 'files that take the place of the work of --phase, or of --from')
    .option('--by <NAME>', 'who made the edits')
    .option('--budget-usd <N>', 'what the run may spend from now on, in all', amount)
    .option('--budget-tokens <N>', 'what the run may use from now on, in all', wholeNumber(1, 1e12))
    .option('--reason <TEXT>', 'why', '')
    .option('--follow', 'show it until it has ended');

export function addControl(program: Command, context: MakeContext, set: SetExit): void {
  json(program.command('cancel <RUN>').description('end a run and stop its work everywhere'))
    .option('--reason <TEXT>', 'why', 'cancelled by a person')
    .action((id: string, flags) => set(cancelCommand(context(), id, flags)));
  json(program.command('pause <RUN>').description('start nothing new; conversations under way end their turn and wait'))
    .option('--reason <TEXT>', 'why', 'paused by a person')
    .action((id: string, flags) => set(pauseCommand(context(), id, flags)));
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
