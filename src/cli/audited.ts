import { hostname, userInfo } from 'node:os';
import { AuditLog } from '../producer/audit.ts';
import { FleetError } from '../shared/errors.ts';
import type { Session } from './session.ts';

/** Who sits at this machine, as far as it knows. */
export function operator(): string {
  const host = hostname();
  try {
    return `${userInfo().username}@${host}`;
  } catch {
    // In a container the user may have no entry, and so no name.
    return `uid ${process.getuid?.() ?? 'unknown'}@${host}`;
  }
}

/**
 * Makes a change and writes it into the audit log: before, and how it ended. `note` adds what is known only then, such
 * as the run that an idempotency key stands for. Never secrets or contents.
 */
export async function audited<T>(
  { redis, config }: Session,
  action: string,
  target: Record<string, string>,
  change: (note: (more: Record<string, string>) => void) => Promise<T>,
): Promise<T> {
  const audit = new AuditLog(redis, config.prefix);
  const asked = { who: 'cli', tokenId: null, from: operator(), action, target: { ...target }, requestId: '' };
  const id = await audit.asked(asked);
  try {
    const result = await change((more) => Object.assign(asked.target, more));
    await audit.answered(id, { ...asked, outcome: 'done', status: null });
    return result;
  } catch (err) {
    const outcome = err instanceof FleetError && err.code !== 'REDIS_UNAVAILABLE' ? 'refused' : 'failed';
    // Redis may be what failed; the entry then reads `unknown`, and the cause is what is told.
    await audit.answered(id, { ...asked, outcome, status: null }).catch(() => undefined);
    throw err;
  }
}
