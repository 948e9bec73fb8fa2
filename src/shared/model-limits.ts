import { z } from 'zod';
import type { Redis } from './redis.ts';

/** What a provider limits per minute. `tokens` counts what is sent and received together. */
export const LIMIT_KINDS = ['requests', 'input', 'output', 'tokens'] as const;
export type LimitKind = (typeof LIMIT_KINDS)[number];

/** A call is present in the queue when it asked within this time; one that is parked is not. */
export const PRESENT_MS = 15_000;

const indexKey = (prefix: string): string => `${prefix}:maestro:models`;
const endpointKey = (prefix: string, host: string): string => `${prefix}:maestro:endpoint:${host}`;
const modelKey = (prefix: string, host: string, model: string): string => `${prefix}:maestro:model:${model}@${host}`;

/**
 * What the fleet knows of one model at one endpoint: its state, who waits (by the order they came), when each was last
 * seen, which calls are under way, the endpoint, and which models there are. All of it is forgotten a day after its
 * last use, so the keys are as many as the models and endpoints of a day.
 */
export function limitKeys(prefix: string, host: string, model: string) {
  const key = modelKey(prefix, host, model);
  const keys = [key, `${key}:waiting`, `${key}:seen`, `${key}:calls`, endpointKey(prefix, host), indexKey(prefix)];
  return { keys, member: `${model}@${host}` };
}

const Reply = z.array(z.union([z.string(), z.array(z.string())]));

export interface ModelStanding {
  model: string;
  endpoint: string;
  /** Milliseconds until the provider is asked again; 0 when it does not ask to wait. */
  pausedForMs: number;
  /** What the provider said when it last asked to wait. */
  reason: string;
  /** How often it asked to wait. */
  pauses: number;
  /** After a pause: how many calls may be under way at once. Null: as many as there are. */
  callsAllowed: number | null;
  callsUnderWay: number;
  /** Calls that hold a worker and wait for their turn. */
  waiting: number;
  /** Calls that gave their worker back until it is their turn. */
  parked: number;
  budgets: { kind: LimitKind; perMinute: number; left: number; source: 'configured' | 'learnt' }[];
}

export interface EndpointStanding {
  endpoint: string;
  /** `open`: nobody calls it; `half_open`: the next call tries whether it answers again. */
  breaker: 'closed' | 'open' | 'half_open';
  /** Failures in a row. */
  failures: number;
  opensForMs: number;
  error: string;
}

export interface ModelLimits {
  models: ModelStanding[];
  endpoints: EndpointStanding[];
}

const num = (text: string | undefined): number => (text === undefined || text === '' ? 0 : Number(text));

function budgetsOf(state: Record<string, string>, now: number): ModelStanding['budgets'] {
  return LIMIT_KINDS.flatMap((kind) => {
    const limit = state[`${kind}:limit`];
    if (limit === undefined) return [];
    const perMinute = Number(limit);
    const rate = num(state[`${kind}:rate`]) || perMinute / 60_000;
    const since = now - num(state[`${kind}:at`]);
    const left = Math.min(perMinute, num(state[`${kind}:left`]) + since * rate);
    const source = state[`${kind}:source`] === 'configured' ? 'configured' : 'learnt';
    return [{ kind, perMinute, left: Math.floor(left), source }];
  });
}

/** How every model and endpoint of the last day stands, for the whole fleet. */
export async function readModelLimits(redis: Redis, prefix: string): Promise<ModelLimits> {
  const [seconds, micros] = await redis.time();
  const now = Number(seconds) * 1000 + Math.floor(Number(micros) / 1000);
  const known = Reply.parse(await redis.zrange(indexKey(prefix), '0', '-1')).map(String);
  const models = await Promise.all(
    known.toSorted().map(async (member): Promise<ModelStanding> => {
      const at = member.lastIndexOf('@');
      const [model, endpoint] = [member.slice(0, at), member.slice(at + 1)];
      const key = modelKey(prefix, endpoint, model);
      const [state, queued, waiting, callsUnderWay] = await Promise.all([
        redis.hgetall(key),
        redis.zcard(`${key}:waiting`),
        redis.zcount(`${key}:seen`, now - PRESENT_MS, now),
        redis.zcount(`${key}:calls`, now, '+inf'),
      ]);
      return {
        model,
        endpoint,
        pausedForMs: Math.max(0, num(state['pausedUntil']) - now),
        reason: state['reason'] ?? '',
        pauses: num(state['pauses']),
        callsAllowed: state['level'] === undefined ? null : Number(state['level']),
        callsUnderWay,
        waiting,
        parked: Math.max(0, queued - waiting),
        budgets: budgetsOf(state, now),
      };
    }),
  );
  const hosts = [...new Set(models.map((model) => model.endpoint))].toSorted();
  const endpoints = await Promise.all(
    hosts.map(async (endpoint): Promise<EndpointStanding> => {
      const state = await redis.hgetall(endpointKey(prefix, endpoint));
      const opensForMs = Math.max(0, num(state['until']) - now);
      const breaker = state['state'] !== 'open' ? 'closed' : opensForMs > 0 ? 'open' : 'half_open';
      return { endpoint, breaker, failures: num(state['failures']), opensForMs, error: state['error'] ?? '' };
    }),
  );
  return { models, endpoints };
}
