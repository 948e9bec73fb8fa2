import { chmod, chown, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { FleetError } from '../errors.ts';
import { runProcess } from '../process.ts';
import type { SandboxMount } from './sandbox.ts';

/** The user that hostile commands run as when the fleet itself is root. */
export const SANDBOX_UID = 64_999;

/**
 * Lets the sandbox's user into the mounts when the fleet is root, whose folders are often private.
 * Files inside a read-only mount keep their modes: what only root may read, commands cannot read.
 */
export async function grantAccess(mounts: readonly SandboxMount[], uid: number): Promise<void> {
  for (const mount of mounts) {
    await letThrough(mount.host, uid);
    if (mount.writable) await handOver(mount.host, uid);
    else await letIn(mount.host, uid);
  }
}

/**
 * With -P and -h, neither follows links nor leaves the tree, whatever hostile code planted in it. What is the sandbox's
 * already is left alone: giving it away again would look as if the next command had changed it.
 */
async function handOver(host: string, uid: number): Promise<void> {
  const others = ['(', '!', '-uid', String(uid), '-o', '!', '-gid', String(uid), ')'];
  const argv = ['find', '-P', host, ...others, '-exec', 'chown', '-h', `${uid}:${uid}`, '--', '{}', '+'];
  const env = { PATH: '/usr/bin:/bin' };
  const result = await runProcess({ argv, cwd: '/', env, timeoutMs: 60_000, outputBytes: 10_000 });
  if (result.exitCode === 0) return;
  throw new FleetError('SANDBOX_UNAVAILABLE', `${host} cannot be handed to the sandbox: ${result.stderr.trim()}`);
}

/** Only the sandbox's own group is let in, so other users of the machine see no more than before. */
async function letIn(host: string, uid: number): Promise<void> {
  const info = await stat(host);
  const needed = (info.mode & 0o100) === 0 ? 0o4 : 0o5;
  if ((info.mode & needed) === needed || info.uid === uid) return;
  await chown(host, info.uid, uid);
  await chmod(host, (info.mode & 0o7777) | (needed << 3));
}

/**
 * Scratch folders lie in private ones, which commands that see the host's paths must pass. Passing is all they may:
 * to list a folder takes more than this, and its name is random.
 */
async function letThrough(host: string, uid: number): Promise<void> {
  for (let folder = dirname(host); folder !== dirname(folder); folder = dirname(folder)) {
    const info = await stat(folder);
    if ((info.mode & 0o001) === 0 && info.uid !== uid) await chmod(folder, (info.mode & 0o7777) | 0o001);
  }
}
