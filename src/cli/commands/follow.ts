import { watchRun } from '../../producer/watch.ts';
import { idlePersonas } from '../../producer/queue-workers.ts';
import type { RunPlan } from '../../shared/run-record.ts';
import { ProgressView } from '../progress.ts';
import type { Session } from '../session.ts';
import type { Terminal } from '../terminal.ts';

const NO_WORKER_AFTER_MS = 3_000;

/** Shows a run until it has ended or the signal is aborted. Returns whether it has ended. */
export async function followRun(
  session: Session,
  plan: RunPlan,
  terminal: Terminal,
  signal: AbortSignal,
): Promise<boolean> {
  const view = new ProgressView(terminal, plan);
  const check = setTimeout(() => void warnOfIdleQueues(session, plan, terminal), NO_WORKER_AFTER_MS);
  try {
    const { redisUrl, store, config } = session;
    for await (const event of watchRun({ redisUrl, prefix: config.prefix, store, runId: plan.runId, signal })) {
      view.show(event);
      if (event.type === 'run.finished') return true;
    }
    return false;
  } finally {
    clearTimeout(check);
    view.close();
  }
}

/** A run that nobody works on would look like one that takes long. */
async function warnOfIdleQueues(session: Session, plan: RunPlan, terminal: Terminal): Promise<void> {
  const idle = await idlePersonas(session, plan);
  if (idle.length === 0) return;
  const text = `no worker consumes ${idle.join(', ')}: start one with \`maestro worker\`; the run waits until then`;
  terminal.err(terminal.colors.yellow(text));
}
