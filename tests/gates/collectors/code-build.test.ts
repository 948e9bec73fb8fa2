import { readFile, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { measure, project } from './code-support.ts';

const manifest = (fields: object): string => JSON.stringify({ name: 'x', type: 'module', ...fields });

describe('the build collector', () => {
  test('runs the declared build and the type check', async () => {
    const run = await measure('build', await project());
    expect(run.of('build_success_rate')).toEqual({ value: 1, examined: 2 });
    expect(run.evidence.map(({ tool, report }) => ({ tool, report }))).toEqual([
      { tool: 'npm', report: 'build.log' },
      { tool: 'tsc', report: 'types.json' },
    ]);
    expect(await readFile(join(run.outDir, 'build.log'), 'utf8')).toContain('(exit code 0)');
  });

  test('leaves the measured folder as it was', async () => {
    const root = await project();
    await measure('build', root);
    await expect(readFile(join(root, 'dist', 'backend', 'shelf.js'))).rejects.toThrow('ENOENT');
  });

  test('a type error fails one step of two and is found with its place', async () => {
    const root = await project({ 'src/shared/wrong.js': '/** @type {number} */\nexport const one = "one";\n' });
    const run = await measure('build', root);
    expect(run.read('build_success_rate')).toBe(0.5);
    expect(run.findings).toContainEqual(
      expect.objectContaining({ rule: 'tsc/TS2322', file: 'src/shared/wrong.js', line: 2, column: 14 }),
    );
  });

  test.each([
    ['// @ts-nocheck\n', 'tamper/ts-nocheck'],
    ['// @ts-ignore\n', 'tamper/ts-ignore'],
    ['// @ts-expect-error\n', 'tamper/ts-ignore'],
  ])('%s hides no type error and is a finding itself', async (comment, rule) => {
    const root = await project({ 'src/shared/wrong.js': `${comment}export const one = missing;\n` });
    const run = await measure('build', root);
    expect(run.read('build_success_rate')).toBe(0.5);
    expect(run.findings.map((finding) => finding.rule)).toEqual(expect.arrayContaining(['tsc/TS2304', rule]));
  });

  test("does not read the project's own tsconfig", async () => {
    const root = await project({
      'src/shared/wrong.js': 'export const one = missing;\n',
      'tsconfig.json': '{"compilerOptions": {"checkJs": false}, "include": []}',
    });
    expect((await measure('build', root)).read('build_success_rate')).toBe(0.5);
  });

  test('a failing build script fails one step of two, whatever shell the project names', async () => {
    const root = await project({
      'scripts/build.js': 'console.log("no luck");\nprocess.exit(3);\n',
      '.npmrc': 'script-shell=/bin/true\n',
    });
    const run = await measure('build', root);
    expect(run.read('build_success_rate')).toBe(0.5);
    expect(run.findings[0]?.rule).toBe('build/failed');
    expect(run.findings[0]?.message).toContain('no luck');
  });

  test("a typecheck script alone is one step: the fleet's own type check", async () => {
    const root = await project({ 'package.json': manifest({ scripts: { typecheck: 'true' } }) });
    expect((await measure('build', root)).of('build_success_rate')).toEqual({ value: 1, examined: 1 });
  });

  test('uses packages that the project has installed', async () => {
    const root = await project({
      'package.json': manifest({ scripts: { build: 'node scripts/build.js' }, dependencies: { tiny: '1.0.0' } }),
      'src/shared/user.js': "import { tiny } from 'tiny';\nexport const user = tiny + 1;\n",
    });
    await mkdir(join(root, 'node_modules', 'tiny'), { recursive: true });
    await writeFile(
      join(root, 'node_modules', 'tiny', 'package.json'),
      '{"name":"tiny","type":"module","main":"index.js"}',
    );
    await writeFile(join(root, 'node_modules', 'tiny', 'index.js'), 'export const tiny = 1;\n');
    expect((await measure('build', root)).read('build_success_rate')).toBe(1);
  });
});

describe('a build that establishes nothing is not evaluable', () => {
  const cases: [string, Record<string, string | null>, RegExp][] = [
    ['neither build nor typecheck script', { 'package.json': manifest({ scripts: {} }) }, /nothing to build/],
    ['a build that makes nothing', { 'package.json': manifest({ scripts: { build: 'true' } }) }, /made no file/],
    [
      'a build that only links elsewhere',
      { 'package.json': manifest({ scripts: { build: 'ln -s /usr dist' } }) },
      /made no file/,
    ],
    ['no source file', { src: null, 'src/notes.txt': 'x' }, /no JavaScript or TypeScript file/],
    ['no manifest', { 'package.json': null }, /no package.json/],
    ['a manifest that does not parse', { 'package.json': '{' }, /package.json cannot be read/],
    [
      'a declared package that is not there',
      {
        'package.json': manifest({ scripts: { build: 'node scripts/build.js' }, dependencies: { absent: '1.0.0' } }),
        'src/shared/user.js': "import { absent } from 'absent';\nexport const user = absent;\n",
      },
      /not installed: absent/,
    ],
    [
      'a build tool that is not there',
      { 'package.json': manifest({ scripts: { build: 'vite build' }, devDependencies: { vite: '7.0.0' } }) },
      /not installed: vite/,
    ],
  ];
  test.each(cases)('%s', async (_name, changes, reason) => {
    expect((await measure('build', await project(changes))).read('build_success_rate')).toMatch(reason);
  });
});
