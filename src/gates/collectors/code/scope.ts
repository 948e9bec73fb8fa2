import { posix } from 'node:path';
import { z } from 'zod';
import { errorMessage } from '../../../shared/errors.ts';
import { PYTHON_MANIFESTS, isCode, listProject, readProjectText } from './project-files.ts';
import { unmeasuredUse } from './unmeasured-code.ts';

const Names = z.record(z.string(), z.string()).default({});
/** What is read of package.json. Nothing of it is trusted for a result. */
const Manifest = z.object({
  scripts: Names,
  dependencies: Names,
  devDependencies: Names,
  peerDependencies: Names,
  optionalDependencies: Names,
  /** Programs that the package installs: one, or some by name. */
  bin: z
    .union([z.string().transform((path) => [path]), z.record(z.string(), z.string()).transform(Object.values<string>)])
    .default([])
    .catch([]),
});
export type Manifest = z.infer<typeof Manifest>;

/** The part of a project that one phase is measured by. */
export interface CodeScope {
  name: 'backend' | 'frontend' | 'all';
  /** For evidence, e.g. `src/backend, src/shared with tests/unit, tests/integration`. */
  description: string;
  manifest: Manifest;
  /** Every regular file of the project, made folders aside. */
  files: readonly string[];
  /** Code files of the scope. */
  sources: readonly string[];
  tests: readonly string[];
  /** Code that belongs neither to `src` nor to the tests: scripts, configuration. */
  otherCode: readonly string[];
  /** HTML and CSS of the scope. */
  markup: readonly string[];
}

export type ScopeReading = { scope: CodeScope } | { notEvaluable: string };

const SPLITS = {
  backend: { sources: ['src/backend/', 'src/shared/'], tests: ['tests/unit/', 'tests/integration/'] },
  frontend: { sources: ['src/frontend/'], tests: ['tests/component/'] },
} as const;

export const TEST_FILE = /^tests?\/(?:.*[.-])?test\.(?:[cm]?js|ts)$/;
/** Code at the top that a package is configured, shown or measured with, and that is no part of it. */
const BESIDE = /^(?:\..*|.*\.config|.*rc|(?:gulp|grunt)file|(?:test|example|bench(?:mark)?)s?)\.[cm]?[jt]sx?$/i;
const FOREIGN = /\.(?:py|go|rs|java|kt|rb|php|cs|c|cc|cpp|swift|scala|vue|svelte|wasm)$/;
const below =
  (folders: readonly string[]) =>
  (path: string): boolean =>
    folders.some((folder) => path.startsWith(folder));

/** `src`; in packages that have none, `lib` and the code that stands at the top. */
const sourceFoldersOf = (files: readonly string[]): string[] => {
  if (files.some((path) => path.startsWith('src/'))) return ['src/'];
  const atTop = files.filter((path) => !path.includes('/') && isCode(path) && !BESIDE.test(path));
  const folders = files.some((path) => path.startsWith('lib/')) ? ['lib/'] : [];
  return folders.length + atTop.length === 0 ? ['src/'] : [...folders, ...atTop];
};

/** Finds what a phase is measured by, or says why this is no project that can be measured. */
export async function readScope(root: string, phase: string): Promise<ScopeReading> {
  const { files, irregular } = await listProject(root);
  const hasPython = PYTHON_MANIFESTS.some((name) => files.includes(name));
  if (!files.includes('package.json'))
    return {
      notEvaluable: hasPython
        ? 'There is no package.json, and this is measured on JavaScript and TypeScript alone'
        : 'There is no package.json and no pyproject.toml, setup.py or requirements.txt: only JavaScript, TypeScript and Python projects are measured without declared commands',
    };
  let manifest: Manifest;
  try {
    manifest = Manifest.parse(JSON.parse(await readProjectText(root, 'package.json')));
  } catch (err) {
    return { notEvaluable: `package.json cannot be read: ${errorMessage(err).split('\n')[0]}` };
  }
  // A program in `bin/` is code of the package like any other.
  const programs = manifest.bin.map((path) => posix.normalize(path)).filter((path) => /^bin\/./.test(path));
  const allSources = [...sourceFoldersOf(files), ...programs];
  const isProjectCode = below([...allSources, 'tests/', 'test/']);
  const link = irregular.find(isProjectCode);
  if (link !== undefined)
    return { notEvaluable: `${link} is a link or a special file: put a regular file in its place` };
  const hidden = files.find((path) => isProjectCode(path) && path.includes('/node_modules/'));
  if (hidden !== undefined) return { notEvaluable: `${hidden} hides code in a node_modules folder: move it` };

  const allTests = files.filter((path) => TEST_FILE.test(path));
  const inSrc = files.filter(below(allSources));
  const split = phase === 'backend' || phase === 'frontend' ? SPLITS[phase] : undefined;
  const hasSplit = split !== undefined && inSrc.some((path) => path.startsWith(split.sources[0]));
  const sourceFolders = hasSplit ? split.sources : allSources;
  const hasSplitTests = hasSplit && allTests.some(below(split.tests));
  const testFolders = hasSplitTests ? split.tests : topFoldersOf(allTests);
  const measured = inSrc.filter(below(sourceFolders));
  const foreign = measured.find((path) => FOREIGN.test(path) && !(hasPython && path.endsWith('.py')));
  if (foreign !== undefined)
    return {
      notEvaluable: `${foreign} is in a language that no collector measures yet: only JavaScript and TypeScript are, and Python where pyproject.toml, setup.py or requirements.txt says so`,
    };
  const sources = measured.filter(isCode);
  if (sources.length === 0)
    return { notEvaluable: `There is no JavaScript or TypeScript file in ${sourceFolders.join(', ')}` };
  const unmeasured = await unmeasuredUse(root, { files, sources: inSrc.filter(isCode) });
  if (unmeasured.refused !== undefined) return { notEvaluable: unmeasured.refused };
  return {
    scope: {
      name: hasSplit && (phase === 'backend' || phase === 'frontend') ? phase : 'all',
      description: `${sourceFolders.join(', ')} with ${testFolders.join(', ')}${openText(unmeasured.undecided)}`,
      manifest,
      files,
      sources,
      tests: allTests.filter(below(testFolders)),
      otherCode: files.filter((path) => isCode(path) && !isProjectCode(path)),
      markup: measured.filter((path) => /\.(?:html?|css)$/.test(path)),
    },
  };
}

/** What nobody can read off the code is said beside what was measured. */
function openText([first, ...more]: readonly string[]): string {
  if (first === undefined) return '';
  return `; not decided: what ${first}${more.length === 0 ? '' : ` and ${more.length} more`} loads by a name that is made when it runs`;
}

const topFoldersOf = (tests: readonly string[]): string[] =>
  tests.length === 0 ? ['tests/'] : [...new Set(tests.map((path) => path.slice(0, path.indexOf('/') + 1)))];

/** Third-party packages that the project declares, by name, each once. */
export const declaredDependencies = (manifest: Manifest, kinds: 'run' | 'all'): string[] => [
  ...new Set(
    [
      manifest.dependencies,
      manifest.optionalDependencies,
      manifest.peerDependencies,
      ...(kinds === 'all' ? [manifest.devDependencies] : []),
    ].flatMap((group) => Object.keys(group)),
  ),
];
