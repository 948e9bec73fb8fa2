import { z } from 'zod';
import { errorMessage } from '../../../shared/errors.ts';
import type { CollectContext } from '../../collector.ts';
import { readProjectText } from '../documents/project-files.ts';

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

const LOCK_FILES = ['package-lock.json', 'npm-shrinkwrap.json'];
const OTHER_LOCKS = ['yarn.lock', 'pnpm-lock.yaml', 'bun.lock', 'bun.lockb'];

/** A package as the lock file resolves it. */
export interface LockedPackage {
  /** Where it lies, e.g. `node_modules/a/node_modules/b`. */
  path: string;
  name: string;
  version: string;
  integrity: string | undefined;
  resolved: string | undefined;
  /** As the lock file says, else as the installed manifest says. */
  license: string | undefined;
  isDev: boolean;
  /** Paths of the packages that it asks for. */
  needs: string[];
}

export interface ProjectPackages {
  name: string;
  version: string;
  /** How many packages the manifest asks for. */
  declared: number;
  packages: LockedPackage[];
  /** Paths of the packages that the project itself asks for. */
  needs: string[];
  /** The file that was read besides package.json; undefined when nothing is declared and nothing locked. */
  lock: string | undefined;
}

type Read = { project: ProjectPackages } | { notEvaluable: string };
class Unreadable extends Error {}

async function parse<S extends z.ZodType>(
  context: CollectContext,
  schema: S,
  path: string,
): Promise<z.infer<S> | undefined> {
  const text = await readProjectText(context.root, path);
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
  const manifest = await parse(context, z.looseObject({ license: z.unknown() }), `${path}/package.json`);
  return typeof manifest?.license === 'string' ? manifest.license : undefined;
}

async function locked(
  context: CollectContext,
  packages: Readonly<Record<string, LockEntry>>,
): Promise<LockedPackage[]> {
  const all: LockedPackage[] = [];
  for (const [path, entry] of Object.entries(packages).filter(([each]) => each !== '')) {
    const name = entry.name ?? path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length);
    if (entry.link === true || entry.version === undefined || !path.includes('node_modules/')) {
      throw new Unreadable(`${path} is linked or has no version: only packages of a registry can be judged`);
    }
    const needs = asked(entry).flatMap((wanted) => found(packages, path, wanted) ?? []);
    const license = await licenseOf(context, path, entry);
    const { version, integrity, resolved } = entry;
    all.push({ path, name, version, integrity, resolved, license, isDev: entry.dev === true, needs });
  }
  return all.toSorted((a, b) => (a.path < b.path ? -1 : Number(a.path > b.path)));
}

/** Every package that a project declares and locks, or why that cannot be known. */
export async function readPackages(context: CollectContext): Promise<Read> {
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
      return { project: { ...base, packages: await locked(context, file.packages), needs, lock } };
    }
    if (wanted.length > 0)
      return {
        notEvaluable: `${wanted.length} packages are declared and no lock file says which they are: commit package-lock.json`,
      };
    return { project: { ...base, packages: [], needs: [], lock: undefined } };
  } catch (err) {
    if (err instanceof Unreadable) return { notEvaluable: err.message };
    throw err;
  }
}
