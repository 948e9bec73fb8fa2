import { execFile } from 'node:child_process';
import { access, constants, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Config } from './config.ts';
import { libraryFolders, unpackDebianPackages } from './debian-packages.ts';
import { FleetError, errorMessage } from './errors.ts';
import { hasCode } from './file-lock.ts';
import type { Logger } from './logger.ts';

const run = promisify(execFile);
const NAMES = ['redis-server', 'valkey-server'] as const;
const PACKAGES = ['redis-server', 'redis-tools'];
const REMEDY = 'Install redis-server (or valkey-server) 6.2 or newer, or set REDIS_URL to one that runs.';

/** A server program that answered `--version`, with the words to put before its arguments. */
export interface RedisBinary {
  argv: readonly string[];
  description: string;
}

export interface RedisBinaryOptions {
  config: Pick<Config, 'cache'>;
  logger: Logger;
  /** Folders to look in, separated as in PATH; this process's own PATH when absent. */
  path?: string | undefined;
}

/** Finds a Redis or Valkey server: on PATH, else unpacked into the cache, else installed by root. */
export async function findRedisBinary({ config, logger, path }: RedisBinaryOptions): Promise<RedisBinary> {
  const onPath = await lookUp((path ?? (await inheritedPath())).split(':'));
  if (onPath !== undefined) return probe([onPath]);
  try {
    return await unpackRedis(config.cache, logger);
  } catch (err) {
    logger.info({ err }, 'Redis could not be unpacked');
    if (process.getuid?.() === 0 && (await lookUp(['/usr/bin'], ['apt-get'])) !== undefined) {
      return installRedis(logger, err);
    }
    throw unavailable(`there is no Redis server on PATH, and ${errorMessage(err)}`, err);
  }
}

/** A child inherits PATH, so it can tell: only `main.ts` reads the environment here. */
async function inheritedPath(): Promise<string> {
  const { stdout } = await run('/bin/sh', ['-c', 'printf %s "$PATH"']);
  return stdout;
}

async function unpackRedis(cache: string, logger: Logger): Promise<RedisBinary> {
  const tree = await unpackDebianPackages({ packages: PACKAGES, cache, logger });
  const binary = await lookUp([join(tree, 'usr', 'bin')]);
  if (binary === undefined) throw unavailable(`the packages ${PACKAGES.join(' and ')} hold no server program`);
  const libraries = (await libraryFolders(tree)).join(':');
  return probe(['/usr/bin/env', `LD_LIBRARY_PATH=${libraries}`, binary]);
}

/** The last resort. A service that the package would start is held back: only the program is wanted. */
async function installRedis(logger: Logger, cause: unknown): Promise<RedisBinary> {
  logger.warn('installing redis-server with apt-get');
  const policy = '/usr/sbin/policy-rc.d';
  const isOurs = await writeFile(policy, '#!/bin/sh\nexit 101\n', { mode: 0o755, flag: 'wx' }).then(
    () => true,
    (err: unknown) => {
      if (hasCode(err, 'EEXIST')) return false;
      throw err;
    },
  );
  try {
    await run('apt-get', ['install', '--yes', '--quiet', '--no-install-recommends', 'redis-server'], {
      timeout: 300_000,
      maxBuffer: 64 * 1024 ** 2,
    });
  } catch (err) {
    throw unavailable(`no Redis server could be unpacked (${errorMessage(cause)}) or installed`, err);
  } finally {
    if (isOurs) await rm(policy, { force: true });
  }
  const installed = await lookUp(['/usr/bin']);
  if (installed === undefined) throw unavailable('apt-get installed redis-server, but no server program appeared');
  return probe([installed]);
}

async function lookUp(folders: readonly string[], names: readonly string[] = NAMES): Promise<string | undefined> {
  for (const name of names) {
    for (const folder of folders.filter((entry) => entry !== '')) {
      const file = join(folder, name);
      const found = await access(file, constants.X_OK).then(
        () => true,
        () => false,
      );
      if (found) return file;
    }
  }
  return undefined;
}

/** A program that cannot load its libraries is told apart here, not by a server that never answers. */
async function probe(argv: readonly string[]): Promise<RedisBinary> {
  const [file = '', ...args] = argv;
  try {
    const { stdout } = await run(file, [...args, '--version']);
    const version = /\bv=(\S+)/.exec(stdout)?.[1] ?? 'of unknown version';
    return { argv, description: `${argv.at(-1)} ${version}` };
  } catch (err) {
    throw unavailable(`the Redis server ${argv.at(-1)} does not run: ${errorMessage(err)}`, err);
  }
}

const unavailable = (message: string, cause?: unknown): FleetError =>
  new FleetError('REDIS_UNAVAILABLE', message, { cause, remedy: REMEDY });
