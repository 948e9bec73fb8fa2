import { posix } from 'node:path';
import { z } from 'zod';
import { SKIPPED_AT_TOP, isCode, readProjectText } from './project-files.ts';
import { type ReadFile, startedBy } from './start-commands.ts';

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

interface UnmeasuredUse {
  /** What makes the project not evaluable: one line. */
  refused: string | undefined;
  /** Files that load code by a name which is made when they run: what that is cannot be read. */
  undecided: string[];
}

const refuse = (refused: string): UnmeasuredUse => ({ refused, undecided: [] });

/**
 * What the code runs and nothing measures. Code that is measured may not lean on code that is not, nor may the program
 * begin there: it would have no coverage, no findings and no size.
 */
export async function unmeasuredUse(root: string, project: Project): Promise<UnmeasuredUse> {
  const [files, sources] = [new Set(project.files), new Set(project.sources)];
  const stray = (path: string): string | undefined => {
    const top = path.split('/')[0] ?? '';
    if (SKIPPED_AT_TOP.has(top)) return isCode(path) ? path : undefined;
    if (path.includes('*')) return project.files.find((file) => fits(file, path) && isCode(file) && !sources.has(file));
    const found = candidates(path).find((candidate) => files.has(candidate));
    return found !== undefined && isCode(found) && !sources.has(found) ? found : undefined;
  };
  const manifest = Entries.parse(JSON.parse(await readProjectText(root, 'package.json')));
  const readFile: ReadFile = async (path) => (files.has(path) ? readProjectText(root, path) : undefined);
  const started = await startedBy(manifest.scripts, readFile);
  for (const path of [...entriesOf(manifest), ...started.paths]) {
    // What the build makes of the sources is what a built package begins with.
    const outside = path.startsWith('dist/') ? undefined : stray(path);
    if (outside !== undefined) return refuse(`package.json names ${outside} ${OUTSIDE}`);
  }
  if (started.undecided !== undefined) return refuse(started.undecided);
  const undecided: string[] = [];
  for (const source of project.sources) {
    const code = await readProjectText(root, source);
    for (const { 0: whole, 1: imported, 3: text = '', index } of code.matchAll(PATH_TEXT)) {
      const isMade = imported !== undefined && (text.includes('${') || /^\s*\+/.test(code.slice(index + whole.length)));
      const named = isMade ? patternOf(text) : unescaped(text).replace(/[?#].*/, '');
      const path = posix.join(posix.dirname(source), named);
      const outside = imported === undefined && MADE.includes(path.split('/')[0] ?? '') ? undefined : stray(path);
      if (outside !== undefined) return refuse(`${source} uses ${outside} ${OUTSIDE}`);
    }
    if (LOADS_BY_NAME.test(code)) undecided.push(source);
  }
  return { refused: undefined, undecided };
}

/** An import of something that is no text; comments may stand before it. */
const LOADS_BY_NAME = /\b(?:import|require)\s*\((?:\s|\/\*[^]*?\*\/)*(?!['"`)\s/])/;

/** What a path may be that is put together when the code runs: its beginning, and its end where it has one. */
function patternOf(text: string): string {
  const [before = ''] = text.split('${');
  return `${before}*${text.includes('${') ? text.slice(text.lastIndexOf('}') + 1) : ''}`;
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
function entriesOf({ main, imports, exports, bin }: z.infer<typeof Entries>): string[] {
  const paths = [...(main === undefined ? [] : [main]), ...textsIn([imports, exports, bin])];
  return paths.filter((path) => path !== '').map((path) => posix.normalize(path));
}

function textsIn(value: unknown): string[] {
  if (typeof value === 'string') return [value];
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(textsIn) : [];
}
