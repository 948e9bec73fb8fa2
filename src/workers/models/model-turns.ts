import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { errorMessage } from '../../shared/errors.ts';
import type { Logger } from '../../shared/logger.ts';
import type { RateLimits } from '../../shared/model-config.ts';
import { limitKeys } from '../../shared/model-limits.ts';
import type { Redis } from '../../shared/redis.ts';
import { Parked } from '../parking.ts';
import { abortReason } from './call-model.ts';
import type { CallEnd } from './model-errors.ts';
import { readRateLimits } from './rate-headers.ts';
import { ENTER, LEARN, LEASE_MS, LEAVE, RENEW, STEP_ASIDE } from './turn-scripts.ts';

/** However long the wait, a call that holds its worker asks again after this time: it may have become shorter. */
const ASK_AGAIN_MS = 5_000;
/** Shorter waits are not told in the run's log. */
const TELL_FROM_MS = 1_500;

const Verdict = z.union([
  z.tuple([z.literal('go'), z.coerce.number(), z.coerce.number(), z.coerce.number()]),
  z.tuple([
    z.literal('wait'),
    z.coerce.number(),
    z.coerce.number(),
    z.enum(['paused', 'overloaded', 'ramp', 'budget', 'breaker']),
    z.string(),
  ]),
]);

/** Why a call has to wait. */
export interface TurnWait {
  model: string;
  host: string;
  /** `overloaded`: a pause, too; `ramp`: a pause has ended, and calls are let through a few at a time. */
  cause: 'paused' | 'overloaded' | 'ramp' | 'budget' | 'breaker';
  detail: string;
  ms: number;
  /** Whether the job gives its worker back meanwhile. */
  parks: boolean;
}

/** A call that wants its turn. */
export interface TurnRequest {
  model: string;
  host: string;
  /** The same when the call is made again, so that it keeps its place. */
  id: string;
  inputTokens: number;
  outputTokens: number;
  signal: AbortSignal;
  /** Whether the job may give its worker back without losing what it has done. */
  mayPark: boolean;
  /** Throws when the call is no longer wanted. */
  pausePoint: () => void;
  /** Whether another model is asked instead of one that has too much to do. */
  mayGoElsewhere?: boolean;
  /** The endpoint did not answer this conversation, and is not asked again before this time. */
  after?: { untilMs: number; reason: string } | undefined;
  /** Told before each wait for an endpoint that does not answer; throws when it was waited for long enough. */
  onDown?: () => Promise<void>;
}

/** Thrown in place of a wait, to those who may go elsewhere. The message is what the provider said. */
export class ModelOverloaded extends Error {}

export interface Turn {
  /** The headers of the answer, as soon as they are there. */
  heard: (headers: Headers) => void;
  leave(end: CallEnd): Promise<void>;
}

interface TurnOptions {
  redis: Redis;
  prefix: string;
  /** What is configured for a model, if anything. */
  limitsOf: (model: string) => RateLimits;
  /** A longer wait gives the worker back. */
  parkAfterMs: number;
  logger: Logger;
  onWait: (wait: TurnWait) => Promise<void>;
  /** Whether a parked job is to wake before its time, e.g. because its run has ended. */
  isDue: () => Promise<boolean>;
}

/** Somewhere between nothing and `most`, so that those who wait do not all come back at once. */
const spread = (most: number): number => Math.random() * most;

/**
 * The turns of calls to models, shared by the whole fleet: no call is made while its model is paused, its endpoint is
 * down, or its budget of the minute is used up. Waiting costs a conversation nothing.
 */
export class ModelTurns {
  readonly #of: TurnOptions;

  constructor(options: TurnOptions) {
    this.#of = options;
  }

  /** Waits for the turn of a call. Throws `Parked` when that takes long, `ModelOverloaded` when it is not waited for. */
  async enter(request: TurnRequest): Promise<Turn> {
    const { redis, prefix, limitsOf } = this.#of;
    const { keys, member } = limitKeys(prefix, request.host, request.model);
    const me = `${Math.ceil(request.inputTokens)}|${Math.ceil(request.outputTokens)}|${request.id}`;
    const { requestsPerMinute, inputTokensPerMinute, outputTokensPerMinute, tokensPerMinute } = limitsOf(request.model);
    const limits = [requestsPerMinute, inputTokensPerMinute, outputTokensPerMinute, tokensPerMinute];
    const args = [me, member, ...limits.map((limit) => (limit === undefined ? '' : String(limit)))];
    const since = Date.now();
    let told = '';
    let parked: Parked | undefined;
    try {
      for (;;) {
        request.pausePoint();
        const verdict = tooEarly(request) ?? Verdict.parse(await ENTER.run(redis, keys, args));
        if (verdict[0] === 'go') return this.#begin(keys, me, { began: verdict[1], taken: [verdict[2], verdict[3]] });
        const [, , ms, cause, detail] = verdict;
        if (cause === 'overloaded' && request.mayGoElsewhere === true) throw new ModelOverloaded(detail);
        if (cause === 'breaker') await request.onDown?.();
        const isLong = ms > this.#of.parkAfterMs || (Date.now() - since > this.#of.parkAfterMs && ms > 1_000);
        const wait = { model: request.model, host: request.host, cause, detail, ms, parks: isLong && request.mayPark };
        if (told !== cause && (ms >= TELL_FROM_MS || wait.parks)) {
          await this.#of.onWait(wait);
          told = cause;
        }
        if (wait.parks) throw (parked = await this.#park(keys, me, wait));
        await sleep(Math.min(ms + spread(Math.min(ms / 5 + 100, 2_000)), ASK_AGAIN_MS + spread(500)), undefined, {
          signal: request.signal,
        });
      }
    } catch (err) {
      // A parked call keeps its place.
      if (err === parked) throw err;
      await STEP_ASIDE.run(redis, keys, [me, '']);
      throw request.signal.aborted ? abortReason(request.signal) : err;
    }
  }

  async #park(keys: readonly string[], me: string, wait: TurnWait): Promise<Parked> {
    const ms = Math.ceil(Math.max(wait.ms, ASK_AGAIN_MS) + spread(Math.max(1_000, Math.min(wait.ms / 10, 30_000))));
    await STEP_ASIDE.run(this.#of.redis, keys, [me, String(ms)]);
    return new Parked(`waits for ${wait.model} at ${wait.host}: ${waitText(wait)}`, this.#of.isDue, ms);
  }

  #begin(keys: readonly string[], me: string, of: { began: number; taken: [number, number] }): Turn {
    const { redis, logger } = this.#of;
    const warn = (err: unknown): void =>
      logger.warn({ err: errorMessage(err) }, 'the fleet could not be told of a call under way');
    const renewal = setInterval(() => {
      RENEW.run(redis, keys, [me]).catch(warn);
    }, LEASE_MS / 3);
    renewal.unref();
    let learning: Promise<unknown> = Promise.resolve();
    return {
      heard: (headers) => {
        const limits = readRateLimits(headers);
        if (limits.some((value) => value !== '')) learning = LEARN.run(redis, keys, limits).catch(warn);
      },
      leave: async (end) => {
        clearInterval(renewal);
        await learning;
        await LEAVE.run(redis, keys, [
          me,
          end.how,
          String(of.began),
          end.how === 'limited' && end.afterMs !== undefined ? String(Math.ceil(end.afterMs)) : '',
          'reason' in end ? end.reason.slice(0, 300) : '',
          ...usedBy(end),
          ...of.taken.map(String),
          end.how === 'limited' && end.isOverload ? '1' : '',
        ]);
      },
    };
  }
}

function tooEarly({ after }: TurnRequest): z.infer<typeof Verdict> | undefined {
  const ms = (after?.untilMs ?? 0) - Date.now();
  return ms > 0 ? ['wait', 0, ms, 'breaker', after?.reason ?? ''] : undefined;
}

/** The tokens sent and received, as they are limited: what is read from the cache is not counted. */
function usedBy(end: CallEnd): [string, string] {
  if (end.how === 'failed') return ['', ''];
  if (end.how !== 'ok') return ['0', '0'];
  return [String(end.usage.inputTokens + end.usage.cacheWriteTokens), String(end.usage.outputTokens)];
}

const CAUSES = {
  paused: 'the provider asked to wait',
  overloaded: 'the provider asked to wait: the model has too much to do',
  ramp: 'calls are let through a few at a time after a pause',
  budget: 'the budget of this minute is used up',
  breaker: 'the endpoint does not answer',
} as const;

/** A wait in words. */
export const waitText = ({ cause, detail }: Pick<TurnWait, 'cause' | 'detail'>): string =>
  `${CAUSES[cause]}${detail === '' ? '' : ` (${detail})`}`;
