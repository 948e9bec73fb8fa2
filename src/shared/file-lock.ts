import { link, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { FleetError } from './errors.ts';

/** Whether a process with this id exists, also one of another user. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (err) {
    return hasCode(err, 'EPERM');
  }
}

/** Whether something thrown by the system carries this error code. */
export const hasCode = (err: unknown, code: string): boolean =>
  err instanceof Error && 'code' in err && err.code === code;

/** The file's text, or undefined when there is no such file. */
export async function readIfPresent(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (err) {
    // The second comes of a file in /proc whose process ended after it was opened.
    if (hasCode(err, 'ENOENT') || hasCode(err, 'ESRCH')) return undefined;
    throw err;
  }
}

/** Pids are used again, above all in containers, so a process is named by its pid and the time it began. */
async function processName(pid: number): Promise<string> {
  const stat = process.platform === 'linux' ? await readIfPresent(`/proc/${pid}/stat`) : undefined;
  return `${pid} ${stat?.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '-'}`;
}

let tickets = 0;

/**
 * Runs `work` while holding a lock file that names this process. A lock whose process is gone is broken.
 * Throws `CONFLICT` when another process holds it for longer than `waitMs`.
 */
export async function withFileLock<T>(path: string, waitMs: number, work: () => Promise<T>): Promise<T> {
  await mkdir(dirname(path), { recursive: true });
  tickets += 1;
  const mine = `${path}.${process.pid}.${tickets}`;
  const name = `${await processName(process.pid)} ${tickets}`;
  await writeFile(mine, name);
  try {
    await acquire(path, mine, waitMs);
    try {
      return await work();
    } finally {
      if ((await readIfPresent(path)) === name) await rm(path, { force: true });
    }
  } finally {
    await rm(mine, { force: true });
  }
}

async function acquire(path: string, mine: string, waitMs: number): Promise<void> {
  const deadline = Date.now() + waitMs;
  for (;;) {
    try {
      // A link appears together with its contents: a lock is never seen without its owner.
      await link(mine, path);
      return;
    } catch (err) {
      if (!hasCode(err, 'EEXIST')) throw err;
    }
    const owner = await readIfPresent(path);
    if (owner === undefined) continue;
    if (await isStale(owner)) await breakLock(path, mine, owner);
    else if (Date.now() > deadline) {
      throw new FleetError('CONFLICT', `process ${owner.split(' ')[0]} has held ${path} for too long`, {
        remedy: `Wait for that process, or end it and remove ${path}.`,
      });
    } else await sleep(50);
  }
}

async function isStale(owner: string): Promise<boolean> {
  const [pid = '', began = '-'] = owner.split(' ');
  if (!/^\d+$/.test(pid) || !isAlive(Number(pid))) return true;
  return began !== '-' && (await processName(Number(pid))) !== `${pid} ${began}`;
}

/** Moves the stale lock aside, and puts it back when another process was quicker and the lock is a new one. */
async function breakLock(path: string, mine: string, owner: string): Promise<void> {
  const aside = `${mine}.stale`;
  try {
    await rename(path, aside);
    if ((await readIfPresent(aside)) !== owner) await link(aside, path);
  } catch (err) {
    if (!hasCode(err, 'ENOENT') && !hasCode(err, 'EEXIST')) throw err;
  } finally {
    await rm(aside, { force: true });
  }
}
