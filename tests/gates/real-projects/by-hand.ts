import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { XMLParser } from 'fast-xml-parser';
import { z } from 'zod';
import { packagePath } from '../../../src/shared/package-root.ts';

/** The tools that the code collectors build on, each run as a person runs it: its own command, its own report. */

const tool = (name: string): string => packagePath('node_modules', '.bin', name);

export interface Ran {
  exitCode: number;
  stdout: string;
  stderr: string;
}

/** Runs a command to its end; that it fails is an answer. */
export function run(
  [program = '', ...args]: readonly string[],
  cwd: string,
  extra: Record<string, string> = {},
): Promise<Ran> {
  // Only what programs need: nothing of a test runner around this may change what they do.
  const env = { PATH: process.env['PATH'], HOME: process.env['HOME'], CI: '1', NO_COLOR: '1', ...extra };
  return new Promise((resolve) => {
    execFile(program, args, { cwd, env, maxBuffer: 2 ** 28 }, (err, stdout, stderr) => {
      const code = err === null ? 0 : err.code;
      resolve({ exitCode: typeof code === 'number' ? code : 1, stdout, stderr });
    });
  });
}

export async function inTemporary<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'by-hand-'));
  try {
    return await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

export interface Outcomes {
  tests: number;
  passed: number;
  failed: number;
  skipped: number;
}

interface XmlNode {
  [key: string]: unknown;
}
const isNode = (value: unknown): value is XmlNode => typeof value === 'object' && value !== null;

/** Every test case of a JUnit report, however deep its suites lie. */
function casesIn(value: unknown): XmlNode[] {
  if (Array.isArray(value)) return value.flatMap(casesIn);
  if (!isNode(value)) return [];
  return Object.entries(value).flatMap(([name, child]) =>
    name === 'testcase' ? (Array.isArray(child) ? child : [child]).filter(isNode) : casesIn(child),
  );
}

export function outcomesOf(junit: string): Outcomes {
  const cases = casesIn(new XMLParser({ ignoreAttributes: false }).parse(junit));
  const failed = cases.filter((each) => 'failure' in each || 'error' in each).length;
  const skipped = cases.filter((each) => 'skipped' in each).length;
  return { tests: cases.length, failed, skipped, passed: cases.length - failed - skipped };
}

/** `node --test` with its JUnit reporter. */
export async function nodeTests(root: string, files: readonly string[]): Promise<Outcomes> {
  return outcomesOf((await run(['node', '--test', '--test-reporter=junit', ...files], root)).stdout);
}

const Total = z.object({ total: z.object({ lines: z.object({ total: z.number(), covered: z.number() }) }) });

/** `c8 --all node --test`, by its summary. */
export async function nodeCoverage(
  root: string,
  sources: readonly string[],
  files: readonly string[],
): Promise<{ lines: number; covered: number }> {
  return inTemporary(async (folder) => {
    const included = sources.flatMap((source) => ['--include', source]);
    const reports = ['--reporter', 'json-summary', '--reports-dir', folder, '--temp-directory', join(folder, 'raw')];
    await run([tool('c8'), '--all', ...included, ...reports, 'node', '--test', ...files], root);
    const { total } = Total.parse(JSON.parse(await readFile(join(folder, 'coverage-summary.json'), 'utf8')));
    return { lines: total.lines.total, covered: total.lines.covered };
  });
}

const EslintFiles = z.array(
  z.object({
    messages: z.array(z.object({ ruleId: z.string().nullable(), severity: z.number(), message: z.string() })),
  }),
);

/** The eslint command with the shipped settings. */
export async function eslint(
  root: string,
  paths: readonly string[],
): Promise<{ errors: number; warnings: number; security: number; complexity: number; functions: number }> {
  return inTemporary(async (folder) => {
    const { SECURITY, COMPLEXITY_RULE } = await lintSettings();
    const config = join(folder, 'eslint.config.mjs');
    await writeFile(
      config,
      `export { config as default } from '${packagePath('config', 'lint', 'eslint.config.mjs')}';\n`,
    );
    const argv = [tool('eslint'), '-c', config, '--no-inline-config', '--no-ignore', '--format', 'json', ...paths];
    const { stdout } = await run(argv, root);
    const messages = EslintFiles.parse(JSON.parse(stdout)).flatMap((file) => file.messages);
    const complexities = messages.filter(({ ruleId }) => ruleId === COMPLEXITY_RULE);
    const security = messages.filter(({ ruleId }) => SECURITY.includes(ruleId ?? ''));
    const own = messages.filter((each) => !complexities.includes(each) && !security.includes(each));
    return {
      errors: own.filter(({ severity }) => severity === 2).length,
      warnings: own.filter(({ severity }) => severity === 1).length,
      security: security.length,
      complexity: Math.max(
        0,
        ...complexities.map(({ message }) => Number(/complexity of (\d+)/.exec(message)?.[1] ?? 0)),
      ),
      functions: complexities.length,
    };
  });
}

const lintSettings = async (): Promise<{ SECURITY: string[]; COMPLEXITY_RULE: string }> =>
  z
    .object({ SECURITY: z.array(z.string()), COMPLEXITY_RULE: z.string() })
    .parse(await import(packagePath('config', 'lint', 'eslint.config.mjs')));

const Clones = z.object({ duplicates: z.array(z.unknown()) });

/** The jscpd command: how many pairs of copies it finds. */
export async function copies(root: string, paths: readonly string[]): Promise<number> {
  return inTemporary(async (folder) => {
    const limits = ['--min-lines', '5', '--min-tokens', '50', '--max-size', '16mb', '--max-lines', '1000000'];
    await run([tool('jscpd'), ...limits, '--silent', '--reporters', 'json', '--output', folder, ...paths], root);
    return Clones.parse(JSON.parse(await readFile(join(folder, 'jscpd-report.json'), 'utf8'))).duplicates.length;
  });
}

/**
 * Functions and classes in the declarations that tsc writes for the exports, and how many have a doc comment.
 * `undeclared`: files for which it can write none.
 */
export async function declared(
  root: string,
  files: readonly string[],
): Promise<{ exported: number; documented: number; undeclared: string[] }> {
  return inTemporary(async (folder) => {
    const flags = ['--allowJs', '--declaration', '--emitDeclarationOnly', '--skipLibCheck', '--target', 'es2023'];
    const modules = ['--module', 'nodenext', '--ignoreConfig', '--rootDir', root, '--outDir', folder];
    const types = ['--types', 'node', '--typeRoots', packagePath('node_modules', '@types')];
    await run([tool('tsc'), ...flags, ...modules, ...types, ...files.map((file) => join(root, file))], root);
    const written = files.map((file) => join(folder, file.replace(/\.([cm]?)[jt]sx?$/, '.d.$1ts')));
    const texts = await Promise.all(written.map(async (path) => (existsSync(path) ? readFile(path, 'utf8') : '')));
    const found = texts.flatMap((text) => [
      ...text.matchAll(/(\*\/\s*)?^\s*(?:export |declare |default |abstract )*(?:function|class) (\w+)/gm),
    ]);
    return {
      exported: found.length,
      documented: found.filter(([, comment]) => comment !== undefined).length,
      undeclared: files.filter((_, index) => !existsSync(written[index] ?? '')),
    };
  });
}
