import { APIConnectionError, APIError } from '@anthropic-ai/sdk';
import { z } from 'zod';
import { FleetError, errorMessage } from '../../shared/errors.ts';
import type { Usage } from '../../shared/run-record.ts';
import { retryAfterMs } from './rate-headers.ts';

const RETRY_TYPES = new Set(['overloaded_error', 'rate_limit_error', 'api_error', 'timeout_error']);

/** Could the same request succeed later? Errors inside a stream carry a type and no status. */
function mayPass(err: APIError): boolean {
  if (err instanceof APIConnectionError) return true;
  const status: unknown = err.status;
  if (typeof status !== 'number') return err.type === null || RETRY_TYPES.has(err.type);
  return status === 408 || status === 409 || status === 429 || status >= 500;
}

function remedyOf(err: APIError): string {
  const status: unknown = err.status;
  if (status === 401 || status === 403) return 'Check the key and what it may use.';
  if (status === 404) return 'Check the name of the model and the address of the endpoint.';
  if (status === 413) return 'Give the persona less to read, or split the phase.';
  return mayPass(err) ? 'Wait; the job is tried again.' : 'Correct what the message names.';
}

/** Anything that a call to a model threw, in the fleet's words. */
export function toModelError(err: unknown, call: { host: string; model: string }): FleetError {
  // What a recording throws comes wrapped in the SDK's words.
  for (let at: unknown = err; at instanceof Error; at = at.cause) if (at instanceof FleetError) return at;
  const where = `${call.model} at ${call.host}`;
  // An error of the SDK without a status is a stream that ended too early or could not be read: it may pass.
  if (!(err instanceof APIError)) {
    const message = `the answer of ${where} broke off: ${errorMessage(err)}`;
    return new FleetError('MODEL_UNAVAILABLE', message, {
      cause: err,
      retry: true,
      remedy: 'Wait; the job is tried again.',
    });
  }
  const status: unknown = err.status;
  const cause = err.cause instanceof Error ? ` (${err.cause.message})` : '';
  const reason = `${err.apiMessage ?? err.message}${cause}`;
  const shown = typeof status === 'number' ? `${status} ${err.type ?? ''}`.trim() : (err.type ?? 'no answer');
  return new FleetError('MODEL_UNAVAILABLE', `${where}: ${shown}: ${reason}`, {
    cause: err,
    retry: mayPass(err),
    remedy: remedyOf(err),
    details: {
      status: typeof status === 'number' ? status : null,
      type: err.type,
      requestId: err.requestID ?? null,
      retryAfterMs: retryAfterMs(err.headers) ?? null,
      model: call.model,
      host: call.host,
    },
  });
}

/** How a call ended. `refused`: the endpoint answers and does not want this call; `void`: it was never sent, or ended by us. */
export type CallEnd =
  | { how: 'ok'; usage: Usage }
  | { how: 'limited'; afterMs: number | undefined; isOverload: boolean; reason: string }
  | { how: 'failed' | 'refused'; reason: string }
  | { how: 'void' };

const Details = z.object({
  status: z.number().nullish(),
  type: z.string().nullish(),
  retryAfterMs: z.number().nullish(),
});

/**
 * How a call that threw has ended, for the fleet. The only place that decides what is waited for (`limited` and `failed`:
 * the call is made again, at no cost to its job) and what is a fault of the attempt, which the queue may repeat.
 */
export function endOfFailedCall(err: unknown): CallEnd {
  if (!(err instanceof FleetError) || err.code !== 'MODEL_UNAVAILABLE') return { how: 'void' };
  const { status, type, retryAfterMs: afterMs } = Details.parse(err.details);
  const reason = err.message;
  const isOverload = status === 529 || type === 'overloaded_error';
  if (isOverload || status === 429 || type === 'rate_limit_error')
    return { how: 'limited', afterMs: afterMs ?? undefined, isOverload, reason };
  // No status: there was no connection, or it broke off, or fell silent.
  const isFault = typeof status !== 'number' || status === 408 || status >= 500;
  return { how: isFault ? 'failed' : 'refused', reason };
}
