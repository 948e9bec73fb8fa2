import { APIConnectionError, APIError } from '@anthropic-ai/sdk';
import { FleetError, errorMessage } from '../../shared/errors.ts';

const RETRY_TYPES = new Set(['overloaded_error', 'rate_limit_error', 'api_error', 'timeout_error']);

/** How long the provider asks to wait: `retry-after-ms`, or `retry-after` in seconds or as a date. */
export function retryAfterMs(headers: Headers | undefined, now: number): number | undefined {
  const millis = Number.parseFloat(headers?.get('retry-after-ms') ?? '');
  if (Number.isFinite(millis)) return Math.max(millis, 0);
  const text = headers?.get('retry-after') ?? '';
  if (text === '') return undefined;
  const seconds = Number(text);
  const wait = Number.isFinite(seconds) ? seconds * 1000 : Date.parse(text) - now;
  return Number.isFinite(wait) ? Math.max(wait, 0) : undefined;
}

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
  if (err instanceof FleetError) return err;
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
      retryAfterMs: retryAfterMs(err.headers, Date.now()) ?? null,
      model: call.model,
      host: call.host,
    },
  });
}
