import { readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { build, transform, version, type BuildFailure } from 'esbuild';
import { AstInput, BundleReport } from '../collectors/code/probe-reports.ts';
import { answer, projectFolder, readInput } from './code-probe-io.ts';

/** Minified size of what a browser loads: the scripts that the pages name (all of them when none does), CSS and HTML. */
const input = readInput(AstInput);
const inputs: { file: string; bytes: number }[] = [];
const problems: { file?: string; line?: number; message: string }[] = [];

const pages = input.markup.filter((file) => /\.html?$/.test(file));
const referenced = new Set<string>();
for (const page of pages) {
  const html = readFileSync(join(projectFolder, page), 'utf8');
  inputs.push({ file: page, bytes: Buffer.byteLength(html.replaceAll(/>\s+</g, '><').trim()) });
  for (const [, source] of html.matchAll(/<script[^>]*\ssrc\s*=\s*["']?([^"'\s>]+)/gi)) {
    if (source === undefined || /^[a-z]+:|^\/\//i.test(source)) {
      problems.push({
        file: page,
        message: `the page loads a script from elsewhere, whose size is unknown: ${source}`,
      });
      continue;
    }
    const path = source.split(/[?#]/)[0] ?? source;
    const candidates = input.files.filter((file) => file.endsWith(`/${path.replace(/^\.?\//, '')}`));
    const beside = normalize(join(dirname(page), path));
    const found = input.files.includes(beside) ? beside : candidates[0];
    if (found === undefined)
      problems.push({ file: page, message: `the page loads ${source}, which is not in the project` });
    else referenced.add(found);
  }
}
const entries = referenced.size > 0 ? [...referenced] : input.files;
try {
  const result = await build({
    absWorkingDir: projectFolder,
    entryPoints: entries.map((file) => join(projectFolder, file)),
    bundle: true,
    minify: true,
    write: false,
    format: 'esm',
    outdir: '/tmp/bundle',
    logLevel: 'silent',
    tsconfigRaw: {},
  });
  result.outputFiles.forEach((output, index) => {
    inputs.push({ file: entries[index] ?? output.path, bytes: output.contents.length });
  });
} catch (err) {
  problems.push(...describe(err));
}
for (const file of input.markup.filter((name) => name.endsWith('.css'))) {
  try {
    const { code } = await transform(readFileSync(join(projectFolder, file), 'utf8'), { loader: 'css', minify: true });
    inputs.push({ file, bytes: Buffer.byteLength(code) });
  } catch (err) {
    problems.push(...describe(err).map((problem) => ({ ...problem, file })));
  }
}
answer(BundleReport, { version, inputs, problems });

function describe(err: unknown): { file?: string; line?: number; message: string }[] {
  if (!isBuildFailure(err)) throw err;
  return err.errors.map(({ text, location }) => ({
    message: text,
    ...(location ? { file: location.file, line: location.line } : {}),
  }));
}
function isBuildFailure(err: unknown): err is BuildFailure {
  return err instanceof Error && 'errors' in err && Array.isArray(err.errors);
}
