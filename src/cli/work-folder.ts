import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { errorMessage } from '../shared/errors.ts';
import { isAlive } from '../shared/file-lock.ts';
import type { Logger } from '../shared/logger.ts';

/**
 * The work folder of this process, below a home that other workers may share. It is empty, and what workers
 * that are gone have left beside it is removed: one that was killed could not do so itself.
 */
export async function openWorkFolder(home: string, logger: Logger): Promise<string> {
  const parent = join(home, 'work');
  await mkdir(parent, { recursive: true });
  for (const name of await readdir(parent)) {
    const pid = /^worker-(\d+)$/.exec(name)?.[1];
    // A folder with this process's own number is of another that had it before.
    if (pid === undefined || (Number(pid) !== process.pid && isAlive(Number(pid)))) continue;
    await removeWorkFolder(join(parent, name), logger);
  }
  const own = join(parent, `worker-${process.pid}`);
  await mkdir(own, { recursive: true });
  return own;
}

/** What cannot be removed now is left to the next worker: it is no reason to fail. */
export async function removeWorkFolder(folder: string, logger: Logger): Promise<void> {
  try {
    await rm(folder, { recursive: true, force: true, maxRetries: 3 });
  } catch (err) {
    logger.warn({ folder, err: errorMessage(err) }, 'a work folder cannot be removed');
  }
}
