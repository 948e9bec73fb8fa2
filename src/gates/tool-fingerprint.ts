import { createHash } from 'node:crypto';
import { readFile, readdir, stat } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { release } from 'node:os';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import { packagePath } from '../shared/package-root.ts';
import { listFiles } from './hostile-files.ts';

/** Everything beside the measured files that a measurement depends on. Equal prints mean equal tools and settings. */
export interface ToolFingerprint {
  node: string;
  /** Version of every package that the fleet declares, as installed. */
  packages: string;
  /** Digest of the fleet's lint and type settings. */
  settings: string;
  /** Digest of the collectors and probes themselves. */
  code: string;
  /** Programs of the machine: kernel, package state, browsers. */
  machine: string;
}

/** The folder of kept results, below the cache. */
export const SEALED = 'sealed';

const digest = (text: string): string => createHash('sha256').update(text).digest('hex').slice(0, 32);

async function digestOfFolder(folder: string): Promise<string> {
  const files = await listFiles(folder, new Set(['node_modules', '.git'])).catch(() => []);
  const hash = createHash('sha256');
  for (const { path, stats } of files) {
    if (!stats.isFile() || path.endsWith('.map')) continue;
    const bytes = await readFile(join(folder, path));
    hash.update(`${path}\0${bytes.length}\0`).update(bytes);
  }
  return hash.digest('hex').slice(0, 32);
}

const Manifest = z.looseObject({
  version: z.string().default('none'),
  dependencies: z.record(z.string(), z.string()).default({}),
});

const readManifest = async (path: string): Promise<z.infer<typeof Manifest>> =>
  Manifest.parse(JSON.parse(await readFile(path, 'utf8')));

async function installedPackages(): Promise<string> {
  const { dependencies } = await readManifest(packagePath('package.json'));
  const folder = dirname(dirname(createRequire(packagePath('package.json')).resolve('typescript/package.json')));
  const versions = await Promise.all(
    Object.keys(dependencies).map(async (name) => {
      const manifest = await readManifest(join(folder, name, 'package.json')).catch(() => undefined);
      return `${name}@${manifest?.version ?? 'not installed'}`;
    }),
  );
  return digest(versions.toSorted().join('\n'));
}

/** Files that change with every installation or removal of a program that collectors use. */
const MACHINE = [
  process.execPath,
  '/var/lib/dpkg/status',
  '/lib/apk/db/installed',
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/usr/bin/google-chrome-stable',
  '/usr/bin/python3',
  '/usr/local/bin/python3',
  '/usr/bin/bwrap',
];

/** Tools that the fleet unpacked for itself, below its cache, in folders whose names say which they are. */
async function unpackedTools(cache: string | undefined): Promise<string[]> {
  if (cache === undefined) return [];
  const names = (await readdir(cache).catch(() => [])).filter((name) => name !== SEALED);
  const inside = await Promise.all(
    names.map(async (name) => (await readdir(join(cache, name)).catch(() => [])).map((below) => `${name}/${below}`)),
  );
  return inside.flat().toSorted();
}

async function machineState(cache: string | undefined): Promise<string> {
  const seen = await Promise.all(
    MACHINE.map((path) =>
      stat(path).then(
        ({ size, mtimeMs, ino }) => `${path} ${size} ${mtimeMs} ${ino}`,
        () => `${path} none`,
      ),
    ),
  );
  return digest([release(), ...seen, ...(await unpackedTools(cache))].join('\n'));
}

type Installation = Omit<ToolFingerprint, 'node' | 'machine'>;

async function readInstallation(): Promise<Installation> {
  const [packages, settings, running, built] = await Promise.all([
    installedPackages(),
    digestOfFolder(packagePath('config')),
    digestOfFolder(import.meta.dirname),
    digestOfFolder(packagePath('dist', 'gates')),
  ]);
  return { packages, settings, code: digest(`${running} ${built}`) };
}

/** Collectors that start together share one reading of some hundred files. */
const SHARED_MS = 2000;
let shared: { at: number; reading: Promise<Installation> } | undefined;

/** Reads the print of this installation on this machine. `cache` is where tools are unpacked. */
export async function toolFingerprint(cache?: string): Promise<ToolFingerprint> {
  const now = performance.now();
  if (shared === undefined || now - shared.at > SHARED_MS) shared = { at: now, reading: readInstallation() };
  const [installation, machine] = await Promise.all([shared.reading, machineState(cache)]);
  return { node: process.version, ...installation, machine };
}
