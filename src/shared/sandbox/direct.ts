import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { runProcess } from '../process.ts';
import { checkCommand } from './check-command.ts';
import { watchDisk } from './disk-watch.ts';
import { grantAccess } from './grant-access.ts';
import { limitArguments } from './limit-arguments.ts';
import { explainMemory, memoryTogether } from './memory-limit.ts';
import { DEFAULT_LIMITS, type Sandbox, type SandboxCommand, type SandboxMount, type SandboxResult } from './sandbox.ts';
import type { DirectSandboxOptions, SandboxSettings } from './sandbox-settings.ts';

/**
 * Runs commands beside the fleet, with limits and a cleared environment but no isolation of files or network.
 * There are no mounts: inside paths in argv, env and cwd are replaced by host paths, and read-only mounts are
 * protected by file modes alone.
 */
export class DirectSandbox implements Sandbox {
  readonly kind: 'container' | 'off';
  readonly description: string;
  readonly settings: SandboxSettings;
  readonly #options: DirectSandboxOptions;

  constructor(options: DirectSandboxOptions) {
    this.settings = { direct: options };
    this.#options = options;
    this.kind = options.kind;
    const user = options.uid === undefined ? 'user of the fleet' : `user ${options.uid}`;
    this.description = `${options.description}, ${user}`;
  }

  pathOf(mounts: readonly SandboxMount[], inside: string): string {
    const mount = deepestFirst(mounts).find(({ inside: at }) => inside === at || inside.startsWith(`${at}/`));
    return mount === undefined ? inside : join(mount.host, inside.slice(mount.inside.length));
  }

  async run(command: SandboxCommand): Promise<SandboxResult> {
    checkCommand(command);
    const limits = { ...DEFAULT_LIMITS, ...command.limits };
    const home = await mkdtemp(join(tmpdir(), 'maestro-home-'));
    const disk = watchDisk(command.mounts, limits, command.signal);
    try {
      const ownHome = { host: home, inside: home, writable: true };
      if (this.#options.uid !== undefined) await grantAccess([...command.mounts, ownHome], this.#options.uid);
      const toHost = translator(command.mounts);
      const env: Record<string, string> = {};
      for (const [name, value] of Object.entries(command.env ?? {})) env[name] = toHost(value);
      const PATH = [dirname(process.execPath), '/usr/local/bin', '/usr/bin', '/bin'].join(delimiter);
      const result = await runProcess({
        argv: [
          ...this.#dropPrivileges(),
          this.#options.prlimit,
          ...limitArguments(limits),
          '--',
          ...command.argv.map(toHost),
        ],
        cwd: this.pathOf(command.mounts, command.cwd),
        env: { PATH, HOME: home, TMPDIR: home, LANG: 'C.UTF-8', CI: 'true', ...env },
        isHostile: true,
        timeoutMs: limits.wallMs,
        outputBytes: limits.outputBytes,
        memoryBytes: memoryTogether(limits),
        signal: disk.signal,
        stdin: command.stdin,
        onOutput: command.onOutput,
        onProgress: command.onProgress,
      });
      return disk.explain(explainMemory(result, limits), command.signal);
    } finally {
      disk.stop();
      await rm(home, { recursive: true, force: true });
    }
  }

  #dropPrivileges(): string[] {
    const { uid } = this.#options;
    if (uid === undefined) return [this.#options.setpriv, '--no-new-privs', '--'];
    const ids = ['--reuid', String(uid), '--regid', String(uid), '--clear-groups'];
    return [this.#options.setpriv, ...ids, '--inh-caps=-all', '--bounding-set=-all', '--no-new-privs', '--'];
  }
}

const deepestFirst = (mounts: readonly SandboxMount[]): SandboxMount[] =>
  mounts.toSorted((a, b) => b.inside.length - a.inside.length);

/** Replaces inside paths where they stand as paths: at the start of a text or after a separator. */
function translator(mounts: readonly SandboxMount[]): (text: string) => string {
  const ordered = deepestFirst(mounts);
  if (ordered.length === 0) return (text) => text;
  const names = ordered.map(({ inside }) => inside.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`));
  const pattern = new RegExp(`(?<![\\w./-])(${names.join('|')})(?![\\w.-])`, 'g');
  const hosts = new Map(ordered.map((mount) => [mount.inside, mount.host]));
  return (text) => text.replaceAll(pattern, (inside) => hosts.get(inside) ?? inside);
}
