import type { Request, Response } from 'express';
import { FleetError, errorMessage } from '../shared/errors.ts';
import type { RunId } from '../shared/names.ts';
import { TERMINAL_RUN } from '../shared/run-record.ts';
import { eventFrame } from './event-frame.ts';
import type { ServerContext } from './server-context.ts';
import { watchWith } from './watch.ts';

/** Sends a run's events as server-sent events: replayed after `Last-Event-ID`, live until the run has ended. */
export async function streamEvents(context: ServerContext, runId: RunId, req: Request, res: Response): Promise<void> {
  const { store, signals, streams, logger } = context;
  const given = lastEventId(req);
  if (!/^\d{0,15}$/.test(given))
    throw new FleetError('BAD_INPUT', `"${given.slice(0, 40)}" is no place in the log of a run`, {
      remedy: 'Give the number of an event of this stream, or 0 for all of them.',
    });
  const fromSeq = Number(given);
  const { status } = (await store.getStanding(runId)) ?? (await store.getRun(runId));
  const hasEnded = TERMINAL_RUN.includes(status);
  if (hasEnded && fromSeq > 0 && (await store.readEvents(runId, fromSeq, { count: 1 })).length === 0) {
    // The one answer that makes a browser stop asking again.
    res.status(204).end();
    return;
  }
  await streams.serve(res, async ({ signal, send }) => {
    try {
      for await (const event of watchWith(signals, { store, runId, fromSeq, signal })) await send(eventFrame(event));
    } catch (err) {
      if (!signal.aborted) logger.warn({ runId, reason: errorMessage(err) }, 'event stream ended early');
    }
  });
}

/** Where a reader wants to go on: from the header, which browsers send by themselves, or the query. */
export function lastEventId(req: Request): string {
  const fromQuery = req.query['lastEventId'];
  return req.get('last-event-id') ?? (typeof fromQuery === 'string' ? fromQuery : '');
}
