/**
 * Builds the run viewer: `node bin/build-web.mjs FOLDER`. One script, one style sheet and the worker that lays graphs
 * out, with every library in them, so that a browser needs nothing from anywhere else.
 */
import { copyFileSync, mkdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const WEB = join(dirname(fileURLToPath(import.meta.url)), '..', 'web');

export async function buildWeb(folder) {
  mkdirSync(folder, { recursive: true });
  await build({
    entryPoints: [
      { in: join(WEB, 'main.tsx'), out: 'viewer' },
      { in: join(WEB, 'viewer.css'), out: 'viewer' },
    ],
    outdir: folder,
    bundle: true,
    format: 'esm',
    // Pages that are seldom opened, and what they need, are loaded when they are.
    splitting: true,
    chunkNames: 'part-[hash]',
    minify: true,
    target: 'es2022',
    jsx: 'automatic',
    jsxImportSource: 'preact',
    tsconfigRaw: { compilerOptions: { strict: true } },
    legalComments: 'linked',
    sourcemap: 'linked',
    logLevel: 'error',
  });
  copyFileSync(join(WEB, 'index.html'), join(folder, 'index.html'));
  // It is a worker script of its own already, and starts itself in one.
  copyFileSync(createRequire(import.meta.url).resolve('elkjs/lib/elk-worker.min.js'), join(folder, 'elk-worker.js'));
}

const isEntry = process.argv[1] !== undefined && resolve(process.argv[1]) === fileURLToPath(import.meta.url);
if (isEntry) await buildWeb(resolve(process.argv[2] ?? join('dist', 'web')));
