import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';
import { onTestFinished } from 'vitest';
import { PACKAGE_ROOT } from '../../src/shared/package-root.ts';

/**
 * Runs TypeScript in a process of its own, for what only a process can show: being killed, or being two.
 * Imports are relative to this folder. Resolves when the program has printed its first line, with that line.
 */
export async function childModule(source: string): Promise<{ child: ChildProcess; pid: number; line: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'maestro-child-'));
  const outfile = join(folder, 'program.cjs');
  await build({
    stdin: { contents: source, resolveDir: import.meta.dirname, loader: 'ts' },
    bundle: true,
    platform: 'node',
    target: 'node20',
    define: { 'import.meta.url': JSON.stringify(`file://${PACKAGE_ROOT}/src/shared/bundled.js`) },
    outfile,
    logLevel: 'silent',
  });
  const child = spawn(process.execPath, [outfile], {
    stdio: ['ignore', 'pipe', 'inherit'],
    detached: true,
    // Some packages look for files of their own.
    env: { ...process.env, NODE_PATH: `${PACKAGE_ROOT}/node_modules` },
  });
  const ended = new Promise<void>((done) => child.once('exit', () => done()));
  onTestFinished(async () => {
    child.kill('SIGKILL');
    await ended;
    await rm(folder, { recursive: true, force: true });
  });
  const line = await new Promise<string>((resolve, reject) => {
    let text = '';
    child.stdout.on('data', (chunk) => {
      text += String(chunk);
      if (text.includes('\n')) resolve(text.slice(0, text.indexOf('\n')));
    });
    child.once('exit', (code) => reject(new Error(`the program ended with ${code} before it printed a line`)));
  });
  return { child, pid: child.pid ?? 0, line };
}
