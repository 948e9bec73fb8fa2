import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { FleetError, InvalidInputError, errorMessage } from '../../../shared/errors.ts';
import type { SandboxMount } from '../../../shared/sandbox/sandbox.ts';
import type { CollectContext } from '../../collector.ts';
import { probeArgv, probeMounts } from '../documents/probe.ts';
import { readProjectText } from '../documents/project-files.ts';
import { removeTree } from '../../../shared/remove-tree.ts';

const SOCKET_FOLDER = '/run/service';
const PROJECT = '/project';

/** What a probe in another sandbox needs to reach the running service. */
export interface RunningService {
  mount: SandboxMount;
  /** Path of the unix socket, as the probe sees it. */
  socket: string;
  /** Ends when the service does. */
  signal: AbortSignal;
}

const Manifest = z.looseObject({ scripts: z.record(z.string(), z.string()).optional() });

const fail = (message: string): InvalidInputError =>
  new InvalidInputError('package.json', [{ file: 'package.json', line: 1, column: 1, message }]);

/** Throws, in words for the author, when there is nothing to start. */
async function requireStartScript(context: CollectContext): Promise<void> {
  const ask = 'write package.json with a "start" script that listens on process.env.PORT at 127.0.0.1';
  const text = await readProjectText(context.root, 'package.json');
  if (text === undefined) throw fail(`does not exist: ${ask}`);
  let parsed: z.infer<typeof Manifest>;
  try {
    parsed = Manifest.parse(JSON.parse(text.text));
  } catch (err) {
    throw fail(`cannot be parsed: ${errorMessage(err).split('\n')[0] ?? ''}`);
  }
  if (parsed.scripts?.['start'] === undefined) throw fail(`has no start script: ${ask}`);
}

/** A place for one instance of the service: its socket can be mounted before the instance is started. */
export interface ServiceSlot {
  mount: SandboxMount;
  socket: string;
  start(): RunningService & { failed: Promise<never> };
  /** Ends the instance, if there is one, and waits for that. */
  stop(): Promise<void>;
  /** Ends the instance and forgets the place. */
  close(): Promise<void>;
}

/**
 * Makes room for an instance of the measured service in a sandbox of its own.
 * With `data`, instances share one data folder; without, each has its own.
 */
export async function openServiceSlot(
  context: CollectContext,
  options: { inside?: string; data?: SandboxMount } = {},
): Promise<ServiceSlot> {
  await requireStartScript(context);
  const folder = await mkdtemp(join(tmpdir(), 'maestro-socket-'));
  const stopped = new AbortController();
  const project: SandboxMount = { host: context.root, inside: PROJECT, writable: false };
  // Writable for both, because the two sandboxes start at the same time and hand the folder to the same user.
  const mount: SandboxMount = { host: folder, inside: options.inside ?? SOCKET_FOLDER, writable: true };
  const mounts = [...probeMounts(), project, mount, ...(options.data === undefined ? [] : [options.data])];
  const inside = (path: string): string => context.sandbox.pathOf(mounts, path);
  const socket = `${mount.inside}/http`;
  const data = options.data === undefined ? {} : { data: inside(options.data.inside) };
  let running: Promise<unknown> = Promise.resolve();
  const start: ServiceSlot['start'] = () => {
    const ended = new AbortController();
    const run = context.sandbox
      .run({
        argv: probeArgv('run-serve'),
        mounts,
        cwd: '/tmp',
        stdin: JSON.stringify({ project: inside(PROJECT), socket: inside(socket), ...data }),
        limits: { wallMs: 180_000 },
        signal: AbortSignal.any([context.signal, stopped.signal]),
      })
      .finally(() => ended.abort());
    const failed = run.then((result) => {
      throw new FleetError('BAD_INPUT', `the service did not keep running: ${result.stderr.trim().slice(-600)}`);
    });
    running = Promise.allSettled([run, failed]);
    return { mount, socket, signal: AbortSignal.any([context.signal, ended.signal]), failed };
  };
  const stop = async (): Promise<void> => {
    stopped.abort();
    await running;
  };
  const close = async (): Promise<void> => {
    await stop();
    await removeTree(folder);
  };
  return { mount, socket, start, stop, close };
}

/**
 * Builds and starts the measured service in a sandbox of its own and hands its socket to `use`.
 * The judge sits in a second sandbox: the service cannot see, signal or write to the process that judges it.
 */
export async function withService<T>(
  context: CollectContext,
  use: (service: RunningService) => Promise<T>,
): Promise<T> {
  const slot = await openServiceSlot(context);
  try {
    const { failed, ...service } = slot.start();
    return await Promise.race([use(service), failed]);
  } finally {
    await slot.close();
  }
}
