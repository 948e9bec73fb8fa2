/** The tools that the collectors call, each as a person would run it, one after another. */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const HERE = fileURLToPath(new URL('.', import.meta.url));

/** Every command ends with 0, except that linters may end with 1, having found something. */
function commands({ root, fleet, work }) {
  const bin = (name) => join(fleet, 'node_modules', '.bin', name);
  const tests = (folder) => readdirSync(join(root, 'tests', folder)).map((name) => join('tests', folder, name));
  const nodeTest = [
    'node',
    '--import',
    join(HERE, 'ts-loader.mjs'),
    '--test',
    '--test-concurrency=2',
    '--test-reporter=tap',
  ];
  const settings = JSON.parse(readFileSync(join(fleet, 'config', 'lint', 'tsconfig.measure.json'), 'utf8'));
  const tsconfig = join(root, 'tsconfig.by-hand.json');
  writeFileSync(
    tsconfig,
    JSON.stringify({
      ...settings,
      compilerOptions: { ...settings.compilerOptions, strictNullChecks: true, lib: ['es2023'], types: ['node'] },
      include: ['src'],
    }),
  );
  const c8 = [
    bin('c8'),
    '--all',
    '--src',
    'src',
    '--include',
    'src/**',
    '--extension',
    '.ts',
    '--reporter',
    'lcovonly',
    '--reporter',
    'text-summary',
    '--reports-dir',
    join(work, 'coverage'),
    '--temp-directory',
    join(work, 'raw'),
  ];
  return [
    { tool: 'npm run build', argv: ['npm', 'run', 'build', '--silent'] },
    { tool: 'tsc', argv: [bin('tsc'), '-p', tsconfig] },
    {
      tool: 'eslint',
      argv: [
        bin('eslint'),
        '-c',
        join(HERE, 'eslint.by-hand.config.mjs'),
        '--no-inline-config',
        '--format',
        'json',
        '-o',
        join(work, 'eslint.json'),
        'src',
      ],
      mayFind: true,
    },
    {
      tool: 'jscpd',
      argv: [
        bin('jscpd'),
        '--min-lines',
        '5',
        '--min-tokens',
        '50',
        '--silent',
        '--reporters',
        'json',
        '--output',
        work,
        'src',
      ],
    },
    { tool: 'secretlint', argv: ['node', join(HERE, 'scan-secrets.mjs'), work], inCopy: true },
    { tool: 'node --test under c8', argv: [...c8, ...nodeTest, ...tests('unit'), ...tests('regression')] },
    { tool: 'node --test (regression)', argv: [...nodeTest, ...tests('regression')] },
  ];
}

/** Runs them all and says how many milliseconds each took. */
export function runByHand({ root, fleet }) {
  const work = mkdtempSync(join(tmpdir(), 'by-hand-'));
  const copy = mkdtempSync(join(tmpdir(), 'by-hand-files-'));
  try {
    return commands({ root, fleet, work }).map(({ tool, argv, mayFind, inCopy }) => {
      // A link to installed packages is no file of the project.
      if (inCopy) cpSync(root, copy, { recursive: true, filter: (path) => !/\/(?:node_modules|dist)$/.test(path) });
      const [program, ...args] = argv.map((each) => (inCopy && each === work ? copy : each));
      const began = performance.now();
      const result = spawnSync(program, args, {
        cwd: root,
        encoding: 'utf8',
        maxBuffer: 2 ** 28,
        env: { ...process.env, CI: '1', NO_COLOR: '1' },
      });
      const ms = performance.now() - began;
      if (result.status !== 0 && !(mayFind && result.status === 1))
        throw new Error(
          `${tool} ended with ${result.status}: ${(result.stderr || result.stdout || String(result.error)).slice(-600)}`,
        );
      return { tool, ms };
    });
  } finally {
    for (const made of [work, copy, join(root, 'dist'), join(root, 'tsconfig.by-hand.json')])
      rmSync(made, { recursive: true, force: true });
  }
}
