import { existsSync, readdirSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { libraryFolders, unpackDebianPackages } from '../../../shared/debian-packages.ts';
import { FleetError, errorMessage } from '../../../shared/errors.ts';
import type { Logger } from '../../../shared/logger.ts';
import type { SandboxMount } from '../../../shared/sandbox/sandbox.ts';

/** A PostgreSQL server as the sandbox sees it. */
export interface PostgresPrograms {
  /** The folder of `initdb` and `postgres`, inside. */
  programs: string;
  mounts: readonly SandboxMount[];
  env: Readonly<Record<string, string>>;
}

const TREE = '/postgresql';
const VERSIONS = join('usr', 'lib', 'postgresql');

/** The newest server below a system or an unpacked tree, relative to it. */
function newestIn(root: string): string | undefined {
  const folder = join(root, VERSIONS);
  const versions = existsSync(folder) ? readdirSync(folder) : [];
  return versions
    .toSorted((a, b) => Number(b) - Number(a))
    .map((version) => join(VERSIONS, version, 'bin'))
    .find((programs) => ['initdb', 'postgres'].every((name) => existsSync(join(root, programs, name))));
}

/** The machine's own PostgreSQL, or Debian's, unpacked once into the cache. Nothing else will do in its place. */
export async function postgresPrograms(options: {
  logger: Logger;
  /** Where the system is, for a look at another one. */
  system?: string;
  cache?: string;
}): Promise<PostgresPrograms> {
  const { logger, system = '/', cache = join(homedir(), '.cache', 'maestro-fleet') } = options;
  const installed = newestIn(system);
  if (installed !== undefined) return { programs: join('/', installed), mounts: [], env: {} };
  try {
    const tree = await unpackDebianPackages({ packages: ['postgresql'], cache, logger });
    const unpacked = newestIn(tree);
    if (unpacked === undefined) throw new Error(`${tree} holds no server`);
    const libraries = (await libraryFolders(tree)).map((folder) => join(TREE, folder.slice(tree.length)));
    return {
      programs: join(TREE, unpacked),
      mounts: [{ host: tree, inside: TREE, writable: false }],
      env: { LD_LIBRARY_PATH: libraries.join(':') },
    };
  } catch (err) {
    throw new FleetError(
      'TOOL_UNAVAILABLE',
      `this project needs PostgreSQL to be measured, and there is none: ${errorMessage(err)}`,
      {
        cause: err,
        remedy: `Install PostgreSQL, so that /${VERSIONS} holds a server; SQLite cannot stand in for it.`,
      },
    );
  }
}
