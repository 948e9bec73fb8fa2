import { chmod, chown, stat } from 'node:fs/promises';
import { FleetError } from '../errors.ts';
import { runProcess } from '../process.ts';
import type { SandboxMount } from './sandbox.ts';

/** The user that hostile commands run as when the fleet itself is root. */
export const SANDBOX_UID = 64_999;

/**
 * Lets the sandbox's user into the mounts when the fleet is root, whose folders are often private.
 * Files inside a read-only mount keep their modes: what only root may read, commands cannot read.
 */
export async function grantAccess(mounts: readonly SandboxMount[]): Promise<void> {
  for (const mount of mounts) {
    if (mount.writable) await handOver(mount.host);
    else await letIn(mount.host);
  }
}

/** With -P and -h, chown neither follows links nor leaves the tree, whatever hostile code planted in it. */
async function handOver(host: string): Promise<void> {
  const argv = ['chown', '-h', '-R', '-P', `${SANDBOX_UID}:${SANDBOX_UID}`, '--', host];
  const env = { PATH: '/usr/bin:/bin' };
  const result = await runProcess({ argv, cwd: '/', env, timeoutMs: 60_000, outputBytes: 10_000 });
  if (result.exitCode === 0) return;
  throw new FleetError('SANDBOX_UNAVAILABLE', `${host} cannot be handed to the sandbox: ${result.stderr.trim()}`);
}

/** Only the sandbox's own group is let in, so other users of the machine see no more than before. */
async function letIn(host: string): Promise<void> {
  const info = await stat(host);
  const needed = info.isDirectory() ? 0o5 : 0o4;
  if ((info.mode & needed) === needed || info.uid === SANDBOX_UID) return;
  await chown(host, info.uid, SANDBOX_UID);
  await chmod(host, (info.mode & 0o7777) | (needed << 3));
}
