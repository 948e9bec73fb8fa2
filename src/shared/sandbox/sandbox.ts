import type { Readable } from 'node:stream';
import type { Egress } from '../network/allow-list.ts';
import type { ProgressListener } from '../output-progress.ts';
import type { SandboxSettings } from './sandbox-settings.ts';

/** What one command may use. Sizes in bytes, times in milliseconds. */
export interface SandboxLimits {
  wallMs: number;
  cpuSeconds: number;
  /** Of one process. */
  memoryBytes: number;
  /** Of all its processes together, at most half of the machine; looked at twice a second. */
  allMemoryBytes: number;
  processes: number;
  fileBytes: number;
  /** What all writable mounts together may grow by; also the size of the private /tmp, up to 1 GiB. */
  diskBytes: number;
  /** How many files the writable mounts may hold together: small ones cost a disk its inodes, long before its bytes. */
  files: number;
  /** stdout and stderr are each cut here; the cut is marked. */
  outputBytes: number;
}

export const DEFAULT_LIMITS: SandboxLimits = {
  wallMs: 120_000,
  cpuSeconds: 240,
  memoryBytes: 2 * 1024 ** 3,
  allMemoryBytes: 6 * 1024 ** 3,
  processes: 256,
  fileBytes: 256 * 1024 ** 2,
  diskBytes: 2 * 1024 ** 3,
  files: 200_000,
  outputBytes: 1024 ** 2,
};

export interface SandboxMount {
  /** Host path (resolved, must exist). */
  host: string;
  /** Absolute path inside. */
  inside: string;
  writable: boolean;
}

export interface SandboxCommand {
  /** argv; the program is looked up on the sandbox's PATH (node, npm, npx, git, sh and coreutils are there). */
  argv: readonly string[];
  mounts: readonly SandboxMount[];
  /** Absolute path inside. */
  cwd: string;
  /** The whole environment beside PATH, HOME, LANG and CI. Nothing is inherited. */
  env?: Readonly<Record<string, string>>;
  limits?: Partial<SandboxLimits>;
  /** Text, or a stream for a program that is talked with; input that is not given is closed. */
  stdin?: string | Readable;
  /** What may be reached through a proxy; nothing else ever is. Only `bwrap` confines it. */
  egress?: Egress | undefined;
  signal?: AbortSignal;
  /** Called with pieces of output as they come. */
  onOutput?: (stream: 'stdout' | 'stderr', text: string) => void;
  /** Told now and then what the command prints while it runs. */
  onProgress?: ProgressListener | undefined;
}

export interface SandboxResult {
  exitCode: number | null;
  /** Set when the command was ended by a signal or by a limit. */
  endedBy: 'exit' | 'signal' | 'timeout' | 'aborted';
  stdout: string;
  stderr: string;
  truncated: boolean;
  durationMs: number;
  /** What the proxy did not let through. */
  refusals?: string[];
}

/**
 * Runs hostile commands: no network (a loopback of its own), read-only system, only the writable mounts writable,
 * no inherited environment, bounded time, memory, processes and output.
 * A command that fails is a result, not an exception; a sandbox that cannot start throws `SANDBOX_UNAVAILABLE`.
 */
export interface Sandbox {
  /** `bwrap`, `container` or `off`; written into every evidence. */
  readonly kind: 'bwrap' | 'container' | 'off';
  /** One line for `doctor` and for evidence, e.g. `bubblewrap 0.8.0, no network, user 64999`. */
  readonly description: string;
  readonly settings?: SandboxSettings;
  run(command: SandboxCommand): Promise<SandboxResult>;
  /**
   * The path under which a command sees an inside path. The same path with bubblewrap; without mounts (`container`,
   * `off`) it is the host path, and `run` translates argv, env and cwd by itself. Use it for paths in files that a
   * command reads, and to recognise the paths that it reports.
   */
  pathOf(mounts: readonly SandboxMount[], inside: string): string;
}
