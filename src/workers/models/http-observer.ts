import { createHash } from 'node:crypto';
import type { Middleware } from '@anthropic-ai/sdk';
import { SIMULATED_HEADER } from '../scripted/server.ts';

/** What went over the wire in one request, noted beside the SDK and without changing it. */
export interface HttpObservation {
  status: number | null;
  requestId: string | null;
  simulated: boolean;
  requestSha256: string | null;
  /** The hash of what has been received so far. */
  responseSha256(): string | null;
  rateLimits: Record<string, string>;
}

const sha256 = (data: string | Uint8Array): string => createHash('sha256').update(data).digest('hex');

/**
 * A middleware for exactly one call, and the notes it takes. `onHeaders` is told as soon as an answer begins, `onBytes`
 * of everything that comes: the SDK tells of no ping.
 */
export function observeCall(
  onHeaders: ((headers: Headers) => void) | undefined,
  onBytes: () => void,
): {
  middleware: Middleware;
  observation: HttpObservation;
} {
  const hash = createHash('sha256');
  const observation: HttpObservation = {
    status: null,
    requestId: null,
    simulated: false,
    requestSha256: null,
    responseSha256: () => (observation.status === null ? null : hash.copy().digest('hex')),
    rateLimits: {},
  };
  const middleware: Middleware = async (request, next) => {
    const { body } = request;
    if (typeof body === 'string' || body instanceof Uint8Array) observation.requestSha256 = sha256(body);
    const response = await next(request);
    observation.status = response.status;
    observation.requestId = response.headers.get('request-id');
    observation.simulated = response.headers.get(SIMULATED_HEADER) === '1';
    for (const [name, value] of response.headers) {
      if (name.startsWith('anthropic-ratelimit-') || name.startsWith('retry-after'))
        observation.rateLimits[name] = value;
    }
    onHeaders?.(response.headers);
    if (response.body === null) return response;
    const tap = new TransformStream<Uint8Array, Uint8Array>({
      transform(chunk, controller) {
        hash.update(chunk);
        onBytes();
        controller.enqueue(chunk);
      },
    });
    return new Response(response.body.pipeThrough(tap), response);
  };
  return { middleware, observation };
}
