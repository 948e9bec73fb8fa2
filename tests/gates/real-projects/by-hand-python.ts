import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { type Outcomes, inTemporary, outcomesOf, run } from './by-hand.ts';

/** The Python tools, each run as a person runs it: `python3 -m TOOL`. */
export interface Python {
  /** The folder that the tools are imported from. */
  packages: string;
}

const python = (tools: Python, args: readonly string[], cwd: string): ReturnType<typeof run> =>
  run(['/usr/bin/python3', ...args], cwd, { PYTHONPATH: `${tools.packages}:.`, PYTHONDONTWRITEBYTECODE: '1' });

const PLAIN = ['-p', 'no:cacheprovider', '-c', '/dev/null', '--rootdir', '.'];

/** `python3 -m pytest`, by its JUnit report. */
export const pytest = (tools: Python, root: string, paths: readonly string[]): Promise<Outcomes> =>
  inTemporary(async (folder) => {
    const report = join(folder, 'junit.xml');
    await python(tools, ['-m', 'pytest', ...PLAIN, `--junitxml=${report}`, ...paths], root);
    return outcomesOf(await readFile(report, 'utf8'));
  });

const Totals = z.object({
  files: z.record(
    z.string(),
    z.object({ summary: z.object({ num_statements: z.number(), covered_lines: z.number() }) }),
  ),
});

/** `python3 -m coverage run -m pytest`, then `coverage json`, with no line left out by a comment. */
export const coverage = (
  tools: Python,
  root: string,
  sources: readonly string[],
  paths: readonly string[],
): Promise<{ lines: number; covered: number }> =>
  inTemporary(async (folder) => {
    const rc = join(folder, 'coveragerc');
    await writeFile(
      rc,
      `[run]\ndata_file = ${join(folder, 'data')}\n[report]\nexclude_lines =\n    ^never there$\nomit =\n    */tests/*\n`,
    );
    await python(
      tools,
      ['-m', 'coverage', 'run', `--rcfile=${rc}`, `--source=${sources.join(',')}`, '-m', 'pytest', ...PLAIN, ...paths],
      root,
    );
    await python(tools, ['-m', 'coverage', 'json', `--rcfile=${rc}`, '-o', join(folder, 'coverage.json')], root);
    const { files } = Totals.parse(JSON.parse(await readFile(join(folder, 'coverage.json'), 'utf8')));
    const sums = Object.values(files).map(({ summary }) => summary);
    return {
      lines: sums.reduce((sum, each) => sum + each.num_statements, 0),
      covered: sums.reduce((sum, each) => sum + each.covered_lines, 0),
    };
  });

const linesOf = (text: string): string[] => text.split('\n').filter((line) => line.trim() !== '');

/** `python3 -m pyflakes`: how many messages it prints, what `__init__.py` only hands on aside. */
export async function pyflakes(tools: Python, root: string, files: readonly string[]): Promise<number> {
  const { stdout } = await python(tools, ['-m', 'pyflakes', ...files], root);
  return linesOf(stdout).filter((line) => !/__init__\.py:.* imported but unused$/.test(line)).length;
}

/** `python3 -m radon cc`: the highest complexity, and of how many functions and methods. */
export async function complexity(
  tools: Python,
  root: string,
  files: readonly string[],
): Promise<{ most: number; functions: number }> {
  const { stdout } = await python(tools, ['-m', 'radon', 'cc', '--json', ...files], root);
  const Block = z.object({ type: z.string(), complexity: z.number() });
  const blocks = Object.values(z.record(z.string(), z.array(Block)).parse(JSON.parse(stdout))).flat();
  const functions = blocks.filter(({ type }) => type !== 'class');
  return { most: Math.max(...functions.map((each) => each.complexity)), functions: functions.length };
}

/** `python3 -m radon raw`: lines that are neither blank, comment nor docstring. */
export async function codeLines(tools: Python, root: string, files: readonly string[]): Promise<number> {
  const { stdout } = await python(tools, ['-m', 'radon', 'raw', '--json', ...files], root);
  const Raw = z.object({ sloc: z.number() });
  return Object.values(z.record(z.string(), Raw).parse(JSON.parse(stdout))).reduce((sum, each) => sum + each.sloc, 0);
}

/** `python3 -m bandit`: findings of medium or high severity whose confidence is not low. */
export async function bandit(tools: Python, root: string, files: readonly string[]): Promise<number> {
  const { stdout } = await python(tools, ['-m', 'bandit', '-q', '--ignore-nosec', '-f', 'json', ...files], root);
  const Found = z.object({ results: z.array(z.object({ issue_severity: z.string(), issue_confidence: z.string() })) });
  const { results } = Found.parse(JSON.parse(stdout));
  return results.filter((each) => each.issue_severity !== 'LOW' && each.issue_confidence !== 'LOW').length;
}

/** `python3 -m mypy` with the shipped settings: how many errors it prints. */
export async function mypy(tools: Python, root: string, config: string, files: readonly string[]): Promise<number> {
  const args = ['-m', 'mypy', '--config-file', config, '--cache-dir', '/dev/null', '--', ...files];
  const { stdout } = await python(tools, args, root);
  return linesOf(stdout).filter((line) => /: error: /.test(line)).length;
}
