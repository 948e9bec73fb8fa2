import { execFile } from 'node:child_process';
import { access, appendFile, chmod, cp, mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { packagePath } from '../../src/shared/package-root.ts';
import { tempFolder } from '../support/temp-folder.ts';

/** Stands in for the compiler, which would have to be downloaded: copies `src`, and fails on the word BROKEN. */
const COMPILER = `
const { appendFileSync, cpSync, mkdirSync, readFileSync } = require('node:fs');
appendFileSync('builds.log', 'built ');
if (readFileSync('src/cli/main.js', 'utf8').includes('BROKEN')) {
  console.log('src/cli/main.js(1,1): error TS1: broken');
  process.exit(2);
}
const out = process.argv[process.argv.indexOf('--outDir') + 1];
mkdirSync(out, { recursive: true });
cpSync('src', out, { recursive: true });
`;
/** Stands in for the bundler of the pages, likewise. */
const BUNDLER = `
import { cpSync } from 'node:fs';
cpSync('web', process.argv[2], { recursive: true });
`;
const MAIN = `export const main = async (argv) => { console.log(JSON.stringify(argv)); return argv.length; };`;

const lockFile = (version: string) => ({
  name: 'tiny',
  version: '1.0.0',
  lockfileVersion: 3,
  packages: {
    '': { name: 'tiny', version: '1.0.0', dependencies: { typescript: 'file:vendor/typescript' } },
    'node_modules/typescript': { resolved: 'vendor/typescript', link: true },
    'vendor/typescript': { name: 'typescript', version },
  },
});

/** A clone of a tiny project with the real `bin`. */
async function clone(): Promise<string> {
  const root = await tempFolder();
  const write = async (path: string, content: unknown) => {
    await mkdir(join(root, path, '..'), { recursive: true });
    await writeFile(join(root, path), typeof content === 'string' ? content : JSON.stringify(content));
  };
  await cp(packagePath('bin'), join(root, 'bin'), { recursive: true });
  const dependencies = { typescript: 'file:vendor/typescript' };
  await write('package.json', { name: 'tiny', version: '1.0.0', type: 'module', dependencies });
  await write('package-lock.json', lockFile('1.0.0'));
  await write('tsconfig.build.json', {});
  await write('src/cli/main.js', MAIN);
  await write('web/page.js', '');
  await write('bin/build-web.mjs', BUNDLER);
  await write('vendor/typescript/package.json', { name: 'typescript', version: '1.0.0' });
  await write('vendor/typescript/bin/tsc', COMPILER);
  return root;
}

interface Outcome {
  status: number;
  stdout: string;
  stderr: string;
}

const maestro = (root: string, ...args: string[]) =>
  new Promise<Outcome>((resolve) => {
    execFile(join(root, 'bin', 'maestro'), args, { cwd: root }, (err, stdout, stderr) =>
      resolve({ status: err === null ? 0 : Number(err.code), stdout, stderr }),
    );
  });

const builds = async (root: string): Promise<number> =>
  (await readFile(join(root, 'builds.log'), 'utf8')).trim().split(' ').length;

test('a fresh clone installs, builds and runs, and only the command itself writes to stdout', async () => {
  const root = await clone();
  const first = await maestro(root, 'status', '--json');
  expect(first).toMatchObject({ status: 2, stdout: '["status","--json"]\n' });
  expect(first.stderr).toMatch(/installing dependencies[^]*building[^]*built in/);
  expect(await maestro(root)).toEqual({ status: 0, stdout: '[]\n', stderr: '' });
  expect(await builds(root)).toBe(1);
});

test('changed sources are built again, and what was deleted is gone from the build', async () => {
  const root = await clone();
  await writeFile(join(root, 'src', 'old.js'), '');
  await maestro(root);
  await rm(join(root, 'src', 'old.js'));
  await appendFile(join(root, 'src', 'cli', 'main.js'), '\nconsole.log("new");');
  const second = await maestro(root);
  expect(second.stdout).toBe('new\n[]\n');
  expect(second.stderr).not.toContain('installing');
  expect(await readdir(join(root, 'dist'))).toEqual(['.maestro-build', 'cli', 'web']);
});

test('a changed lock file is installed again', async () => {
  const root = await clone();
  await maestro(root);
  await writeFile(join(root, 'package-lock.json'), JSON.stringify(lockFile('1.0.1')));
  await writeFile(join(root, 'vendor', 'typescript', 'package.json'), '{"name":"typescript","version":"1.0.1"}');
  expect((await maestro(root)).stderr).toContain('installing dependencies');
  expect((await maestro(root)).stderr).toBe('');
});

test('what was installed by hand from the same lock file is not installed again', async () => {
  const root = await clone();
  await new Promise((done) => execFile('npm', ['ci'], { cwd: root }, done));
  expect((await maestro(root)).stderr).not.toContain('installing');
});

test('a build that fails shows what the compiler said and ends with 1, whatever was built before', async () => {
  const root = await clone();
  await maestro(root);
  await appendFile(join(root, 'src', 'cli', 'main.js'), '// BROKEN');
  const broken = await maestro(root);
  expect(broken).toMatchObject({ status: 1, stdout: '' });
  expect(broken.stderr).toMatch(/error TS1: broken[^]*maestro: the build failed \(exit 2\)/);
  expect((await readdir(root)).filter((name) => name.startsWith('.dist'))).toEqual([]);
});

test('an install that fails shows what npm said and ends with 1', async () => {
  const root = await clone();
  const dependencies = { typescript: 'file:vendor/other' };
  await writeFile(join(root, 'package.json'), JSON.stringify({ name: 'tiny', version: '1.0.0', dependencies }));
  const failed = await maestro(root);
  expect(failed).toMatchObject({ status: 1, stdout: '' });
  expect(failed.stderr).toMatch(/npm error[^]*maestro: npm ci failed \(exit 1\)/);
});

test('commands that start at once in a fresh clone all run, after one installation and one build', async () => {
  const root = await clone();
  const outcomes = await Promise.all([maestro(root), maestro(root), maestro(root)]);
  expect(outcomes.map(({ status, stdout }) => [status, stdout])).toEqual(outcomes.map(() => [0, '[]\n']));
  expect(outcomes.filter(({ stderr }) => stderr.includes('installing'))).toHaveLength(1);
  expect(await builds(root)).toBe(1);
});

test.each(['4194303 1', `${process.pid} 1`])('a lock that a killed setup left (%s) holds nobody up', async (owner) => {
  const root = await clone();
  await mkdir(join(root, '.maestro', 'setup.lock'), { recursive: true });
  await writeFile(join(root, '.maestro', 'setup.lock', 'owner'), owner);
  expect(await maestro(root)).toMatchObject({ status: 0, stdout: '[]\n' });
  await expect(access(join(root, '.maestro', 'setup.lock'))).rejects.toThrow('ENOENT');
});

test('installed as a dependency, nothing is set up', async () => {
  const root = await clone();
  await rm(join(root, 'package-lock.json'));
  await cp(join(root, 'src'), join(root, 'dist'), { recursive: true });
  await rm(join(root, 'src'), { recursive: true });
  await chmod(root, 0o555);
  expect(await maestro(root)).toEqual({ status: 0, stdout: '[]\n', stderr: '' });
});

test('the lock file names the packages of every platform, without which npm ci refuses it', async () => {
  const Lock = z.object({
    packages: z.record(
      z.string(),
      z.looseObject({ optionalDependencies: z.record(z.string(), z.string()).optional() }),
    ),
  });
  const { packages } = Lock.parse(JSON.parse(await readFile(packagePath('package-lock.json'), 'utf8')));
  const missing = Object.entries(packages).flatMap(([parent, { optionalDependencies = {} }]) =>
    Object.keys(optionalDependencies).filter(
      (name) =>
        packages[`${parent}/node_modules/${name}`] === undefined && packages[`node_modules/${name}`] === undefined,
    ),
  );
  expect(missing, 'run node scripts/complete-lock.mjs').toEqual([]);
});
