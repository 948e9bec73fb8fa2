import { rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { FleetError } from './errors.ts';
import { runProcess } from './process.ts';

/**
 * Removes a folder that hostile commands wrote in, whatever is in it: trees deeper than any path, folders closed to their
 * owner. Links are removed and not followed.
 */
export async function removeTree(path: string): Promise<void> {
  try {
    await rm(path, { recursive: true, force: true, maxRetries: 3 });
  } catch {
    // Node names every file by its whole path; these programs go down folder by folder.
    const of = { cwd: dirname(path), env: { PATH: '/usr/bin:/bin' }, timeoutMs: 120_000, outputBytes: 10_000 };
    await runProcess({ ...of, argv: ['chmod', '-R', 'u+rwX', '--', path] });
    const { exitCode, stderr } = await runProcess({ ...of, argv: ['rm', '-rf', '--', path] });
    if (exitCode !== 0) throw new FleetError('INTERNAL', `${path} cannot be removed: ${stderr.slice(0, 500)}`);
  }
}
