import { listDeliveries, redeliver } from '../../producer/webhooks/webhook-deliveries.ts';
import { WebhookStore, shown } from '../../producer/webhooks/webhook-store.ts';
import {
  DeliveriesQuery,
  type Delivery,
  NewWebhook,
  type RedeliverRequest,
  type Webhook,
} from '../../producer/webhooks/webhook.ts';
import { EXIT, FleetError, errorMessage } from '../../shared/errors.ts';
import type { Redis } from '../../shared/redis.ts';
import { audited } from '../audited.ts';
import { type CommandContext, withSession } from '../session.ts';

interface JsonFlag {
  json?: boolean;
}

interface Target {
  redis: Redis;
  prefix: string;
  webhooks: WebhookStore;
  /** Makes a change that stands in the audit log. */
  change: <T>(action: string, target: Record<string, string>, make: () => Promise<T>) => Promise<T>;
}

/** Runs one command over the webhooks, and prints what it comes to: as JSON, or in lines. */
const overWebhooks = <T>(
  context: CommandContext,
  flags: JsonFlag,
  use: (target: Target) => Promise<T>,
  lines: (result: T) => readonly string[],
): Promise<number> =>
  withSession(context, { startRedis: false }, async (session) => {
    const { redis, config } = session;
    const webhooks = new WebhookStore(redis, config.prefix, config.webhooks);
    const change: Target['change'] = (action, target, make) => audited(session, `webhooks.${action}`, target, make);
    const result = await use({ redis, prefix: config.prefix, webhooks, change });
    if (flags.json === true) context.terminal.out(JSON.stringify(result, null, 2));
    else for (const line of lines(result)) context.terminal.out(line);
    return EXIT.passed;
  });

const line = ({ id, url, events, workflow, disabled, missed }: Webhook): string =>
  [
    `${id}  ${url}  ${events.join(',')}${workflow === null ? '' : `  of ${workflow}`}`,
    ...(disabled === null ? [] : [`  DISABLED since ${disabled.at}: ${disabled.reason}`]),
    ...(missed === null ? [] : [`  MISSED events between ${missed.after} and ${missed.before}`]),
  ].join('\n');

/** `maestro webhooks add URL --events A,B` */
export function webhookAddCommand(
  context: CommandContext,
  url: string,
  flags: JsonFlag & { events: string; workflow?: string },
): Promise<number> {
  const wanted = NewWebhook.safeParse({
    url,
    events: flags.events.split(','),
    ...(flags.workflow === undefined ? {} : { workflow: flags.workflow }),
  });
  if (!wanted.success)
    throw new FleetError('BAD_USAGE', `this webhook cannot be added: ${errorMessage(wanted.error)}`, {
      remedy: 'Types of events are listed in docs/events-and-webhooks.md.',
    });
  return overWebhooks(
    context,
    flags,
    async ({ webhooks, change }) => {
      // Of the address only the host: the rest may hold a secret of its receiver.
      const target = { host: new URL(url).host, events: wanted.data.events.join(' ') };
      const created = await change('add', target, () => webhooks.add(wanted.data, 'the command line'));
      const { terminal } = context;
      terminal.err('the secret is shown this once; events are sent by `maestro serve` or `maestro up`');
      if (!created.sealed) terminal.err('it is stored as it is: set MAESTRO_WEBHOOK_KEY to have secrets encrypted');
      return created;
    },
    (created) => [line(created), `secret ${created.secret}`],
  );
}

/** `maestro webhooks list` */
export const webhookListCommand = (context: CommandContext, flags: JsonFlag): Promise<number> =>
  overWebhooks(
    context,
    flags,
    async ({ webhooks }) => ({ webhooks: (await webhooks.list()).map(shown) }),
    (result) => result.webhooks.map(line),
  );

/** `maestro webhooks remove ID` */
export const webhookRemoveCommand = (context: CommandContext, id: string, flags: JsonFlag): Promise<number> =>
  overWebhooks(
    context,
    flags,
    async ({ webhooks, change }) => {
      await change('remove', { id }, () => webhooks.remove(id));
      return { id, removed: true };
    },
    () => [`${id} is removed`],
  );

/** `maestro webhooks enable ID` */
export const webhookEnableCommand = (context: CommandContext, id: string, flags: JsonFlag): Promise<number> =>
  overWebhooks(
    context,
    flags,
    ({ webhooks, change }) =>
      change('enable', { id }, async () => {
        await webhooks.get(id);
        return webhooks.enable(id);
      }),
    (webhook) => [line(webhook)],
  );

const deliveryLine = ({ id, event, status, attempts, reason, next }: Delivery): string =>
  [
    id,
    status.padEnd(9),
    event,
    `${attempts.length} attempt${attempts.length === 1 ? '' : 's'}`,
    reason ?? (next === null ? '' : `again at ${next}, because ${attempts.at(-1)?.error ?? 'it was broken off'}`),
  ].join('  ');

/** `maestro webhooks deliveries ID` */
export const webhookDeliveriesCommand = (
  context: CommandContext,
  id: string,
  flags: JsonFlag & { status?: string; limit: number },
): Promise<number> =>
  overWebhooks(
    context,
    flags,
    async ({ webhooks, ...target }) => {
      await webhooks.get(id);
      const { status, limit } = flags;
      const query = DeliveriesQuery.parse({ limit, ...(status === undefined ? {} : { status }) });
      return { deliveries: await listDeliveries(target, id, query) };
    },
    ({ deliveries }) => deliveries.map(deliveryLine),
  );

/** `maestro webhooks redeliver ID [DELIVERY] [--dead]` */
export function webhookRedeliverCommand(
  context: CommandContext,
  id: string,
  delivery: string | undefined,
  flags: JsonFlag & { dead?: boolean },
): Promise<number> {
  if ((delivery === undefined) === (flags.dead !== true))
    throw new FleetError('BAD_USAGE', 'name one delivery, or give --dead for all that are dead');
  const request: RedeliverRequest = delivery === undefined ? { dead: true } : { delivery };
  return overWebhooks(
    context,
    flags,
    ({ webhooks, change, ...target }) =>
      change('redeliver', { id, ...(delivery === undefined ? {} : { delivery }) }, async () => {
        await webhooks.get(id);
        return { redelivered: await redeliver(target, id, request) };
      }),
    ({ redelivered }) => redelivered.map((one) => `${one} is sent again`),
  );
}
