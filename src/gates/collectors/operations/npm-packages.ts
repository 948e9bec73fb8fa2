import { z } from 'zod';
import { errorMessage } from '../../../shared/errors.ts';
import type { CollectContext } from '../../collector.ts';
import { readProjectText } from '../documents/project-files.ts';
import type { LockedPackage, PackagesReading } from './packages.ts';

const Names = z.record(z.string(), z.string()).default({});
const Manifest = z.looseObject({
  name: z.string().optional(),
  version: z.string().optional(),
  dependencies: Names,
  devDependencies: Names,
  optionalDependencies: Names,
  peerDependencies: Names,
});
const LockEntry = z.looseObject({
  name: z.string().optional(),
  version: z.string().optional(),
  resolved: z.string().optional(),
  integrity: z.string().optional(),
  license: z.string().optional(),
  link: z.boolean().optional(),
  dev: z.boolean().optional(),
  optional: z.boolean().optional(),
  dependencies: Names,
  optionalDependencies: Names,
  peerDependencies: Names,
  devDependencies: Names,
});
type LockEntry = z.infer<typeof LockEntry>;
const Lock = z.looseObject({ lockfileVersion: z.number(), packages: z.record(z.string(), LockEntry) });

/** Lock files of large projects are far longer than documents. */
const MAX_LOCK_BYTES = 16 * 1024 ** 2;
const LOCK_FILES = ['package-lock.json', 'npm-shrinkwrap.json'];
const OTHER_LOCKS = ['yarn.lock', 'pnpm-lock.yaml', 'bun.lock', 'bun.lockb'];

class Unreadable extends Error {}

/** `sha512-…` of a lock file as CycloneDX writes it; packages of old registries may have several. */
const hashesOf = (integrity: string | undefined): LockedPackage['hashes'] =>
  (integrity ?? '').split(/\s+/).flatMap((part) => {
    const [, size, base64] = /^sha(1|256|384|512)-([A-Za-z\d+/]+=*)$/.exec(part) ?? [];
    if (size === undefined || base64 === undefined) return [];
    return [{ alg: `SHA-${size}`, content: Buffer.from(base64, 'base64').toString('hex') }];
  });

async function parse<S extends z.ZodType>(
  context: CollectContext,
  schema: S,
  path: string,
): Promise<z.infer<S> | undefined> {
  const text = await readProjectText(context.root, path, MAX_LOCK_BYTES);
  if (text === undefined) return undefined;
  try {
    return schema.parse(JSON.parse(text.text));
  } catch (err) {
    throw new Unreadable(`${path} cannot be read: ${errorMessage(err).split('\n')[0] ?? ''}`);
  }
}

/** Where Node would find a package that is asked for from `from`. */
function found(packages: Readonly<Record<string, LockEntry>>, from: string, name: string): string | undefined {
  for (let folder = from; ; folder = folder.slice(0, Math.max(folder.lastIndexOf('/node_modules/'), 0))) {
    const path = folder === '' ? `node_modules/${name}` : `${folder}/node_modules/${name}`;
    if (Object.hasOwn(packages, path)) return path;
    if (folder === '') return undefined;
  }
}

const asked = (entry: Pick<LockEntry, 'dependencies' | 'optionalDependencies'>): string[] => [
  ...new Set([...Object.keys(entry.dependencies), ...Object.keys(entry.optionalDependencies)]),
];

async function licenseOf(context: CollectContext, path: string, entry: LockEntry): Promise<string | undefined> {
  if (entry.license !== undefined) return entry.license;
  const manifest = await parse(context, z.looseObject({ license: z.unknown().optional() }), `${path}/package.json`);
  return typeof manifest?.license === 'string' ? manifest.license : undefined;
}

async function locked(
  context: CollectContext,
  packages: Readonly<Record<string, LockEntry>>,
  lock: string,
): Promise<LockedPackage[]> {
  const all: LockedPackage[] = [];
  for (const [path, entry] of Object.entries(packages).filter(([each]) => each !== '')) {
    const name = entry.name ?? path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length);
    if (entry.link === true || entry.version === undefined || !path.includes('node_modules/')) {
      throw new Unreadable(`${path} is linked or has no version: only packages of a registry can be judged`);
    }
    const needs = asked(entry).flatMap((wanted) => found(packages, path, wanted) ?? []);
    const license = await licenseOf(context, path, entry);
    const { version } = entry;
    const hashes = hashesOf(entry.integrity);
    all.push({ ecosystem: 'npm', path, name, version, hashes, license, file: lock, isDev: entry.dev === true, needs });
  }
  return all.toSorted((a, b) => (a.path < b.path ? -1 : Number(a.path > b.path)));
}

/** Every package that a project declares and locks, or why that cannot be known. */
export async function readNpmPackages(context: CollectContext): Promise<PackagesReading> {
  try {
    const manifest = await parse(context, Manifest, 'package.json');
    if (manifest === undefined) return { notEvaluable: 'there is no package.json, so nothing says what it is made of' };
    const wanted = [
      ...new Set([
        ...asked(manifest),
        ...Object.keys(manifest.devDependencies),
        ...Object.keys(manifest.peerDependencies),
      ]),
    ];
    const base = { name: manifest.name ?? 'project', version: manifest.version ?? '0.0.0', declared: wanted.length };
    for (const other of OTHER_LOCKS) {
      if ((await readProjectText(context.root, other)) !== undefined) {
        return { notEvaluable: `${other} cannot be read: only npm's lock files are` };
      }
    }
    for (const lock of LOCK_FILES) {
      const file = await parse(context, Lock, lock);
      if (file === undefined) continue;
      if (file.lockfileVersion < 2) return { notEvaluable: `${lock} is of an old form: write it with npm 7 or newer` };
      const missing = wanted.filter((name) => found(file.packages, '', name) === undefined);
      if (missing.length > 0) {
        return {
          notEvaluable: `${lock} does not hold ${missing.slice(0, 5).join(', ')}: run npm install and commit it`,
        };
      }
      const needs = wanted.flatMap((name) => found(file.packages, '', name) ?? []);
      return {
        project: {
          ...base,
          packages: await locked(context, file.packages, lock),
          needs,
          files: ['package.json', lock],
        },
      };
    }
    if (wanted.length > 0)
      return {
        notEvaluable: `${wanted.length} packages are declared and no lock file says which they are: commit package-lock.json`,
      };
    return { project: { ...base, packages: [], needs: [], files: ['package.json'] } };
  } catch (err) {
    if (err instanceof Unreadable) return { notEvaluable: err.message };
    throw err;
  }
}
