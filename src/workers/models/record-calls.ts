import type { Middleware } from '@anthropic-ai/sdk';
import type { Recording } from '../../shared/cassette.ts';
import { errorMessage } from '../../shared/errors.ts';
import { SIMULATED_HEADER } from '../scripted/server.ts';
import { describeRequest } from './fingerprint.ts';
import { type Redact, redactStream } from './redact.ts';

/** The headers that an answer is kept with. None that a request had is ever kept. */
const KEPT = new RegExp(`^(content-type|request-id|retry-after(-ms)?|${SIMULATED_HEADER})$`);
/**
 * Records every call that goes through it. An answer is handed on as it comes; its end waits until the recording is kept,
 * so no turn is counted that the recording lacks.
 */
export function recordCalls(keep: (recording: Recording) => Promise<void>, redact: Redact): Middleware {
  return async (request, next) => {
    const { body } = request;
    if (typeof body !== 'string') return next(request);
    // Without keys on both sides: an answer that is replayed has none either, and comes back with the next request.
    const asked = describeRequest(redact(body));
    const began = Date.now();
    const save = (
      status: number | null,
      headers: Record<string, string>,
      text: string,
      isBroken: boolean,
    ): Promise<void> =>
      keep({
        schemaVersion: 1,
        request: asked,
        response: { status, headers, body: redactStream(text, redact), isBroken },
        latencyMs: Date.now() - began,
      });
    let response: Response;
    try {
      response = await next(request);
    } catch (err) {
      await save(null, {}, errorMessage(err), true);
      throw err;
    }
    const headers = Object.fromEntries([...response.headers].filter(([name]) => KEPT.test(name)));
    if (response.body === null) {
      await save(response.status, headers, '', false);
      return response;
    }
    const reader: ReadableStreamDefaultReader<Uint8Array> = response.body.getReader();
    const decoder = new TextDecoder();
    let text = '';
    const tapped = new ReadableStream<Uint8Array>({
      async pull(controller) {
        try {
          const { done, value } = await reader.read();
          if (!done) {
            text += decoder.decode(value, { stream: true });
            controller.enqueue(value);
            return;
          }
        } catch (err) {
          await save(response.status, headers, text, true);
          controller.error(err);
          return;
        }
        await save(response.status, headers, text, false);
        controller.close();
      },
      async cancel(reason) {
        await save(response.status, headers, text, true);
        await reader.cancel(reason);
      },
    });
    return new Response(tapped, response);
  };
}
