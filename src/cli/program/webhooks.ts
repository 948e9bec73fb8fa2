import { type Command, Option } from 'commander';
import {
  webhookAddCommand,
  webhookDeliveriesCommand,
  webhookEnableCommand,
  webhookListCommand,
  webhookRedeliverCommand,
  webhookRemoveCommand,
} from '../commands/webhooks.ts';
import { type MakeContext, type SetExit, json, wholeNumber } from './options.ts';

export function addWebhooks(program: Command, context: MakeContext, set: SetExit): void {
  const webhooks = program.command('webhooks').description('tell other services of events, signed');
  json(webhooks.command('add <URL>'))
    .description('tell an address of events from now on, and print the secret that they are signed with')
    .requiredOption('--events <A,B>', 'types of events, such as run.finished,gate.verdict')
    .option('--workflow <W>', 'only of runs of this workflow')
    .action((url: string, flags) => set(webhookAddCommand(context(), url, flags)));
  json(webhooks.command('list'))
    .description('who is told of what, and who is disabled')
    .action((flags) => set(webhookListCommand(context(), flags)));
  json(webhooks.command('remove <ID>'))
    .description('tell it nothing any more')
    .action((id: string, flags) => set(webhookRemoveCommand(context(), id, flags)));
  json(webhooks.command('enable <ID>'))
    .description('send again to a webhook that was disabled')
    .action((id: string, flags) => set(webhookEnableCommand(context(), id, flags)));
  json(webhooks.command('deliveries <ID>'))
    .description('what was sent, and how that went, newest first')
    .addOption(new Option('--status <S>', 'only these').choices(['pending', 'delivered', 'dead']))
    .option('--limit <N>', 'how many', wholeNumber(1, 200), 20)
    .action((id: string, flags) => set(webhookDeliveriesCommand(context(), id, flags)));
  json(webhooks.command('redeliver <ID> [DELIVERY]'))
    .description('send a delivery again, under the id it had')
    .option('--dead', 'all that are dead')
    .action((id: string, delivery: string | undefined, flags) =>
      set(webhookRedeliverCommand(context(), id, delivery, flags)),
    );
}
