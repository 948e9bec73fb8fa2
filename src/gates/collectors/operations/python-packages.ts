import type { CollectContext } from '../../collector.ts';
import { readManifests } from '../code/python/probe.ts';
import type { ManifestReport } from '../code/python/reports.ts';
import { LOCK, MANIFEST } from '../code/python/scope.ts';
import { listProject } from '../code/project-files.ts';
import type { LockedPackage, PackagesReading } from './packages.ts';

type Entry = ManifestReport['declared'][number];

/** How licences are called that are stated in words, by their SPDX names. A name that may mean several is left alone. */
const SPDX: Readonly<Record<string, string>> = {
  'MIT License': 'MIT',
  'Apache Software License': 'Apache-2.0',
  'Apache License 2.0': 'Apache-2.0',
  'Apache 2.0': 'Apache-2.0',
  'ISC License (ISCL)': 'ISC',
  'Mozilla Public License 2.0 (MPL 2.0)': 'MPL-2.0',
  'The Unlicense (Unlicense)': 'Unlicense',
  'Python Software Foundation License': 'PSF-2.0',
  'GNU General Public License v3 (GPLv3)': 'GPL-3.0-only',
};

function locked({ file, name, version, hashes, licence }: Entry, pinned: string): LockedPackage {
  return {
    ecosystem: 'PyPI',
    path: `pypi/${name}@${pinned}`,
    name,
    version: version ?? pinned,
    hashes: hashes.map((content) => ({ alg: 'SHA-256', content })),
    license: licence === null ? undefined : (SPDX[licence] ?? licence),
    file,
    isDev: false,
    needs: undefined,
  };
}

/** Every package that Python manifests and lock files resolve to one version; each that is asked for must be. */
export async function readPythonPackages(context: CollectContext): Promise<PackagesReading> {
  const { files } = await listProject(context.root);
  const manifests = files.filter((path) => MANIFEST.test(path));
  const locks = files.filter((path) => LOCK.test(path));
  const { report, fault } = await readManifests(context, { manifests, files });
  if (fault !== undefined) return { notEvaluable: fault };
  if (report.manifests + locks.length === 0)
    return { notEvaluable: 'No manifest says which packages the project depends on' };
  const entries = [...report.locked, ...report.declared];
  const packages = new Map<string, LockedPackage>();
  for (const entry of entries) {
    if (entry.version === null) continue;
    const found = locked(entry, entry.version);
    // The lock file comes first: it has the hashes.
    if (!packages.has(found.path)) packages.set(found.path, found);
  }
  const resolved = [...packages.values()].toSorted((a, b) => (a.path < b.path ? -1 : Number(a.path > b.path)));
  const open = entries.find(({ name }) => !resolved.some((each) => each.name === name));
  if (open !== undefined)
    return {
      notEvaluable: `${open.name} of ${open.file} is pinned to no version: pin it (==) or commit a lock file, else nobody knows which one is used`,
    };
  const wanted = new Set(report.declared.map(({ name }) => name));
  return {
    project: {
      name: 'project',
      version: '0.0.0',
      declared: wanted.size,
      packages: resolved,
      needs: resolved.filter(({ name }) => wanted.has(name)).map(({ path }) => path),
      files: [...manifests, ...locks],
    },
  };
}
