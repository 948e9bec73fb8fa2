import type { Request, Response } from 'express';
import { FleetError, errorMessage } from '../shared/errors.ts';
import { BEGINNING, isBefore } from '../shared/fleet-log.ts';
import type { FleetEventsQuery } from './api-schemas.ts';
import { lastEventId } from './event-stream.ts';
import { News } from './news.ts';
import type { ServerContext } from './server-context.ts';

/** How long a quiet log is believed before it is read again unasked. */
const SWEEP_MS = 5_000;

/**
 * Sends what happens to all runs, from now on or after `Last-Event-ID` (0: all that the fleet's log still has).
 * An event that is not wanted moves the reader's place along all the same.
 */
export async function streamFleet(
  context: ServerContext,
  { types, workflow }: FleetEventsQuery,
  req: Request,
  res: Response,
): Promise<void> {
  const { feed, streams, logger } = context;
  const given = lastEventId(req);
  if (given !== '' && given !== '0' && !/^\d{1,15}-\d{1,15}$/.test(given))
    throw new FleetError('BAD_INPUT', `"${given.slice(0, 40)}" is no place in the fleet's log`, {
      remedy: 'Give the id of an event of this stream, or 0 for all that is kept.',
    });
  const [end, start] = await Promise.all([feed.end(), feed.start()]);
  const from = given === '' ? end : given === '0' ? BEGINNING : given;
  const wanted = (type: string): boolean => types.some((one) => one === type);
  await streams.serve(res, async (stream) => {
    const news = new News(context.signals, stream.signal);
    try {
      if (from !== BEGINNING && start !== undefined && isBefore(from, start))
        await stream.send(`event: log.trimmed\ndata: ${JSON.stringify({ after: from, start })}\n\n`);
      for (let cursor = from; !stream.signal.aborted;) {
        const page = await feed.after(cursor);
        let told = cursor;
        for (const entry of page) {
          cursor = entry.id;
          const event = wanted(entry.type) ? await feed.eventOf(entry) : undefined;
          if (event === undefined || (workflow !== undefined && event.workflow !== workflow)) continue;
          await stream.send(`id: ${entry.id}\nevent: ${entry.type}\ndata: ${JSON.stringify(event)}\n\n`);
          told = entry.id;
        }
        if (told !== cursor) await stream.send(`id: ${cursor}\n\n`);
        if (page.length === 0) await news.wait(SWEEP_MS);
      }
    } catch (err) {
      if (!stream.signal.aborted)
        logger.warn({ reason: errorMessage(err) }, "stream of the fleet's events ended early");
    } finally {
      news.end();
    }
  });
}
