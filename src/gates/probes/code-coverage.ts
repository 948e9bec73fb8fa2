import { lstatSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { Report } from 'c8';
import { z } from 'zod';
import { CoverageInput, CoverageReport } from '../collectors/code/probe-reports.ts';
import { answer, projectFolder, readInput } from './code-probe-io.ts';
import { isTypeScript, transpile } from './code-transpile.ts';

/**
 * Makes the coverage report from V8's raw records, after every test process is gone and with the records mounted
 * read-only. The raw records were written by the test processes and so are hostile: special files, records of other
 * shape, and records that do not fit the file they speak of are named in the answer. Source maps in them are dropped.
 */
const MAX_RAW_BYTES = 64 * 1024 ** 2;
const Raw = z.object({
  result: z.array(
    z.object({
      scriptId: z.string(),
      url: z.string(),
      functions: z.array(
        z.object({
          functionName: z.string(),
          isBlockCoverage: z.boolean(),
          ranges: z.array(
            z.object({ startOffset: z.number().int(), endOffset: z.number().int(), count: z.number().int() }),
          ),
        }),
      ),
    }),
  ),
});
type Script = z.infer<typeof Raw>['result'][number];

const rawFolder = process.argv[5] ?? '/raw';
const input = readInput(CoverageInput);
const sources = new Set(input.sources);
const work = mkdtempSync(join(tmpdir(), 'coverage-'));
const kept = join(work, 'kept');
const reports = join(work, 'reports');
mkdirSync(kept);
mkdirSync(reports);
const tree = join(work, 'tree');
const lengths = new Map<string, number>();
for (const file of input.sources) plant(file);
const implausible: string[] = [];
const loaded = new Set<string>();
let rawFiles = 0;

/** V8 always gives the whole script as its first range, and no range outside it. */
function isPlausible(script: Script, length: number): boolean {
  const whole = script.functions[0]?.ranges[0];
  return (
    whole?.startOffset === 0 &&
    whole.endOffset === length &&
    script.functions.every(({ ranges }) =>
      ranges.every(
        ({ startOffset, endOffset, count }) =>
          startOffset >= 0 && startOffset <= endOffset && endOffset <= length && count >= 0,
      ),
    )
  );
}

for (const name of readdirSync(rawFolder)) {
  const path = join(rawFolder, name);
  const stat = lstatSync(path);
  if (!stat.isFile() || stat.size > MAX_RAW_BYTES || !/^coverage-\d+-\d+-\d+\.json$/.test(name)) {
    implausible.push(`${name} is not a record that Node writes`);
    continue;
  }
  const parsed = Raw.safeParse(parse(readFileSync(path, 'utf8')));
  if (!parsed.success) {
    implausible.push(`${name} is cut off or of another shape`);
    continue;
  }
  rawFiles += 1;
  const result: Script[] = [];
  for (const script of parsed.data.result) {
    if (!script.url.startsWith('file://')) continue;
    const file = relative(input.ranIn, fileURLToPath(script.url));
    if (!sources.has(file)) continue;
    if (!isPlausible(script, lengths.get(file) ?? 0)) {
      implausible.push(`${name} does not fit ${file}`);
      continue;
    }
    loaded.add(file);
    result.push({ ...script, url: pathToFileURL(join(tree, file)).href });
  }
  writeFileSync(join(kept, `coverage-${rawFiles}.json`), JSON.stringify({ result }));
}

process.chdir(tree);
await new Report({
  all: true,
  src: [tree],
  include: input.sources.map((file) => file.replaceAll(/[[\]{}()*?!+@\\]/g, '?')),
  exclude: [],
  extension: ['.js', '.mjs', '.cjs', '.jsx', '.ts', '.mts', '.cts', '.tsx'],
  reporter: ['lcovonly'],
  reportsDirectory: reports,
  tempDirectory: kept,
  resolve: '',
}).run();

const lcov = readFileSync(join(reports, 'lcov.info'), 'utf8');
answer(CoverageReport, { rawFiles, implausible, loaded: [...loaded].toSorted(), summary: summarise(lcov), lcov });

/** Puts what Node ran where c8 looks for it: JavaScript as it is, TypeScript as transpiled, with its map. */
function plant(file: string): void {
  const text = readFileSync(join(projectFolder, file), 'utf8');
  const path = join(tree, file);
  mkdirSync(dirname(path), { recursive: true });
  if (!isTypeScript(file)) {
    lengths.set(file, text.length);
    writeFileSync(path, text);
    return;
  }
  const { code, map } = transpile(path, text);
  lengths.set(file, code.length);
  const url = `data:application/json;base64,${Buffer.from(map).toString('base64')}`;
  writeFileSync(path, `${code}//# sourceMappingURL=${url}\n`);
}

function summarise(text: string): CoverageReport['summary'] {
  const summary: CoverageReport['summary'] = {};
  for (const record of text.split('end_of_record')) {
    const file = /^SF:(.+)$/m.exec(record)?.[1];
    if (file === undefined) continue;
    const counts = [...record.matchAll(/^DA:(\d+),(\d+)/gm)].map(([, line, count]) => ({
      line: Number(line),
      count: Number(count),
    }));
    summary[file.split('\\').join('/')] = {
      lines: counts.length,
      covered: counts.filter(({ count }) => count > 0).length,
      uncovered: counts.filter(({ count }) => count === 0).map(({ line }) => line),
    };
  }
  return summary;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Reported by the caller as a record that is cut off.
    return undefined;
  }
}
