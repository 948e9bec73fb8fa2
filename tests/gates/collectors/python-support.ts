import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll } from 'vitest';
import { unpackDebianPackages } from '../../../src/shared/debian-packages.ts';
import { readConfig } from '../../../src/shared/config.ts';
import { silentLogger } from '../../../src/shared/logger.ts';
import { packagePath } from '../../../src/shared/package-root.ts';

const GOOD = packagePath('tests', 'fixtures', 'python-good');
const made: string[] = [];
afterAll(async () => {
  await Promise.all(made.map((folder) => rm(folder, { recursive: true, force: true })));
});

/** The good Python project with files put in (a text) or taken out (null). */
export async function pythonProject(changes: Record<string, string | null> = {}): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), 'python-project-'));
  made.push(root);
  await cp(GOOD, root, { recursive: true });
  for (const [path, text] of Object.entries(changes)) {
    await rm(join(root, path), { recursive: true, force: true });
    if (text === null) continue;
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), text);
  }
  return root;
}

const PACKAGES = [
  'python3',
  'python3-pytest',
  'python3-pytest-cov',
  'python3-coverage',
  'python3-bandit',
  'mypy',
  'radon',
];

/** A Python tool as a person runs it, in the folder itself, with the tool's own command line. */
export async function byHand(root: string, args: readonly string[]): Promise<{ code: number; stdout: string }> {
  const { cache } = readConfig(process.env, packagePath());
  const tree = await unpackDebianPackages({ packages: PACKAGES, cache, logger: silentLogger() });
  const path = [join(tree, 'usr', 'lib', 'python3', 'dist-packages'), join(root, 'src')].join(':');
  const env = { PATH: '/usr/bin:/bin', HOME: root, PYTHONPATH: path, PYTHONDONTWRITEBYTECODE: '1' };
  return new Promise((done, reject) => {
    execFile('/usr/bin/python3', [...args], { cwd: root, env }, (err, stdout) => {
      if (err && typeof err.code !== 'number') reject(err);
      else done({ code: typeof err?.code === 'number' ? err.code : 0, stdout });
    });
  });
}
