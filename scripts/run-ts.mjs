#!/usr/bin/env node
// Runs a TypeScript program of the repository, which is no part of the built package: node scripts/run-ts.mjs FILE ARGS
import { spawn } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const [file = '', ...args] = process.argv.slice(2);
const folder = join(root, 'node_modules', '.cache', 'maestro-fleet');
const outfile = join(folder, `${basename(file, '.ts')}-${process.pid}.mjs`);
mkdirSync(folder, { recursive: true });
await build({
  entryPoints: [resolve(file)],
  bundle: true,
  packages: 'external',
  platform: 'node',
  format: 'esm',
  target: 'node20',
  define: { 'import.meta.url': JSON.stringify(pathToFileURL(join(root, 'src', 'shared', 'bundled.js')).href) },
  sourcemap: 'inline',
  outfile,
  logLevel: 'error',
});
const child = spawn(process.execPath, ['--enable-source-maps', ...process.execArgv, outfile, ...args], { stdio: 'inherit' });
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));
child.on('exit', (code) => {
  rmSync(outfile, { force: true });
  process.exitCode = code ?? 1;
});
