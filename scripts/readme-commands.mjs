/**
 * Runs the commands that a document shows, so that it cannot promise what does not work. Blocks that open with
 * "```sh ci" are run one by one with bash from the repository's root, and end at the first command that fails;
 * "```sh ci exit=3" expects that exit code.
 *
 *   node scripts/readme-commands.mjs [FILE ...]      (README.md when none is named)
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const files = process.argv.length > 2 ? process.argv.slice(2) : ['README.md'];
const BLOCK = /^```sh ci(?: exit=(\d+))?[ \t]*\n([^]*?)^```[ \t]*$/gm;
const BLOCK_MS = 10 * 60_000;

let failed = 0;
let ran = 0;
for (const file of files) {
  const text = readFileSync(join(root, file), 'utf8');
  for (const block of text.matchAll(BLOCK)) {
    const expected = Number(block[1] ?? 0);
    const line = text.slice(0, block.index).split('\n').length;
    process.stdout.write(`${file}:${line}\n${block[2].replace(/^/gm, '  $ ').replace(/ {2}\$ $/, '')}`);
    const { status, signal } = spawnSync('bash', ['-euo', 'pipefail', '-c', block[2]], {
      cwd: root,
      stdio: ['ignore', 'inherit', 'inherit'],
      timeout: BLOCK_MS,
    });
    ran += 1;
    if (status === expected) continue;
    failed += 1;
    process.stdout.write(`${file}:${line}: ended with ${status ?? signal}, expected ${expected}\n`);
  }
}
process.stdout.write(`${ran} blocks run, ${failed} failed\n`);
// A document without a single marked block shows nothing, and nothing is not a pass.
if (ran === 0 || failed > 0) process.exitCode = 1;
