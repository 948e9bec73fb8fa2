import { isCode, listProject } from '../project-files.ts';

/** The part of a Python project that one phase is measured by. */
export interface PythonScope {
  /** For evidence, e.g. `src with tests`. */
  description: string;
  /** Every regular file of the project, made folders aside. */
  files: readonly string[];
  sources: readonly string[];
  /** Test files for this phase. */
  tests: readonly string[];
  /** Every test file. */
  allTests: readonly string[];
  /** Python that belongs neither to the sources nor to the tests: scripts, set-up. */
  otherCode: readonly string[];
  /** Folders that modules are imported from. */
  roots: readonly string[];
  manifests: readonly string[];
}

const SPLITS = {
  backend: { sources: ['src/backend/', 'src/shared/'], tests: ['tests/unit/', 'tests/integration/'] },
  frontend: { sources: ['src/frontend/'], tests: ['tests/component/'] },
} as const;
const MADE = /^(?:\.tox|\.nox|\.mypy_cache|\.pytest_cache|\.ruff_cache|build|[^/]+\.egg-info)\/|(?:^|\/)__pycache__\//;
const TEST_FOLDER = /(?:^|\/)tests?\//;
const TEST_FILE = /(?:^|\/)(?:test_[^/]*|[^/]*_test)\.py$/;
/** Beside a package that stands at the top: no part of it. */
const BESIDE = /^(?:docs?|examples?|scripts|tools|bench(?:marks)?)\/|^(?:setup|noxfile|conftest|tasks|versioneer)\.py$/;
const FOREIGN = /\.(?:go|rs|java|kt|rb|php|cs|c|cc|cpp|swift|scala|vue|svelte|wasm|pyx|pyc|pyo|pyd|so|zip|egg)$/;
/** Files that say which packages a project asks for, and those that say which it gets. */
export const MANIFEST = /^(?:pyproject\.toml|setup\.(?:py|cfg)|requirements[\w.-]*\.txt|requirements\/[^/]+\.txt)$/;

export const LOCK = /^(?:poetry\.lock|uv\.lock|pdm\.lock|Pipfile\.lock|pylock(?:\.[\w-]+)?\.toml)$/;

const below =
  (folders: readonly string[]) =>
  (path: string): boolean =>
    folders.some((folder) => path.startsWith(folder));

/** Finds what a phase is measured by, or says why this is no Python project that can be measured. */
export async function readPythonScope(
  root: string,
  phase: string,
): Promise<{ scope: PythonScope } | { notEvaluable: string }> {
  const { files: all, irregular } = await listProject(root);
  const files = all.filter((path) => !MADE.test(path));
  const manifests = files.filter((path) => MANIFEST.test(path));
  const python = files.filter((path) => path.endsWith('.py'));
  const hasSrc = python.some((path) => path.startsWith('src/'));
  const isTest = (path: string): boolean =>
    hasSrc ? /^tests?\//.test(path) : TEST_FOLDER.test(path) || TEST_FILE.test(path) || path.endsWith('/conftest.py');
  const own = python.filter((path) => (hasSrc ? path.startsWith('src/') : !isTest(path) && !BESIDE.test(path)));
  const split = hasSrc && (phase === 'backend' || phase === 'frontend') ? SPLITS[phase] : undefined;
  const hasSplit = split !== undefined && own.some((path) => path.startsWith(split.sources[0]));
  const sources = hasSplit ? own.filter(below(split.sources)) : own;
  const where = hasSplit ? split.sources : hasSrc ? ['src/'] : topFolders(own);
  if (sources.length === 0) return { notEvaluable: `There is no Python file in ${where.join(', ') || 'the project'}` };

  const isMeasured = (path: string): boolean => isTest(path) || below(where)(path) || sources.includes(path);
  const link = irregular.find((path) => isMeasured(path) && !MADE.test(path));
  if (link !== undefined)
    return { notEvaluable: `${link} is a link or a special file: put a regular file in its place` };
  const hasJavaScript = files.includes('package.json');
  const foreign = files.find((path) => below(where)(path) && (FOREIGN.test(path) || (isCode(path) && !hasJavaScript)));
  if (foreign !== undefined)
    return { notEvaluable: `${foreign} is no Python source, and nothing measures it in a Python project` };

  const allTests = python.filter((path) => isTest(path) && TEST_FILE.test(path) && !BESIDE.test(path));
  const hasSplitTests = hasSplit && allTests.some(below(split.tests));
  const tests = hasSplitTests ? allTests.filter(below(split.tests)) : allTests;
  const testFolders = hasSplitTests ? split.tests : [...new Set(tests.map((path) => `${path.split('/')[0] ?? ''}/`))];
  return {
    scope: {
      description: `${where.join(', ') || sources.join(', ')} with ${testFolders.join(', ') || 'no tests'}`,
      files,
      sources,
      tests,
      allTests,
      otherCode: python.filter((path) => !own.includes(path) && !isTest(path)),
      roots: hasSrc ? ['src', '.'] : ['.'],
      manifests,
    },
  };
}

const topFolders = (paths: readonly string[]): string[] => [
  ...new Set(paths.filter((path) => path.includes('/')).map((path) => `${path.split('/')[0] ?? ''}/`)),
];
