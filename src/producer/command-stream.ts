import { setTimeout as sleep } from 'node:timers/promises';
import type { Response } from 'express';
import { errorMessage } from '../shared/errors.ts';
import { type LiveCommand, commandKey } from '../shared/live-commands.ts';
import type { RunId } from '../shared/names.ts';
import { TERMINAL_RUN } from '../shared/run-record.ts';
import { EVERY_MS } from './command-feed.ts';
import type { ServerContext } from './server-context.ts';

const frames = new WeakMap<LiveCommand, string>();

/** Made once, however many listeners it goes to. */
function outputFrame(command: LiveCommand): string {
  const known = frames.get(command);
  if (known !== undefined) return known;
  const frame = `event: command.output\ndata: ${JSON.stringify(command)}\n\n`;
  frames.set(command, frame);
  return frame;
}

const endedFrame = ({ phase, persona, kind, round, toolUseId, startedAt }: LiveCommand): string =>
  `event: command.ended\ndata: ${JSON.stringify({ phase, persona, kind, round, toolUseId, startedAt })}\n\n`;

/** What there is to tell somebody who has seen `shown`, which is brought up to date. */
function news(shown: Map<string, LiveCommand>, commands: readonly LiveCommand[]): string[] {
  const now = new Map(commands.map((command) => [commandKey(command), command]));
  const ended = [...shown].filter(([key]) => !now.has(key));
  for (const [key] of ended) shown.delete(key);
  const changed = [...now].filter(([key, command]) => shown.get(key)?.bytes !== command.bytes);
  for (const [key, command] of changed) shown.set(key, command);
  return [...ended.map(([, command]) => endedFrame(command)), ...changed.map(([, command]) => outputFrame(command))];
}

/** Sends what the commands of personas print while they run, until the run has ended. Nothing of it is kept. */
export async function streamCommands(
  { store, streams, commands: feed, logger }: ServerContext,
  { runId, phase }: { runId: RunId; phase: string | undefined },
  res: Response,
): Promise<void> {
  const { status } = (await store.getStanding(runId)) ?? (await store.getRun(runId));
  if (TERMINAL_RUN.includes(status)) {
    // The one answer that makes a browser stop asking again.
    res.status(204).end();
    return;
  }
  await streams.serve(res, async ({ signal, send }) => {
    const shown = new Map<string, LiveCommand>();
    try {
      while (!signal.aborted) {
        const { commands, hasEnded } = await feed.look(runId);
        const wanted = commands.filter((command) => phase === undefined || command.phase === phase);
        for (const frame of news(shown, wanted)) await send(frame);
        if (hasEnded) return;
        await sleep(EVERY_MS, undefined, { signal });
      }
    } catch (err) {
      if (!signal.aborted) logger.warn({ runId, reason: errorMessage(err) }, 'stream of commands ended early');
    }
  });
}
