import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { statfs } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, isAbsolute, resolve } from 'node:path';
import type { z } from 'zod';
import { Readiness } from '../../producer/api-schemas.ts';
import { errorMessage } from '../../shared/errors.ts';
import { hasCode } from '../../shared/file-lock.ts';
import { openBlobStore } from '../../shared/open-blob-store.ts';
import { portOwner } from '../../shared/ports.ts';
import { runProcess } from '../../shared/process.ts';
import { openSandbox } from '../../shared/sandbox/open-sandbox.ts';
import type { CommandContext } from '../session.ts';
import { type Found, quiet, unusable } from './check.ts';

const OLDEST_NODE = [20, 19] as const;
const OLDEST_GIT = [2, 31] as const;
const MIN_FREE_GIB = 2;
const GIB = 1024 ** 3;

const isOlder = ([major = 0, minor = 0]: readonly number[], oldest: readonly [number, number]): boolean =>
  major < oldest[0] || (major === oldest[0] && minor < oldest[1]);

export function nodeCheck(version: string = process.versions.node): Found {
  if (isOlder(version.split('.').map(Number), OLDEST_NODE))
    throw unusable(`Node ${version} is too old`, `Install Node ${OLDEST_NODE.join('.')} or newer.`);
  return `v${version} at ${process.execPath}`;
}

export async function gitCheck({ env, cwd }: CommandContext): Promise<Found> {
  const { stdout } = await runProcess({
    argv: ['git', '--version'],
    cwd,
    env: { PATH: env['PATH'] ?? '' },
    timeoutMs: 10_000,
    outputBytes: 10_000,
  });
  const version = /(\d+)\.(\d+)/.exec(stdout)?.slice(1).map(Number) ?? [];
  if (isOlder(version, OLDEST_GIT))
    throw unusable(`${stdout.trim()} is too old`, `Install git ${OLDEST_GIT.join('.')} or newer.`);
  return stdout.trim();
}

export async function sandboxCheck({ config }: CommandContext): Promise<Found> {
  const sandbox = await openSandbox({ mode: config.sandbox, cache: config.cache, logger: quiet() });
  return sandbox.kind === 'off'
    ? { detail: sandbox.description, warning: 'What models write runs unconfined here: unset MAESTRO_SANDBOX.' }
    : sandbox.description;
}

/** Writes what was never written before, and reads it back. */
export async function blobCheck({ config }: CommandContext): Promise<Found> {
  const store = openBlobStore(config.blobs);
  const bytes = Buffer.from(`maestro doctor ${randomBytes(16).toString('hex')}`);
  const began = performance.now();
  const ref = await store.put(bytes);
  const read = await store.get(ref);
  if (!bytes.equals(read))
    throw unusable(`${store.location} gave back other bytes than it was given`, 'Look at that store.');
  return `${store.location}, written and read back in ${(performance.now() - began).toFixed(0)} ms`;
}

/** Takes the port and gives it back. One that is taken is asked whether it is the API that holds it. */
export async function portCheck({ config: { port } }: CommandContext): Promise<Found> {
  if (port === 0) return '0: the API takes any that is free';
  const remedy = 'Use --port 0 for a free one, or another PORT.';
  try {
    await listenOnce(port);
    return `${port} is free for the API`;
  } catch (err) {
    if (!hasCode(err, 'EADDRINUSE')) throw unusable(`${port} cannot be listened on: ${errorMessage(err)}`, remedy);
  }
  const owner = (await portOwner(port)) ?? 'a process that this user cannot see';
  const ready = await readiness(port);
  if (ready === undefined) throw unusable(`${port} is taken by ${owner}`, remedy);
  const detail = `${port} is served by ${owner}: a Maestro API, ${ready.status}`;
  return ready.status === 'ready' ? detail : { detail, warning: 'Its log tells which of its parts does not answer.' };
}

/** Listens as the API would, and stops. */
async function listenOnce(port: number): Promise<void> {
  const server = createServer().listen({ host: '127.0.0.1', port, exclusive: true });
  await once(server, 'listening');
  server.close();
}

const ANSWER_MS = 2_000;

/** What the API on that port says of itself; undefined where another program answers, or none. */
async function readiness(port: number): Promise<z.infer<typeof Readiness> | undefined> {
  try {
    const answer = await fetch(`http://127.0.0.1:${port}/readyz`, {
      redirect: 'error',
      signal: AbortSignal.timeout(ANSWER_MS),
    });
    return Readiness.safeParse(await answer.json()).data;
  } catch {
    return undefined;
  }
}

/** Every folder that grows, by what it holds. */
export async function diskCheck({ config }: CommandContext): Promise<Found> {
  const isFolder = isAbsolute(config.blobs);
  const folders = [
    ['data', config.home],
    ...(isFolder ? [['blobs', resolve(config.blobs)]] : []),
    ['temporary files', tmpdir()],
  ] as const;
  const told: string[] = [];
  for (const [name = '', folder = ''] of folders) {
    const { bavail, bsize, files, ffree } = await statfs(await nearest(folder));
    const free = (bavail * bsize) / GIB;
    if (free < MIN_FREE_GIB)
      throw unusable(
        `${free.toFixed(1)} GiB free below ${folder} (${name})`,
        `Free at least ${MIN_FREE_GIB} GiB there.`,
      );
    if (files > 0 && ffree < 1_000)
      throw unusable(`${ffree} inodes free below ${folder} (${name})`, 'Delete files there.');
    told.push(`${name} ${free.toFixed(1)} GiB`);
  }
  return `free for ${told.join(', ')}`;
}

/** The folder, or the nearest one above it that is there. */
async function nearest(folder: string): Promise<string> {
  for (let at = folder; ; at = dirname(at)) {
    const isThere = await statfs(at).then(
      () => true,
      () => false,
    );
    if (isThere || dirname(at) === at) return at;
  }
}
