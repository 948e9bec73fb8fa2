import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { FleetError, errorMessage } from '../errors.ts';
import type { Logger } from '../logger.ts';
import { BubblewrapSandbox, shapesFor, uidFor } from './bubblewrap.ts';
import { DirectSandbox } from './direct.ts';
import { findBubblewrap, findProgram } from './find-bubblewrap.ts';
import { SANDBOX_UID } from './grant-access.ts';
import { probeSandbox } from './probe.ts';
import type { Sandbox } from './sandbox.ts';
import type { SandboxSettings } from './sandbox-settings.ts';

export interface OpenSandboxOptions {
  /** `auto` is bubblewrap or nothing: weaker kinds are never taken unasked. */
  mode: 'auto' | 'bwrap' | 'container' | 'off';
  cache: string;
  logger: Logger;
}

const REMEDY =
  'Install bubblewrap and allow user namespaces (on Ubuntu: sysctl kernel.apparmor_restrict_unprivileged_userns=0; in ' +
  'Docker: security_opt seccomp=unconfined, apparmor=unconfined and systempaths=unconfined), set ' +
  'MAESTRO_SANDBOX=container inside a container that holds nothing else, or set MAESTRO_SANDBOX=off to run commands unconfined.';

/** Finds a sandbox of the wanted kind and proves that it holds. Throws `SANDBOX_UNAVAILABLE` with the remedy. */
export async function openSandbox(options: OpenSandboxOptions): Promise<Sandbox> {
  if (options.mode === 'off') return openDirect('off', 'no sandbox (MAESTRO_SANDBOX=off)');
  if (options.mode !== 'container') return openBubblewrap(options);
  const container = containerName();
  if (container === undefined) {
    throw new FleetError('SANDBOX_UNAVAILABLE', 'MAESTRO_SANDBOX=container, but this is not a container', {
      remedy: REMEDY,
    });
  }
  return openDirect('container', `the container itself (${container}), its network and files are reachable`);
}

/** A sandbox that was opened, and proven to hold, by another process. */
export const sandboxOf = (settings: SandboxSettings): Sandbox =>
  'bwrap' in settings
    ? new BubblewrapSandbox(settings.bwrap.tools, settings.bwrap.shape)
    : new DirectSandbox(settings.direct);

async function openBubblewrap({ cache, logger }: OpenSandboxOptions): Promise<Sandbox> {
  const failures: string[] = [];
  try {
    for (const shape of shapesFor(process.getuid?.() ?? -1)) {
      const tools = await findBubblewrap({ cache, uid: uidFor(shape), logger });
      const sandbox = new BubblewrapSandbox(tools, shape);
      const failure = await probeSandbox(sandbox, { isFiltered: tools.filter !== undefined }).then(
        () => undefined,
        errorMessage,
      );
      if (failure === undefined) return sandbox;
      failures.push(failure);
      logger.debug({ shape, failure }, 'sandbox does not hold');
    }
  } catch (err) {
    failures.push(errorMessage(err));
  }
  throw new FleetError('SANDBOX_UNAVAILABLE', `no sandbox for commands: ${failures.join('; ')}`, { remedy: REMEDY });
}

async function openDirect(kind: 'container' | 'off', description: string): Promise<Sandbox> {
  const [prlimit, setpriv] = [await findProgram('prlimit'), await findProgram('setpriv')];
  if (prlimit === undefined || setpriv === undefined) {
    throw new FleetError('SANDBOX_UNAVAILABLE', 'prlimit and setpriv are not installed', {
      remedy: 'Install util-linux: limits on time, memory and processes need it.',
    });
  }
  const uid = process.getuid?.() === 0 ? directUid(hostname()) : undefined;
  return new DirectSandbox({ kind, description, prlimit, setpriv, uid });
}

/**
 * The user of commands that no namespace counts apart: the limit on processes is one for all that a user has on the
 * machine, also in other containers, so each container (which has a host name of its own) gets another user.
 */
export const directUid = (host: string): number =>
  SANDBOX_UID - 1_000 - (createHash('sha256').update(host).digest().readUInt32BE(0) % 4_000);

/** What says that this process runs in a container, if anything does. */
function containerName(): string | undefined {
  if (existsSync('/.dockerenv')) return '/.dockerenv';
  if (existsSync('/run/.containerenv')) return '/run/.containerenv';
  const cgroup = existsSync('/proc/1/cgroup') ? readFileSync('/proc/1/cgroup', 'utf8') : '';
  return /docker|kubepods|containerd|libpod|lxc/.exec(cgroup)?.[0];
}
