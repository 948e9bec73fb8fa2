import { existsSync, lstatSync, readlinkSync, realpathSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { basename, delimiter, dirname, join } from 'node:path';
import { FleetError } from '../errors.ts';
import { type EgressProxy, SOCKET_NAME, openEgressProxy } from '../network/egress-proxy.ts';
import { type ProcessResult, runProcess } from '../process.ts';
import { checkCommand } from './check-command.ts';
import { watchDisk } from './disk-watch.ts';
import { SANDBOX_UID, grantAccess } from './grant-access.ts';
import { limitArguments } from './limit-arguments.ts';
import { explainMemory, memoryTogether } from './memory-limit.ts';
import { BRIDGE, PROXY_FOLDER } from './network-bridge.ts';
import {
  DEFAULT_LIMITS,
  type Sandbox,
  type SandboxCommand,
  type SandboxLimits,
  type SandboxMount,
  type SandboxResult,
} from './sandbox.ts';
import type { BubblewrapTools, SandboxSettings, Shape } from './sandbox-settings.ts';

/** The user commands believe to be when the fleet is an ordinary user: their files are that user's. */
const MAPPED_UID = 1000;

export const shapesFor = (uid: number): readonly Shape[] =>
  uid === 0 ? ['root', 'root-without-user-namespaces'] : ['user'];

/**
 * The user inside. Without user namespaces the process limit counts for all processes of a user on the machine, so
 * every fleet process takes a user of its own there.
 */
export function uidFor(shape: Shape): number {
  if (shape === 'user') return MAPPED_UID;
  return shape === 'root' ? SANDBOX_UID : SANDBOX_UID - 1 - (process.pid % 900);
}

const HOME = '/home/sandbox';
const NODE_HOME = '/opt/node';
const OWN_FOLDER = '/run/sandbox';
const PATH = [join(NODE_HOME, 'bin'), '/usr/local/bin', '/usr/bin', '/bin'].join(delimiter);
const IN_MEMORY_BYTES = 1024 ** 3;
const SHARED_MEMORY_BYTES = 256 * 1024 ** 2;
const LIFETIME = ['--die-with-parent', '--new-session'];
const NAMESPACES = ['pid', 'net', 'ipc', 'uts', 'cgroup-try'].map((name) => `--unshare-${name}`);
const USER_NAMESPACE = ['--unshare-user', '--disable-userns', '--cap-drop', 'ALL'];
const SEALED = ['--remount-ro', '/dev', '--remount-ro', '/'];
const CAPABILITIES_TO_CHANGE_USER = ['CAP_SETUID', 'CAP_SETGID', 'CAP_SETPCAP'].flatMap((name) => ['--cap-add', name]);
const PUBLIC_ETC = ['alternatives', 'ld.so.cache', 'ld.so.conf', 'ld.so.conf.d', 'fonts', 'ssl/certs', 'localtime'];

export class BubblewrapSandbox implements Sandbox {
  readonly kind = 'bwrap';
  readonly description: string;
  readonly settings: SandboxSettings;
  readonly #tools: BubblewrapTools;
  readonly #shape: Shape;
  readonly #uid: number;

  constructor(tools: BubblewrapTools, shape: Shape) {
    this.settings = { bwrap: { tools, shape } };
    this.#tools = tools;
    this.#shape = shape;
    this.#uid = uidFor(shape);
    const note =
      shape === 'root-without-user-namespaces' ? ', process limit shared with other commands of this process' : '';
    const unfiltered = tools.filter === undefined ? ', system calls not filtered' : '';
    this.description = `bubblewrap ${tools.version}, no network, user ${this.#uid}${unfiltered}${note}`;
  }

  pathOf(_mounts: readonly SandboxMount[], inside: string): string {
    return inside;
  }

  async run(command: SandboxCommand): Promise<SandboxResult> {
    const limits = { ...DEFAULT_LIMITS, ...command.limits };
    checkCommand(command);
    if (this.#shape !== 'user') await grantAccess(command.mounts, this.#uid);
    const uid = this.#shape === 'user' ? {} : { uid: this.#uid };
    const disk = watchDisk(command.mounts, limits, command.signal);
    let proxy: EgressProxy | undefined;
    let filter: FileHandle | undefined;
    try {
      if (command.egress !== undefined) proxy = await openEgressProxy(command.egress, uid);
      if (this.#tools.filter !== undefined) filter = await open(this.#tools.filter);
      const bridged = proxy === undefined ? command : throughBridge(command, proxy.folder);
      const result = await runProcess({
        argv: [this.#tools.bwrap, ...this.#arguments(bridged, limits)],
        cwd: '/',
        env: { LD_LIBRARY_PATH: this.#tools.libraries.join(delimiter) },
        isHostile: true,
        files: filter === undefined ? [] : [filter.fd],
        hasReport: true,
        timeoutMs: limits.wallMs,
        outputBytes: limits.outputBytes,
        memoryBytes: memoryTogether(limits),
        signal: disk.signal,
        stdin: command.stdin,
        onOutput: command.onOutput,
        onProgress: command.onProgress,
      });
      refuseIfNotStarted(result);
      const ended = disk.explain(asSignal(explainMemory(result, limits)), command.signal);
      return proxy === undefined ? ended : { ...ended, refusals: proxy.refusals() };
    } finally {
      disk.stop();
      await filter?.close();
      await proxy?.close();
    }
  }

  #arguments(command: SandboxCommand, limits: SandboxLimits): string[] {
    const { choom, filter } = this.#tools;
    // The filter lies open as the first file after the standard ones, and the report after it. Bubblewrap closes the
    // report before the command starts: what stands there it has written itself.
    const [filtered, reported] =
      filter === undefined
        ? [[], ['--json-status-fd', '3']]
        : [
            ['--seccomp', '3'],
            ['--json-status-fd', '4'],
          ];
    const first = choom === undefined ? [] : [choom, '-n', '1000', '--'];
    const limited = [...first, this.#tools.prlimit, ...limitArguments(limits), '--', ...command.argv];
    const common = [
      ...LIFETIME,
      ...NAMESPACES,
      ...systemFiles(this.#tools, limits),
      ...mountArguments(command.mounts),
      ...environment(command.env ?? {}),
    ];
    const cwd = ['--chdir', command.cwd];
    const ownProc = ['--proc', '/proc'];
    if (this.#shape === 'user') {
      const self = ['--uid', String(this.#uid), '--gid', String(this.#uid)];
      const own = [...USER_NAMESPACE, ...filtered, ...reported, ...self];
      return [...own, ...common, ...ownProc, ...SEALED, ...cwd, '--', ...limited];
    }
    const outer = ['--cap-drop', 'ALL', ...CAPABILITIES_TO_CHANGE_USER, ...common];
    const ids = ['--reuid', String(this.#uid), '--regid', String(this.#uid), '--clear-groups'];
    const asUser = [this.#tools.setpriv, ...ids, '--inh-caps=-all', '--bounding-set=-all', '--no-new-privs', '--'];
    if (this.#shape === 'root-without-user-namespaces') {
      return [...outer, ...filtered, ...reported, ...ownProc, ...SEALED, ...cwd, '--', ...asUser, ...limited];
    }
    const own = ownTools(this.#tools);
    // The inner bubblewrap covers this view of the machine's processes before the command starts.
    const setUp = [...own.mounts, ...bind('/proc', '/proc', true), ...SEALED];
    const files = ['--dev-bind', '/', '/', ...ownProc, ...cwd];
    const inner = [
      own.bwrap,
      ...USER_NAMESPACE,
      ...filtered,
      ...reported,
      '--unshare-pid',
      '--die-with-parent',
      ...files,
      ...own.environment,
    ];
    return [...outer, ...setUp, '--', ...asUser, ...inner, '--', ...limited];
  }
}

/** Bubblewrap and its libraries as the inner stage of the `root` shape finds them. */
function ownTools(tools: BubblewrapTools): { bwrap: string; mounts: string[]; environment: string[] } {
  const bwrap = join(OWN_FOLDER, 'bwrap');
  const libraries = tools.libraries.map((host, index) => ({ host, inside: join(OWN_FOLDER, `lib${index}`) }));
  const mounts = [bind(tools.bwrap, bwrap), ...libraries.map(({ host, inside }) => bind(host, inside))].flat();
  if (libraries.length === 0) return { bwrap, mounts, environment: [] };
  const path = libraries.map(({ inside }) => inside).join(delimiter);
  return {
    bwrap,
    mounts: [...mounts, '--setenv', 'LD_LIBRARY_PATH', path],
    environment: ['--unsetenv', 'LD_LIBRARY_PATH'],
  };
}

/** The command, with the proxy's socket mounted and the program before it that leads there. */
const throughBridge = (command: SandboxCommand, folder: string): SandboxCommand => ({
  ...command,
  argv: ['node', '-e', BRIDGE, '--', join(PROXY_FOLDER, SOCKET_NAME), ...command.argv],
  mounts: [...command.mounts, { host: folder, inside: PROXY_FOLDER, writable: false }],
});

const directory = (path: string): string[] => ['--perms', '0755', '--dir', path];
const bind = (host: string, inside: string, writable = false): string[] => [
  writable ? '--bind' : '--ro-bind',
  host,
  inside,
];
const memory = (path: string, bytes: number): string[] =>
  ['--perms', '1777', '--size', String(bytes), '--tmpfs'].concat(path);

function systemFiles(tools: BubblewrapTools, limits: SandboxLimits): string[] {
  const roots = ['bin', 'lib', 'lib32', 'lib64', 'libx32', 'sbin'].flatMap((name) => {
    const path = `/${name}`;
    if (!existsSync(path)) return [];
    return lstatSync(path).isSymbolicLink() ? ['--symlink', readlinkSync(path), path] : ['--ro-bind', path, path];
  });
  const devices = ['--dev', '/dev'];
  const etc = PUBLIC_ETC.map((name) => `/etc/${name}`).filter((path) => existsSync(path));
  return [
    ...bind('/usr', '/usr'),
    ...roots,
    ...['/etc', '/etc/ssl', '/home', '/opt', NODE_HOME, '/run', OWN_FOLDER].flatMap(directory),
    ...etc.flatMap((path) => ['--ro-bind', realpathSync(path), path]),
    ...['passwd', 'group', 'hosts', 'nsswitch.conf'].flatMap((name) => [
      '--ro-bind',
      join(tools.etc, name),
      `/etc/${name}`,
    ]),
    ...nodeFiles(),
    // These are memory of the machine.
    ...memory('/tmp', Math.min(limits.diskBytes, IN_MEMORY_BYTES)),
    ...memory(HOME, Math.min(limits.diskBytes, IN_MEMORY_BYTES)),
    ...devices,
    ...memory('/dev/shm', SHARED_MEMORY_BYTES),
  ];
}

/** Node and npm, wherever this process runs from; nothing else of that folder, which may be someone's home. */
function nodeFiles(): string[] {
  const node = realpathSync(process.execPath);
  if (node.startsWith('/usr/') && basename(node) === 'node') return [];
  const npm = join(dirname(dirname(node)), 'lib', 'node_modules', 'npm');
  const bin = join(NODE_HOME, 'bin');
  const withNpm = existsSync(npm)
    ? [
        ...[NODE_HOME, 'lib', 'node_modules']
          .map((_part, index, parts) => join(...parts.slice(0, index + 1)))
          .flatMap(directory),
        ...bind(npm, join(NODE_HOME, 'lib', 'node_modules', 'npm')),
        ...['npm', 'npx'].flatMap((name) => [
          '--symlink',
          `../lib/node_modules/npm/bin/${name}-cli.js`,
          join(bin, name),
        ]),
      ]
    : [];
  return [...directory(bin), '--ro-bind', node, join(bin, 'node'), ...withNpm];
}

/** Shorter paths first, so that a mount inside another one lies on top of it. */
function mountArguments(mounts: readonly SandboxMount[]): string[] {
  const ordered = mounts.toSorted((a, b) => a.inside.length - b.inside.length);
  return ordered.flatMap((mount) => [
    ...parentsOf(mount.inside)
      .filter((parent) => !ordered.some((other) => isWithin(other.inside, parent)))
      .flatMap(directory),
    ...bind(mount.host, mount.inside, mount.writable),
  ]);
}

function parentsOf(path: string): string[] {
  const parts = dirname(path).split('/').filter(Boolean);
  return parts.map((_part, index) => `/${parts.slice(0, index + 1).join('/')}`);
}

const isWithin = (folder: string, path: string): boolean => path === folder || path.startsWith(`${folder}/`);

function environment(extra: Readonly<Record<string, string>>): string[] {
  const all = { PATH, HOME, LANG: 'C.UTF-8', CI: 'true', ...extra };
  return ['--clearenv', ...Object.entries(all).flatMap(([name, value]) => ['--setenv', name, value])];
}

/** Bubblewrap reports how a command ended only when it could start it. */
function refuseIfNotStarted({ report = '', ...result }: ProcessResult): void {
  if (result.endedBy !== 'exit' || report.includes('"exit-code"')) return;
  const why = result.stderr.trim().slice(0, 1_000) || `it ended with exit code ${result.exitCode}`;
  throw new FleetError('SANDBOX_UNAVAILABLE', `the sandbox did not start: ${why}`);
}

/** Bubblewrap reports a command that a signal ended as 128 plus the signal's number. */
function asSignal(result: SandboxResult): SandboxResult {
  const isSignal =
    result.endedBy === 'exit' && result.exitCode !== null && result.exitCode > 128 && result.exitCode <= 192;
  return isSignal ? { ...result, endedBy: 'signal' } : result;
}
