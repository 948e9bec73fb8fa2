import { once } from 'node:events';
import type { Request, Response } from 'express';
import { errorMessage } from '../shared/errors.ts';
import type { RunId } from '../shared/names.ts';
import { TERMINAL_RUN } from '../shared/run-record.ts';
import type { ServerContext } from './server-context.ts';
import { watchWith } from './watch.ts';

const HEARTBEAT_MS = 15_000;

/** Sends a run's events as server-sent events: replayed after `Last-Event-ID`, live until the run has ended. */
export async function streamEvents(context: ServerContext, runId: RunId, req: Request, res: Response): Promise<void> {
  const { store, signals, logger } = context;
  const run = await store.getRun(runId);
  const fromSeq = lastEventId(req);
  if (TERMINAL_RUN.includes(run.status) && fromSeq > 0 && (await store.readEvents(runId, fromSeq)).length === 0) {
    // The one answer that makes a browser stop asking again.
    res.status(204).end();
    return;
  }
  const gone = new AbortController();
  res.on('close', () => gone.abort());
  const signal = AbortSignal.any([gone.signal, context.closing]);
  res.writeHead(200, {
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-store',
    'x-accel-buffering': 'no',
  });
  res.write(`retry: 1000\n\n`);
  const heartbeat = setInterval(() => res.write(': still here\n\n'), HEARTBEAT_MS);
  try {
    for await (const event of watchWith(signals, { store, runId, fromSeq, signal })) {
      // JSON has no line breaks of its own, so one data line holds it.
      const isRoomy = res.write(`id: ${event.seq}\nevent: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`);
      // A slow reader waits for its own socket; what it has not read stays in the log.
      if (!isRoomy) await once(res, 'drain', { signal });
    }
  } catch (err) {
    if (!signal.aborted) logger.warn({ runId, reason: errorMessage(err) }, 'event stream ended early');
  } finally {
    clearInterval(heartbeat);
    res.end();
  }
}

function lastEventId(req: Request): number {
  const fromQuery = req.query['lastEventId'];
  const text = req.get('last-event-id') ?? (typeof fromQuery === 'string' ? fromQuery : '');
  return /^\d{1,15}$/.test(text) ? Number(text) : 0;
}
