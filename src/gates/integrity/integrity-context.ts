import { lstat, mkdir, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { IntegrityCheck } from '../../shared/round-evidence.ts';
import type { SandboxMount } from '../../shared/sandbox/sandbox.ts';
import type { ChangedFile } from '../../shared/workspace.ts';
import type { Finding } from '../../shared/verdict.ts';
import type { CollectContext } from '../collector.ts';
import { INSIDE } from '../collectors/code/run-tool.ts';

/** The work of one phase beside what it began with. */
export interface IntegrityInput {
  /** The phase's work: a checkout, and the folder for reports. */
  context: CollectContext;
  /** A checkout of what the phase began with. */
  baseRoot: string;
  /** From the base to the work. */
  changed: readonly ChangedFile[];
  /** Who last changed each file of the base. */
  owners: ReadonlyMap<string, string>;
  /** The personas of the phase. */
  personas: readonly string[];
  /** Links of the work that lead out of it, or nowhere. */
  strayLinks: readonly string[];
  /** Does the policy of the phase read anything that tests establish? */
  isTested: boolean;
}

export interface Checked {
  check: IntegrityCheck;
  findings: Finding[];
  /** False where a limit cut the check short: then it is made again another time. */
  isWhole?: boolean | undefined;
}

/** The same context on other files. */
export const contextOn = (context: CollectContext, root: string): CollectContext => ({ ...context, root });

/** Folders of installed packages: no part of the project, and not copied with it. */
const INSTALLED = ['node_modules', '.venv', 'venv'];

/** The same context on a copy of the work, or of what it began with, where the installed packages are those of the work. */
export async function contextOnCopy(context: CollectContext, copy: string): Promise<CollectContext> {
  const extra: SandboxMount[] = [];
  const { sandbox, root } = context;
  for (const name of INSTALLED) {
    const host = join(root, name);
    const stats = await lstat(host).catch(() => undefined);
    if (stats?.isDirectory() !== true) continue;
    // Without mounts a command sees the host's own paths.
    if (sandbox.kind === 'bwrap') await mkdir(join(copy, name), { recursive: true });
    else await symlink(host, join(copy, name));
    if (sandbox.kind === 'bwrap') extra.push({ host, inside: `${INSIDE.project}/${name}`, writable: false });
  }
  return {
    ...context,
    root: copy,
    sandbox: {
      kind: sandbox.kind,
      description: sandbox.description,
      pathOf: (mounts, inside) => sandbox.pathOf(mounts, inside),
      run: (command) => sandbox.run({ ...command, mounts: [...command.mounts, ...extra] }),
    },
  };
}
