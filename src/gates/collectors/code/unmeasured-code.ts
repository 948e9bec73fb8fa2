import { posix } from 'node:path';
import { z } from 'zod';
import { SKIPPED_AT_TOP, isCode, readProjectText } from './project-files.ts';

const SPECIFIER = /(?:\bfrom\s*|\bimport\s*\(?\s*|\brequire\s*\(\s*)(['"`])(\.{1,2}\/[^'"`\n]*)\1/g;
const ENDINGS = ['', '.js', '.ts', '.mjs', '.cjs', '.mts', '.cts', '.jsx', '.tsx', '/index.js', '/index.ts'];
const Entries = z.looseObject({
  main: z.string().optional().catch(undefined),
  imports: z.unknown().optional(),
  scripts: z
    .looseObject({ start: z.string().optional().catch(undefined) })
    .optional()
    .catch(undefined),
});

interface Project {
  /** Every regular file. */
  files: readonly string[];
  /** Code that is measured. */
  sources: readonly string[];
}

/**
 * What the code runs and nothing measures: one line, or nothing when there is none. Code that is measured may not lean
 * on code that is not, nor may the program begin there: it would have no coverage, no findings and no size.
 */
export async function unmeasuredUse(root: string, project: Project): Promise<string | undefined> {
  const [files, sources] = [new Set(project.files), new Set(project.sources)];
  const stray = (path: string): string | undefined => {
    const top = path.split('/')[0] ?? '';
    if (SKIPPED_AT_TOP.has(top)) return isCode(path) ? path : undefined;
    const found = candidates(path).find((candidate) => files.has(candidate));
    return found !== undefined && isCode(found) && !sources.has(found) ? found : undefined;
  };
  for (const path of entriesOf(await readProjectText(root, 'package.json'))) {
    // What the build makes of the sources is what a built package begins with.
    const outside = path.startsWith('dist/') ? undefined : stray(path);
    if (outside !== undefined) return `package.json names ${outside} ${OUTSIDE}`;
  }
  for (const source of project.sources) {
    for (const [, , specifier = ''] of (await readProjectText(root, source)).matchAll(SPECIFIER)) {
      const outside = stray(posix.join(posix.dirname(source), specifier));
      if (outside !== undefined) return `${source} uses ${outside} ${OUTSIDE}`;
    }
  }
  return undefined;
}

const OUTSIDE = 'which is outside of the code that is measured: move it there';

/** What an import may mean; TypeScript writes the name of the file that it will become. */
const candidates = (path: string): string[] => [
  ...ENDINGS.map((ending) => `${path}${ending}`),
  path.replace(/\.([cm]?)js$/, '.$1ts'),
  path.replace(/\.jsx?$/, '.tsx'),
];

/** Where the program begins, and the files that short names of the project stand for. */
function entriesOf(text: string): string[] {
  const { main, imports, scripts } = Entries.parse(JSON.parse(text));
  const words = (scripts?.start ?? '').split(/[\s"';&|()]+/);
  const paths = [...(main === undefined ? [] : [main]), ...words, ...textsIn(imports)];
  return paths.filter((path) => path !== '').map((path) => posix.normalize(path));
}

function textsIn(value: unknown): string[] {
  if (typeof value === 'string') return [value];
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(textsIn) : [];
}
