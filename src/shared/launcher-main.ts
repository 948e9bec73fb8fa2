import { close, open } from 'node:fs';
import { promisify } from 'node:util';
import { type LauncherReply, LauncherRequest } from './launcher-messages.ts';
import type { OutputProgress } from './output-progress.ts';
import { runHere } from './process.ts';
import { tellError } from './told-error.ts';

/**
 * The process that starts programs for a worker; see `launcher.ts`. It has no secrets, and whatever it started ends
 * with it when the worker is gone.
 */
const openFile = promisify(open);
const closeFile = promisify(close);
const running = new Map<number, AbortController>();
/** How long programs may take to end once the worker is gone. */
const END_MS = 3_000;

const tell = (reply: LauncherReply): void => {
  if (process.connected) process.send?.(reply);
};

async function run(request: Extract<LauncherRequest, { type: 'run' }>): Promise<void> {
  const { type: _, id, files: paths, tellsOutput, tellsProgress, ...options } = request;
  const aborting = new AbortController();
  running.set(id, aborting);
  const files: number[] = [];
  try {
    for (const path of paths) files.push(await openFile(path, 'r'));
    const onOutput = tellsOutput
      ? (stream: 'stdout' | 'stderr', text: string): void => tell({ type: 'output', id, stream, text })
      : undefined;
    const onProgress = tellsProgress
      ? (progress: OutputProgress): void => tell({ type: 'progress', id, progress })
      : undefined;
    const listened = { ...options, files, onOutput, onProgress };
    tell({ type: 'ended', id, result: await runHere({ ...listened, signal: aborting.signal }) });
  } catch (err) {
    tell({ type: 'failed', id, ...tellError(err) });
  } finally {
    running.delete(id);
    for (const file of files) await closeFile(file);
  }
}

process.on('message', (message) => {
  const request = LauncherRequest.parse(message);
  if (request.type === 'run') void run(request);
  else running.get(request.id)?.abort();
});
// A terminal's Ctrl-C reaches everybody at once; what it ends is for the worker to say.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => undefined);
process.on('disconnect', () => {
  for (const aborting of running.values()) aborting.abort();
  setTimeout(() => process.exit(0), END_MS).unref();
});
