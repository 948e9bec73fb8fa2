import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { FleetError, InvalidInputError, errorMessage } from '../../../shared/errors.ts';
import type { SandboxMount } from '../../../shared/sandbox/sandbox.ts';
import type { CollectContext } from '../../collector.ts';
import { probeArgv, probeMounts } from '../documents/probe.ts';
import { readProjectText } from '../documents/project-files.ts';

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

/**
 * Builds and starts the measured service in a sandbox of its own and hands its socket to `use`.
 * The judge sits in a second sandbox: the service cannot see, signal or write to the process that judges it.
 */
export async function withService<T>(
  context: CollectContext,
  use: (service: RunningService) => Promise<T>,
): Promise<T> {
  await requireStartScript(context);
  const folder = await mkdtemp(join(tmpdir(), 'maestro-socket-'));
  const stop = new AbortController();
  const ended = new AbortController();
  const project: SandboxMount = { host: context.root, inside: PROJECT, writable: false };
  // Writable for both, because the two sandboxes start at the same time and hand the folder to the same user.
  const shared: SandboxMount = { host: folder, inside: SOCKET_FOLDER, writable: true };
  const mounts = [...probeMounts(), project, shared];
  const inside = (path: string): string => context.sandbox.pathOf(mounts, path);
  const socket = `${SOCKET_FOLDER}/http`;
  const running = context.sandbox
    .run({
      argv: probeArgv('run-serve'),
      mounts,
      cwd: '/tmp',
      stdin: JSON.stringify({ project: inside(PROJECT), socket: inside(socket) }),
      limits: { wallMs: 180_000 },
      signal: AbortSignal.any([context.signal, stop.signal]),
    })
    .finally(() => ended.abort());
  const signal = AbortSignal.any([context.signal, ended.signal]);
  const failed = running.then((result) => {
    throw new FleetError('BAD_INPUT', `the service did not keep running: ${result.stderr.trim().slice(-600)}`);
  });
  try {
    return await Promise.race([use({ mount: shared, socket, signal }), failed]);
  } finally {
    stop.abort();
    await Promise.allSettled([running, failed]);
    await rm(folder, { recursive: true, force: true });
  }
}
