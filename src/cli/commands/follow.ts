import { setTimeout as sleep } from 'node:timers/promises';
import { idleQueues } from '../../producer/queue-workers.ts';
import { watchRun } from '../../producer/watch.ts';
import { getJson } from '../../shared/blob-store.ts';
import { Definitions } from '../../shared/definitions.ts';
import { errorMessage } from '../../shared/errors.ts';
import type { RunPlan } from '../../shared/run-record.ts';
import { ProgressView } from '../progress.ts';
import type { Session } from '../session.ts';
import type { Terminal } from '../terminal.ts';

const FIRST_LOOK_MS = 3_000;
const LOOK_AGAIN_MS = 15_000;

/** Shows a run until it has ended or the signal is aborted. Returns whether it has ended. */
export async function followRun(
  session: Session,
  plan: RunPlan,
  terminal: Terminal,
  signal: AbortSignal,
  /** How to call this program so that it finds the run. */
  command = 'maestro',
): Promise<boolean> {
  const view = new ProgressView(terminal, plan, command);
  // Ctrl-C is echoed by the terminal, and answered by a line of its own.
  signal.addEventListener('abort', () => view.freeze());
  const ended = new AbortController();
  const looking = warnOfIdleQueues(session, plan, view, ended.signal).catch((err: unknown) =>
    view.note(`which queues have workers cannot be told: ${errorMessage(err)}`),
  );
  try {
    const { redisUrl, store, config } = session;
    for await (const event of watchRun({ redisUrl, prefix: config.prefix, store, runId: plan.runId, signal })) {
      view.show(event);
    }
    return !signal.aborted;
  } finally {
    ended.abort();
    view.close();
    await looking;
  }
}

/** A run that nobody works on would look like one that takes long. */
async function warnOfIdleQueues(
  session: Session,
  plan: RunPlan,
  view: ProgressView,
  signal: AbortSignal,
): Promise<void> {
  const { personas } = await getJson(session.blobs, plan.definitions, Definitions);
  let before = '';
  for (let waitMs = FIRST_LOOK_MS; ; waitMs = LOOK_AGAIN_MS) {
    // Rejects only when the run is no longer followed.
    await sleep(waitMs, undefined, { signal }).catch(() => undefined);
    if (signal.aborted) return;
    const idle = (await idleQueues(session, Object.keys(personas))).join(', ');
    if (idle !== before && !signal.aborted) {
      view.note(
        idle === ''
          ? 'every queue of this run has a worker now'
          : `no worker consumes ${idle}: start one with \`maestro worker\`; work for it waits until then`,
      );
    }
    before = idle;
  }
}
