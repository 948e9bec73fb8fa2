import type { Command } from 'commander';
import {
  bypassApproveCommand,
  bypassListCommand,
  bypassRequestCommand,
  bypassRevokeCommand,
} from '../commands/bypass.ts';
import { type MakeContext, type SetExit, json, withPolicies } from './options.ts';

const withLog = (command: Command): Command =>
  json(command).option('--log <FILE>', 'a log for `maestro gates DIR --bypasses FILE` instead of the one of the fleet');

export function addBypasses(program: Command, context: MakeContext, set: SetExit): void {
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
