import type Anthropic from '@anthropic-ai/sdk';
import { APIUserAbortError } from '@anthropic-ai/sdk';
import { FleetError, errorMessage } from '../../shared/errors.ts';
import type { Price } from '../../shared/model-config.ts';
import { NO_USAGE } from '../../shared/run-record.ts';
import type { WorstCase } from '../../shared/worst-case.ts';
import { SCRIPTED_MODEL } from '../scripted/reply.ts';
import type { RunAccount } from './budget.ts';
import { type CallRecord, usageOfMessage } from './call-record.ts';
import { type HttpObservation, observeCall } from './http-observer.ts';
import { toModelError } from './model-errors.ts';
import type { ModelProvider } from './provider.ts';

export interface ModelCall {
  provider: ModelProvider;
  request: Anthropic.MessageStreamParams;
  turn: number;
  attempt: number;
  /** Null when nobody knows it. */
  price: Price | null;
  /** Where the worst case is set aside; without an account nothing is limited. */
  account: RunAccount | undefined;
  reservation: string;
  worst: WorstCase;
  /** The last answered call of the conversation, whose request this one repeats. */
  before?: CallRecord | undefined;
  /** The model that was overloaded, when this one is asked instead. */
  fallbackFrom?: string | undefined;
  /** How long the stream may be silent. */
  idleTimeoutMs: number;
  signal: AbortSignal;
  onHeaders?: ((headers: Headers) => void) | undefined;
}

/** Rejects when a stream has been silent for too long; whatever comes winds it up again, a ping too. */
class IdleTimer {
  readonly #ms: number;
  readonly #onIdle: () => void;
  #timer: NodeJS.Timeout | undefined;
  #isStopped = false;
  expired = false;

  constructor(ms: number, onIdle: () => void) {
    this.#ms = ms;
    this.#onIdle = onIdle;
    this.wind();
  }

  wind(): void {
    if (this.#isStopped) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.expired = true;
      this.#onIdle();
    }, this.#ms);
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
  }
}

/** The reason of an abort in the fleet's words: a phase that ran out of time says so itself. */
export const abortReason = (signal: AbortSignal): FleetError =>
  signal.reason instanceof FleetError
    ? signal.reason
    : new FleetError('CANCELLED', 'the work was cancelled', { cause: signal.reason });

/**
 * Makes one call: sets its worst case aside, streams the answer, settles the account and records the call.
 * `onRecord` gets the record of every call, also of one that failed, before this throws.
 */
export async function callModel(
  call: ModelCall,
  onRecord: (record: CallRecord) => void,
): Promise<{ message: Anthropic.Message; record: CallRecord }> {
  const { provider, request, account } = call;
  if (call.signal.aborted) throw abortReason(call.signal);
  const terms = {
    price: call.price,
    simulated: provider.simulated,
    replayed: provider.replayed ?? false,
    model: request.model,
    host: provider.host,
    turn: call.turn,
    attempt: call.attempt,
  };
  await account?.reserve(call.reservation, call.worst, terms);
  const startedAt = new Date();
  const { middleware, observation } = observeCall(call.onHeaders, () => idle.wind());
  const client = provider.client.withOptions({ middleware: [...provider.client.middleware, middleware] });
  const stream = client.messages.stream(request, { signal: call.signal });
  const idle = new IdleTimer(call.idleTimeoutMs, () => {
    stream.abort();
  });
  const recordOf = (message: Anthropic.Message | undefined, error: FleetError | undefined): CallRecord =>
    recordCall(call, { startedAt, observation, message, error });
  let message: Anthropic.Message;
  try {
    message = await stream.finalMessage();
  } catch (err) {
    const failure = failureOf(err, call, idle.expired);
    const partial = stream.currentMessage;
    const record = recordOf(partial, failure);
    // Refused before an answer began costs nothing; an answer that broke off may have cost anything up to its worst,
    // whatever broke it: only where no answer had begun does an address that cannot be reached mean that none was asked.
    const hasBegun = partial !== undefined || observation.status === 200;
    if (hasBegun || (observation.status === null && !isUnreachable(err)))
      await account?.settleUnknown(call.reservation, record);
    else await account?.settle(call.reservation, { ...record, usage: NO_USAGE });
    onRecord(record);
    throw failure;
  } finally {
    idle.stop();
  }
  const record = recordOf(message, undefined);
  await account?.settle(call.reservation, record, call.before);
  onRecord(record);
  return { message, record };
}

interface Made {
  startedAt: Date;
  observation: HttpObservation;
  message: Anthropic.Message | undefined;
  error: FleetError | undefined;
}

function recordCall(call: ModelCall, { startedAt, observation, message, error }: Made): CallRecord {
  const { provider, request } = call;
  // A proxy may strip the header, but the stand-in also signs with its model name.
  const simulated = provider.simulated || observation.simulated || message?.model === SCRIPTED_MODEL;
  const replayed = provider.replayed ?? false;
  const thinkingTokens = message?.usage.output_tokens_details?.thinking_tokens;
  return {
    schemaVersion: 1,
    turn: call.turn,
    attempt: call.attempt,
    outcome: error === undefined ? 'answered' : 'failed',
    error: error === undefined ? null : error.message,
    messageId: message?.id ?? null,
    requestId: observation.requestId,
    modelAsked: request.model,
    modelAnswered: message?.model ?? null,
    host: provider.host,
    status: observation.status,
    stopReason: message?.stop_reason ?? null,
    usage: message === undefined ? NO_USAGE : usageOfMessage(message.usage, call.price, simulated || replayed),
    startedAt: startedAt.toISOString(),
    latencyMs: Date.now() - startedAt.getTime(),
    requestSha256: observation.requestSha256,
    responseSha256: observation.responseSha256(),
    simulated,
    ...(replayed ? { replayed } : {}),
    ...(call.fallbackFrom === undefined ? {} : { fallbackFrom: call.fallbackFrom }),
    ...(thinkingTokens === undefined ? {} : { thinkingTokens }),
    rateLimits: observation.rateLimits,
  };
}

const UNREACHABLE = /ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH/;

/** No connection was ever made, so nothing can have been spent. */
function isUnreachable(err: unknown): boolean {
  for (let at: unknown = err; at instanceof Error; at = at.cause) {
    if ('code' in at && typeof at.code === 'string' && UNREACHABLE.test(at.code)) return true;
    if (at instanceof AggregateError && at.errors.some((one) => isUnreachable(one))) return true;
  }
  return false;
}

function failureOf(err: unknown, call: ModelCall, isIdle: boolean): FleetError {
  const { model } = call.request;
  if (isIdle) {
    return new FleetError(
      'MODEL_UNAVAILABLE',
      `${model} at ${call.provider.host} was silent for ${call.idleTimeoutMs} ms in the middle of an answer`,
      { cause: err, retry: true, details: { idleTimeoutMs: call.idleTimeoutMs } },
    );
  }
  if (call.signal.aborted) return abortReason(call.signal);
  if (err instanceof APIUserAbortError) {
    return new FleetError('MODEL_UNAVAILABLE', `the call was ended: ${errorMessage(err)}`, { cause: err, retry: true });
  }
  return toModelError(err, { host: call.provider.host, model });
}
