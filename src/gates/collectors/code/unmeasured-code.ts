import { posix } from 'node:path';
import { z } from 'zod';
import { SKIPPED_AT_TOP, isCode, readProjectText } from './project-files.ts';

/** A text that begins like a path, and whether it is imported by it; comments may stand between. */
const PATH_TEXT =
  /(\b(?:from|import|require(?:\s*\.\s*resolve)?)\b(?:\s|\(|\/\*[^]*?\*\/)*)?(['"`])(\.{1,2}\/[^'"`\n]*)\2/g;
/** Folders that only an import reaches: what is built is not there yet, and packages are looked at elsewhere. */
const MADE = ['dist', 'node_modules'];
const ENDINGS = ['', '.js', '.ts', '.mjs', '.cjs', '.mts', '.cts', '.jsx', '.tsx', '/index.js', '/index.ts'];
const Entries = z.looseObject({
  main: z.string().optional().catch(undefined),
  imports: z.unknown().optional(),
  exports: z.unknown().optional(),
  bin: z.unknown().optional(),
  scripts: z.record(z.string(), z.unknown()).default({}).catch({}),
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
    if (path.includes('*')) return project.files.find((file) => fits(file, path) && isCode(file) && !sources.has(file));
    const found = candidates(path).find((candidate) => files.has(candidate));
    return found !== undefined && isCode(found) && !sources.has(found) ? found : undefined;
  };
  for (const path of entriesOf(await readProjectText(root, 'package.json'))) {
    // What the build makes of the sources is what a built package begins with.
    const outside = path.startsWith('dist/') ? undefined : stray(path);
    if (outside !== undefined) return `package.json names ${outside} ${OUTSIDE}`;
  }
  for (const source of project.sources) {
    for (const [, imported, , text = ''] of (await readProjectText(root, source)).matchAll(PATH_TEXT)) {
      const path = posix.join(posix.dirname(source), unescaped(text).replace(/[?#].*/, ''));
      const outside = imported === undefined && MADE.includes(path.split('/')[0] ?? '') ? undefined : stray(path);
      if (outside !== undefined) return `${source} uses ${outside} ${OUTSIDE}`;
    }
  }
  return undefined;
}

const OUTSIDE = 'which is outside of the code that is measured: move it there';

/** What an import may mean; TypeScript writes the name of the file that it will become. */
const candidates = (path: string): string[] =>
  [
    ...ENDINGS.map((ending) => `${path}${ending}`),
    path.replace(/\.([cm]?)js$/, '.$1ts'),
    path.replace(/\.jsx?$/, '.tsx'),
  ].map((candidate) => posix.normalize(candidate));

/** Whether a pattern of package.json, with one star, may stand for a file. */
function fits(file: string, pattern: string): boolean {
  const [before = '', after = ''] = pattern.split('*');
  return file.startsWith(before) && file.endsWith(after);
}

/** A text of code as it is when it runs, as far as letters are written by number. */
const unescaped = (text: string): string =>
  text.replaceAll(/\\(?:x([0-9a-f]{2})|u([0-9a-f]{4})|u\{([0-9a-f]{1,5})\})/gi, (...[, a, b, c]) =>
    String.fromCodePoint(Number.parseInt(String(a ?? b ?? c), 16)),
  );

/** Where the program begins, and the files that names of the project stand for. */
function entriesOf(text: string): string[] {
  const { main, imports, exports, bin, scripts } = Entries.parse(JSON.parse(text));
  const paths = [...(main === undefined ? [] : [main]), ...textsIn([imports, exports, bin]), ...startWords(scripts)];
  return paths.filter((path) => path !== '').map((path) => posix.normalize(path));
}

/** The words of the start script, and of every script that it runs in turn. */
function startWords(scripts: Readonly<Record<string, unknown>>): string[] {
  const words: string[] = [];
  const names = new Set(['prestart', 'start', 'poststart']);
  for (const name of names) {
    const script = Object.hasOwn(scripts, name) ? scripts[name] : undefined;
    if (typeof script !== 'string') continue;
    words.push(...script.split(/[\s"'`=;&|()]+/));
    if (!RUNS_SCRIPTS.test(script)) continue;
    for (const word of words) if (Object.hasOwn(scripts, word)) names.add(`pre${word}`).add(word).add(`post${word}`);
  }
  return words;
}

/** Any word after one of these may be the name of a script. */
const RUNS_SCRIPTS = /\b(?:npm|yarn|pnpm|npm-run-all|run-[sp])\b|--run\b/;

function textsIn(value: unknown): string[] {
  if (typeof value === 'string') return [value];
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(textsIn) : [];
}
