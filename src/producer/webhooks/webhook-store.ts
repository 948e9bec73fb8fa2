import { FleetError } from '../../shared/errors.ts';
import { endOfFleetLog } from '../../shared/fleet-log.ts';
import type { Redis } from '../../shared/redis.ts';
import { RedisScript } from '../../shared/redis-script.ts';
import { type AddressPolicy, checkedAddress } from './webhook-address.ts';
import { newSecret, openSecret, sealSecret } from './webhook-secret.ts';
import { type NewWebhook, StoredWebhook, type Webhook, type WebhookCreated, newWebhookId } from './webhook.ts';

/** Changes a webhook that is as it was read; one that was removed meanwhile stays removed. */
const CHANGE = new RedisScript(
  `if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
   redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
   return 1`,
);

/** After so many deliveries in a row that could not be made, a webhook is disabled. */
const DEAD_IN_A_ROW = 5;

export interface WebhookSettings extends AddressPolicy {
  /** Encrypts the secrets that are stored. */
  key?: string | undefined;
}

/** The webhooks of the fleet, in Redis. */
export class WebhookStore {
  readonly #redis: Redis;
  readonly #prefix: string;
  readonly #settings: WebhookSettings;

  constructor(redis: Redis, prefix: string, settings: WebhookSettings) {
    this.#redis = redis;
    this.#prefix = prefix;
    this.#settings = settings;
  }

  get #key(): string {
    return `${this.#prefix}:maestro:webhooks`;
  }

  /** Adds one, whose address must be one that may be called. The secret is told this once. */
  async add(wanted: NewWebhook, by: string): Promise<WebhookCreated> {
    await checkedAddress(new URL(wanted.url), this.#settings);
    const id = newWebhookId();
    const secret = newSecret();
    const webhook: Webhook = {
      id,
      url: wanted.url,
      events: [...new Set(wanted.events)],
      workflow: wanted.workflow ?? null,
      createdAt: new Date().toISOString(),
      createdBy: by,
      disabled: null,
      missed: null,
      sealed: this.#settings.key !== undefined,
    };
    const stored: StoredWebhook = {
      ...webhook,
      secret: sealSecret(secret, id, this.#settings.key),
      since: await endOfFleetLog(this.#redis, this.#prefix),
    };
    await this.#redis.hset(this.#key, id, JSON.stringify(stored));
    return { ...webhook, secret };
  }

  /** The oldest first. */
  async list(): Promise<StoredWebhook[]> {
    const raw = await this.#redis.hgetall(this.#key);
    return Object.values(raw)
      .map((text) => StoredWebhook.parse(JSON.parse(text)))
      .toSorted((a, b) => (a.id < b.id ? -1 : 1));
  }

  async find(id: string): Promise<StoredWebhook | undefined> {
    const raw = await this.#redis.hget(this.#key, id);
    return raw === null ? undefined : StoredWebhook.parse(JSON.parse(raw));
  }

  async get(id: string): Promise<StoredWebhook> {
    const found = await this.find(id);
    if (found === undefined)
      throw new FleetError('NOT_FOUND', `there is no webhook ${id}`, {
        remedy: 'List them with `maestro webhooks list`.',
      });
    return found;
  }

  secretOf({ id, secret }: StoredWebhook): string {
    return openSecret(secret, id, this.#settings.key);
  }

  /** Removes one: what waits to be sent to it is not sent any more. */
  async remove(id: string): Promise<void> {
    await this.get(id);
    await this.#redis.hdel(this.#key, id);
    await this.#redis.hdel(`${this.#key}:dead`, id);
    await this.#redis.del(deliveriesKey(this.#prefix, id));
  }

  async enable(id: string): Promise<Webhook> {
    await this.#change(id, (webhook) => ({ ...webhook, disabled: null }));
    await this.#redis.hdel(`${this.#key}:dead`, id);
    return shown(await this.get(id));
  }

  /** Nothing is sent to it until somebody enables it. */
  async disable(id: string, reason: string): Promise<void> {
    await this.#change(id, (webhook) => ({
      ...webhook,
      disabled: webhook.disabled ?? { at: new Date().toISOString(), reason },
    }));
  }

  async noteMissed(id: string, after: string, before: string): Promise<void> {
    await this.#change(id, (webhook) => ({ ...webhook, missed: { at: new Date().toISOString(), after, before } }));
  }

  /** Notes how a delivery ended. Returns whether that was the one that makes the webhook be disabled. */
  async noteEnd(id: string, end: 'delivered' | 'dead'): Promise<boolean> {
    if (end === 'delivered') {
      await this.#redis.hdel(`${this.#key}:dead`, id);
      return false;
    }
    return (await this.#redis.hincrby(`${this.#key}:dead`, id, 1)) >= DEAD_IN_A_ROW;
  }

  async #change(id: string, change: (webhook: StoredWebhook) => StoredWebhook): Promise<void> {
    for (;;) {
      const before = await this.#redis.hget(this.#key, id);
      if (before === null) return;
      const after = JSON.stringify(change(StoredWebhook.parse(JSON.parse(before))));
      if ((await CHANGE.run(this.#redis, [this.#key], [id, before, after])) === 1) return;
    }
  }
}

/** What may be shown of a webhook: not its secret. */
export const shown = ({ secret: _secret, since: _since, ...webhook }: StoredWebhook): Webhook => webhook;

/** The newest deliveries of a webhook, by the time they were asked for. */
export const deliveriesKey = (prefix: string, id: string): string => `${prefix}:maestro:webhook:${id}:deliveries`;
