import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll } from 'vitest';
import { packagePath } from '../../src/shared/package-root.ts';

let built: Promise<string> | undefined;

/** The run viewer as it is in `web/` now, built once for a test file: `dist` may be of an older source. */
export const builtViewer = (): Promise<string> => (built ??= build());

async function build(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'maestro-web-'));
  await promisify(execFile)(process.execPath, [packagePath('bin', 'build-web.mjs'), folder]);
  return folder;
}

afterAll(async () => {
  if (built !== undefined) await rm(await built, { recursive: true, force: true });
});
