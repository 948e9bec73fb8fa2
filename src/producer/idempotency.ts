import { createHash } from 'node:crypto';
import { FleetError } from '../shared/errors.ts';
import { type RunId, RunId as RunIdSchema } from '../shared/names.ts';
import type { RunPlan } from '../shared/run-record.ts';
import type { EnqueueTarget } from './enqueue-target.ts';

/** How long a repeated request with the same key is recognised. */
const KEY_SECONDS = 24 * 3600;

/** A request that is made once, however often it is sent. */
export interface Once {
  key: string;
  /** Whose key it is: the same one of somebody else is another. The command line's, when not given. */
  caller?: string;
  /** What was handed in beside the inputs, as it was asked for. */
  given?: unknown;
}

const sha = (text: string): string => createHash('sha256').update(text).digest('hex');

/** What makes two requests the same. When to start is not part of it: `in ten minutes` is another time on each call. */
const requestOf = ({ inputs, provider, scripted, budget, startFrom, priority }: RunPlan, given: unknown): unknown => ({
  inputs,
  provider,
  scripted,
  budget,
  startFrom,
  priority,
  given,
});

/**
 * The run that a key stands for: that of this plan when nobody used the key before.
 * Throws `CONFLICT` when the key was used for another request.
 */
export async function claimKey(
  { redis, prefix }: Pick<EnqueueTarget, 'redis' | 'prefix'>,
  plan: RunPlan,
  { key, caller = '', given = {} }: Once,
): Promise<RunId> {
  const slot = `${prefix}:maestro:idempotency:${plan.workflow}:${sha(JSON.stringify([caller, key]))}`;
  const request = sha(JSON.stringify(sortKeys(requestOf(plan, given))));
  const before = await redis.set(slot, `${request} ${plan.runId}`, 'EX', KEY_SECONDS, 'NX', 'GET');
  if (before === null) return plan.runId;
  const [requestBefore, runBefore] = before.split(' ');
  if (requestBefore !== request)
    throw new FleetError('CONFLICT', 'this idempotency key was used before with another request', {
      remedy: 'Use a new key for a new request.',
    });
  return RunIdSchema.parse(runBefore);
}

/** The same document whatever the order its keys were sent in. */
function sortKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sortKeys);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, part]) => [name, sortKeys(part)]),
  );
}
