/**
 * `npm run build`: checks every module's syntax and relative imports, copies the product into `dist/` and writes
 * `dist/manifest.json` with the size and SHA-256 of every file, so that a deployment can be compared with its build.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { access, cp, mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';

const root = path.resolve(import.meta.dirname, '..');
const target = path.join(root, 'dist');
const PARTS = ['src', 'db', 'migrations', 'package.json'];
const IMPORT = /(?:import|export)\s[^;]*?from\s+'(\.[^']+)'/g;

/** @param {string} folder */
async function filesIn(folder) {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => path.join(entry.parentPath, entry.name)).sort();
}

/** @param {string} file */
async function checkModule(file) {
  await promisify(execFile)(process.execPath, ['--check', file]);
  for (const [, specifier = ''] of (await readFile(file, 'utf8')).matchAll(IMPORT)) {
    await access(path.resolve(path.dirname(file), specifier)).catch(() => {
      throw new Error(`${path.relative(root, file)} imports ${specifier}, which does not exist.`);
    });
  }
}

await rm(target, { recursive: true, force: true });
await mkdir(target, { recursive: true });
for (const part of PARTS) await cp(path.join(root, part), path.join(target, part), { recursive: true });

const files = await filesIn(target);
await Promise.all(files.filter((file) => file.endsWith('.js')).map(checkModule));

const manifest = await Promise.all(
  files.map(async (file) => {
    const content = await readFile(file);
    const sha256 = createHash('sha256').update(content).digest('hex');
    return { file: path.relative(target, file), bytes: content.byteLength, sha256 };
  }),
);
await writeFile(path.join(target, 'manifest.json'), `${JSON.stringify({ files: manifest }, null, 2)}\n`);
process.stdout.write(`Built ${manifest.length} files into dist/\n`);
