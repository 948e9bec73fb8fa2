import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { measure, project } from './code-support.ts';

/** The good project with only these source files. */
const source = (text: string, file = 'src/shared/a.js'): Promise<string> => project({ src: null, [file]: text });

describe('the stub collector', () => {
  test('finds nothing in a finished project', async () => {
    expect((await measure('stubs', await project())).of('stub_rate')).toEqual({ value: 0, examined: 11 });
  });

  test.each([
    ['an empty body', 'export function save() {}', 'stub/empty-body'],
    ['a body of comments alone', 'export const save = () => {\n  // later\n};', 'stub/empty-body'],
    ['an empty method', 'export class A { save() {} }', 'stub/empty-body'],
    ['an empty event handler', "document.addEventListener('click', () => {});", 'stub/empty-body'],
    [
      'a not-implemented throw',
      "export function save() { throw new Error('Not implemented'); }",
      'stub/not-implemented',
    ],
    [
      'a class for it',
      'class NotImplementedError extends Error {}\nexport const save = () => { throw new NotImplementedError(); };',
      'stub/not-implemented',
    ],
    ['a 501 by writeHead', 'export function route(req, res) { res.writeHead(501); res.end(); }', 'stub/route-501'],
    ['a 501 by status', 'export const route = (req, res) => res.status(501).end();', 'stub/route-501'],
    ['a 501 by assignment', 'export function route(req, res) { res.statusCode = 501; res.end(); }', 'stub/route-501'],
    ['a 501 by an own helper', "export function route(res) { reply(res, 501, 'none'); }", 'stub/route-501'],
    [
      'a constant with a note',
      'export function find() {\n  // TODO: ask the database\n  return [];\n}',
      'stub/todo-only',
    ],
    ['a note above a constant', '/** FIXME: real check */\nexport const isValid = () => true;', 'stub/todo-only'],
    [
      'placeholder text given back',
      "export const about = () => 'Lorem ipsum dolor sit amet';",
      'stub/placeholder-text',
    ],
    ['a mark given back', "export function about() { return 'TODO'; }", 'stub/placeholder-text'],
    [
      'placeholder text in a field',
      "export function about() { return { message: 'Coming soon' }; }",
      'stub/placeholder-text',
    ],
    [
      'placeholder text that is sent',
      "export const route = (req, res) => res.send('Not implemented');",
      'stub/placeholder-text',
    ],
    ['a note that is printed', "export function send() { console.log('TODO send mail'); }", 'stub/todo-only'],
  ])('finds %s', async (_name, text, rule) => {
    const run = await measure('stubs', await source(`${text}\n`));
    expect(run.findings.map((finding) => finding.rule)).toEqual([rule]);
    expect(run.read('stub_rate')).toBeGreaterThan(0);
  });

  test.each([
    ['a default that does nothing', 'export const run = (done = () => {}) => done();'],
    ['a swallowed rejection', 'export const run = (job) => job().catch(() => {});'],
    ['a text that names a list of things to do', "export const title = () => 'Todo lists';"],
    ['a text with such a word in it', "export const help = () => 'Write a placeholder in braces';"],
    ['a constant without a note', 'export const version = () => 1;'],
    ['a note in a function that works', 'export function add(a, b) {\n  // TODO: carry\n  return a + b;\n}'],
    ['a number 501 that is no status', 'export const limit = (list) => list.slice(501);'],
    ['a status among others', 'export const isFault = (status) => status === 501;'],
  ])('takes %s for what it is', async (_name, text) => {
    expect((await measure('stubs', await source(`${text}\n`))).findings).toEqual([]);
  });

  test('finds placeholder text in pages and their scripts, not the placeholder attribute', async () => {
    const root = await project({
      'src/frontend/index.html':
        '<h1>Shelf</h1>\n<!-- lorem ipsum -->\n<p>Lorem ipsum dolor</p>\n<p>Coming\n soon</p><p>Coming soon!</p><input placeholder="Code">\n',
      'src/frontend/app.js':
        "export const label = () => 'This is a placeholder';\nexport const field = () => '<input placeholder=\"a code\">';\n",
    });
    const run = await measure('stubs', root);
    expect(run.findings.map(({ file, line }) => `${file}:${line}`).toSorted()).toEqual([
      'src/frontend/app.js:1',
      'src/frontend/index.html:3',
      'src/frontend/index.html:5',
    ]);
  });

  test('gives stubs as a share of functions', async () => {
    const work = Array.from({ length: 19 }, (_, at) => `export const f${at} = (n) => n + ${at};`).join('\n');
    const run = await measure('stubs', await source(`${work}\nexport function save() {}\n`));
    expect(run.of('stub_rate')).toEqual({ value: 0.05, examined: 20 });
  });

  test.each([
    ['code without a function', 'export const one = 1;\n', /no function and no text/],
    ['a file that does not parse', 'export const = 1;\n', /cannot be parsed/],
  ])('does not rate %s', async (_name, text, reason) => {
    expect((await measure('stubs', await source(text))).read('stub_rate')).toMatch(reason);
  });
});

describe('the documentation coverage collector', () => {
  test('counts exported functions and classes with a doc comment', async () => {
    const text = `
      /** Adds. */
      export function add(a, b) { return a + b; }
      export class Bare {}
      /** */
      export const empty = () => 1;
      // A plain comment is no doc comment.
      export const plain = () => 2;
      /** @param {number} n */
      const named = (n) => n;
      export { named };
      export const value = 3;
      function inner() { return 4; }
      inner();
    `;
    const run = await measure('docs-coverage', await source(text));
    expect(run.of('documentation_coverage')).toEqual({ value: 0.4, examined: 5 });
    expect(run.findings.map(({ message }) => message.split(' ')[0])).toEqual(['Bare', 'empty', 'plain']);
  });

  test('counts the exports of CommonJS files', async () => {
    const run = await measure(
      'docs-coverage',
      await source(
        '/** Adds. */\nexports.add = (a, b) => a + b;\nmodule.exports.sub = (a, b) => a - b;\n',
        'src/shared/a.cjs',
      ),
    );
    expect(run.of('documentation_coverage')).toEqual({ value: 0.5, examined: 2 });
  });

  test.each([
    ['nothing is exported', 'const one = 1;\nconsole.log(one);\n', /Nothing is exported/],
    ['a file does not parse', 'export function (\n', /cannot be parsed/],
  ])('is not evaluable where %s', async (_name, text, reason) => {
    expect((await measure('docs-coverage', await source(text))).read('documentation_coverage')).toMatch(reason);
  });
});

describe('the bundle collector', () => {
  test('adds minified scripts, styles and pages', async () => {
    const run = await measure('bundle', await project());
    expect(run.of('bundle_size_kb')).toEqual({ value: 480 / 1024, examined: 3 });
  });

  test('counts what a script imports, once', async () => {
    const big = `export const words = ${JSON.stringify('x'.repeat(100 * 1024))};\n`;
    const root = await project({
      'src/frontend/words.js': big,
      'src/frontend/app.js': "import { words } from './words.js';\ndocument.title = words;\n",
    });
    expect((await measure('bundle', root)).read('bundle_size_kb')).toBeCloseTo(100.4, 0);
  });

  test.each([
    ['there is no front end', { 'src/frontend': null }, /no script/],
    ['an import is missing', { 'src/frontend/app.js': "import './none.js';\n" }, /cannot be bundled/],
    [
      'the page loads a script that is not there',
      { 'src/frontend/index.html': '<script src="none.js"></script>' },
      /not in the project/,
    ],
    [
      'the page loads a script from elsewhere',
      { 'src/frontend/index.html': '<script src="https://cdn.example/x.js"></script>' },
      /from elsewhere/,
    ],
  ])('is not evaluable where %s', async (_name, changes, reason) => {
    expect((await measure('bundle', await project(changes))).read('bundle_size_kb')).toMatch(reason);
  });
});

describe('the size collector', () => {
  test('counts lines that hold code, dependencies, and defects for each 100 lines', async () => {
    const manifest = {
      name: 'x',
      dependencies: { a: '1', b: '1' },
      optionalDependencies: { b: '1' },
      devDependencies: { c: '1' },
    };
    const root = await project({
      src: null,
      'package.json': JSON.stringify(manifest),
      'src/shared/a.js':
        '// one\n\n/* two\n three */\nconst unused = `a\nb`;\nexport const add = (a, b) =>\n  a + b; // four\n',
    });
    const run = await measure('size', root);
    expect(run.values).toEqual({
      lines_of_code: { value: 4, examined: 1 },
      service_dependencies: { value: 2, examined: 1 },
      defect_density: { value: 25, examined: 4 },
    });
  });

  test('is not evaluable where a file does not parse', async () => {
    const run = await measure('size', await source('export const = 1;\n'));
    expect(run.read('lines_of_code')).toMatch(/cannot be parsed/);
  });
});

describe('the regression collector', () => {
  test('counts the ids that passing regression and acceptance tests name', async () => {
    const run = await measure('regression', await project());
    expect(run.of('regression_test_coverage')).toEqual({ value: 1, examined: 3 });
  });

  const regressions = (text: string): Promise<string> =>
    project({
      'tests/acceptance': null,
      'tests/regression/codes.test.js': `import assert from 'node:assert/strict';\nimport { test } from 'node:test';\n${text}\n`,
    });

  test('does not count a test that fails or is skipped, nor an id that only begins alike', async () => {
    const root = await regressions(
      "test('BUG-1: a', () => { assert.fail('no'); });\ntest.skip('FR-1: b', () => {});\ntest('FR-22: c', () => {});",
    );
    const run = await measure('regression', root);
    expect(run.of('regression_test_coverage')).toEqual({ value: 0, examined: 3 });
    expect(run.findings.filter(({ rule }) => rule === 'regression/unguarded').map(({ file }) => file)).toEqual([
      'docs/testing/bugs.yaml',
      'docs/requirements/prd.md',
      'docs/requirements/prd.md',
    ]);
  });

  test('an empty test guards nothing, whatever its title names', async () => {
    const root = await project({
      'tests/acceptance': null,
      'tests/regression/codes.test.js':
        "import { test } from 'node:test';\ntest('FR-1 FR-2 BUG-1: all is well', () => {});\n",
    });
    const run = await measure('regression', root);
    expect(run.of('regression_test_coverage')).toEqual({ value: 0, examined: 3 });
    expect(run.findings).toContainEqual(expect.objectContaining({ rule: 'tests/asserts-nothing' }));
  });

  test.each([
    ['no id', { 'docs/requirements': null, 'docs/testing': null }, /no FR id/],
    ['no regression or acceptance test', { 'tests/regression': null, 'tests/acceptance': null }, /no test file in/],
    ['a bug list that does not parse', { 'docs/testing/bugs.yaml': 'bugs: 3\n' }, /bugs.yaml/],
    [
      'a test file that ends itself',
      {
        'tests/regression/codes.test.js':
          "import { test } from 'node:test';\ntest('BUG-1', () => { process.exit(0); });\n",
      },
      /ended its own process/,
    ],
  ])('is not evaluable with %s', async (_name, changes, reason) => {
    expect((await measure('regression', await project(changes))).read('regression_test_coverage')).toMatch(reason);
  });
});

describe('code that is used and not measured', () => {
  const used = 'export const used = 1;\n';
  const viaStart: [string, Record<string, string>, string?][] = [
    ['cd app && node real.js', {}],
    ['cd ./app; exec node .', { 'app/index.js': used }, 'app/index.js'],
    ['npm --prefix app start', { 'app/package.json': JSON.stringify({ scripts: { start: 'node real.js' } }) }],
    ['sh -c "cd app && node real.js"', {}],
    ['./run', { run: '#!/usr/bin/env bash\nset -e\nexec node app/real.js "$@"\n' }],
    [
      'bash ops/go.sh',
      { 'ops/go.sh': 'cd "$(dirname "$0")/.."\nsource ops/more.sh\n', 'ops/more.sh': 'node app/real\n' },
    ],
    ['sh ops/go.sh', { 'ops/go.sh': 'HERE="$(cd "$(dirname "$0")" && pwd)"\nnode "${HERE}/../app/real.js"\n' }],
    ['sh ops/go.sh', { 'ops/go.sh': 'DIR=app\ncd $DIR && node real.js\n' }],
  ];
  const undecided: [string, RegExp][] = [
    ['node $MAIN', /the script "start": node \$MAIN: what that is is known only when it runs/],
    ['cd $WHERE && node main.js', /the folder \$WHERE is known only when it runs/],
    ['$RUN src/shared/a.js', /the program \$RUN is known only/],
    ['node --import "$HOOK" src/shared/a.js', /node \$HOOK/],
    ['node -e "import(process.env.MAIN)"', /runs code that stands in the command/],
    ['sh long.sh', /long\.sh: it is too long to be followed/],
    ['sh wide.sh', /wide\.sh: it changes folders too often/],
    ['cd broken && npm start', /broken: its package\.json cannot be read/],
    ['make serve', /what make runs is not followed/],
    ['sh go.sh', /go\.sh: the program \$\(cat main\) is known only/],
  ];
  const startedWith = (start: string): string => JSON.stringify({ name: 'x', type: 'module', scripts: { start } });
  test.each([
    [
      'imported from a folder beside src',
      { 'app/real.js': used, 'src/shared/a.js': "export { used } from '../../app/real.js';\n" },
      /src\/shared\/a\.js uses app\/real\.js/,
    ],
    [
      'imported from among the tests',
      {
        'tests/helpers/real.js': used,
        'src/shared/a.js': "export const load = () => import('../../tests/helpers/real.js');\n",
      },
      /uses tests\/helpers\/real\.js/,
    ],
    [
      'imported from a folder that is never read',
      { 'src/shared/a.js': "export { used } from '../../dist/real.js';\n" },
      /uses dist\/real\.js/,
    ],
    [
      'started in place of src',
      {
        'app/main.js': used,
        'package.json': JSON.stringify({ name: 'x', type: 'module', scripts: { start: 'node ./app/main.js' } }),
      },
      /package\.json names app\/main\.js/,
    ],
    [
      'behind a short name',
      {
        'app/real.js': used,
        'package.json': JSON.stringify({
          name: 'x',
          type: 'module',
          imports: { '#real': { default: './app/real.js' } },
        }),
      },
      /package\.json names app\/real\.js/,
    ],
    ...[
      "export const load = () => import(/* later */ '../../app/real.js');\n",
      "export const worker = new URL('../../app/real.js?x', import.meta.url);\n",
      "import { createRequire } from 'node:module';\nexport const a = createRequire(import.meta.url)('../../app/real.cjs');\n",
      'export const where = require.resolve("../../app/real");\n',
      "export const load = () => import('../../\\u0061pp/real.js');\n",
    ].map((code): [string, Record<string, string>, RegExp] => [
      code.trim(),
      { 'app/real.js': used, 'app/real.cjs': used, 'src/shared/a.js': code },
      /src\/shared\/a\.js uses app\/real\.c?js/,
    ]),
    ...[
      { scripts: { start: 'npm run serve', serve: 'npm run -s really', really: 'node app/real.js' } },
      { scripts: { start: 'node --import=./app/real.js src/shared/a.js' } },
      { bin: { x: './app/real.js' } },
      { bin: 'app/real.js' },
      { exports: { '.': { import: './app/real.js' } } },
      { imports: { '#x/*': './app/*.js' } },
    ].map((manifest): [string, Record<string, string>, RegExp] => [
      JSON.stringify(manifest),
      { 'app/real.js': used, 'package.json': JSON.stringify({ name: 'x', type: 'module', ...manifest }) },
      /package\.json names app\/real\.js/,
    ]),
    ...viaStart.map(([start, files, found = 'app/real.js']): [string, Record<string, string>, RegExp] => [
      `${start} ${Object.values(files).join(' ')}`,
      { 'app/real.js': used, ...files, 'package.json': startedWith(start) },
      new RegExp(`package\\.json names ${found.replace('.', String.raw`\.`)}`),
    ]),
    ...undecided.map(([start, why]): [string, Record<string, string>, RegExp] => [
      start,
      {
        'go.sh': '$(cat main) now\n',
        'long.sh': `A=${'x'.repeat(199)}\n${'"$A" '.repeat(3_000)}\n`,
        'wide.sh': Array.from({ length: 40 }, (_, n) => `cd f${n}\n`).join(''),
        'broken/package.json': '{',
        'package.json': startedWith(start),
      },
      new RegExp(`^what package\\.json starts is not decided: .*${why.source}`),
    ]),
    [
      'a path that is put together',
      { 'app/real.js': used, 'src/shared/a.js': 'export const load = (name) => import(`../../app/${name}.js`);\n' },
      /uses app\/real\.js/,
    ],
    [
      'a path that is added up',
      { 'app/real.js': used, 'src/shared/a.js': "export const load = (name) => import('../../app/' + name);\n" },
      /uses app\/real\.js/,
    ],
  ])('makes nothing evaluable: %s', async (_name, changes, reason) => {
    expect((await measure('size', await project(changes))).read('lines_of_code')).toMatch(reason);
  });

  test('a program in bin is measured with the code', async () => {
    const root = await project({ 'bin/x.js': '#!/usr/bin/env node\nexport const used = 1;\n' });
    const before = (await measure('size', root)).read('lines_of_code');
    const named = { name: 'x', type: 'module', bin: './bin/x.js', exports: './dist/index.js' };
    await writeFile(join(root, 'package.json'), JSON.stringify(named));
    expect((await measure('size', root)).read('lines_of_code')).toBe(Number(before) + 1);
  });

  test.each([
    'node src/shared/a.js --port $PORT',
    'NODE_ENV=production node --enable-source-maps dist/main.js',
    'npm run build && node src/shared/a.js',
    'cd src/shared && node a.js',
    'sh ops/go.sh src/shared/a.js',
    'concurrently "node src/shared/a.js" "vite --host $HOST"',
    'node --env-file=.env "$(pwd)/src/shared/a.js"',
  ])('what is started in an ordinary way is decided: %s', async (start) => {
    const go =
      'set -eu\ncd "$(dirname "$0")/.."\nif [ -z "${PORT:-}" ]; then PORT=1; fi\nexec node "$@" --port "$PORT"\n';
    const root = await project({ 'ops/go.sh': go, 'ops/release.js': used, 'package.json': startedWith(start) });
    expect((await measure('size', root)).read('lines_of_code')).toBeGreaterThan(0);
  });

  test('what is loaded by a name that is made when it runs is said to be open', async () => {
    const code = 'export const load = (name) => import(name);\nexport const text = () => require.resolve;\n';
    const { evidence } = await measure('size', await project({ 'src/shared/a.js': code }));
    expect(JSON.stringify(evidence)).toContain(
      'not decided: what src/shared/a.js loads by a name that is made when it runs',
    );
    const known = await measure(
      'size',
      await project({ 'src/shared/a.js': "export const load = () => import(/* x */ 'node:fs');\n" }),
    );
    expect(JSON.stringify(known.evidence)).not.toContain('not decided');
  });

  test('scripts and data beside src are left alone', async () => {
    const root = await project({
      'scripts/release.js': "import { used } from '../src/shared/a.js';\nused;\n",
      'data/list.json': '[]\n',
      'src/shared/a.js': "import list from '../../data/list.json' with { type: 'json' };\nexport const used = list;\n",
    });
    expect((await measure('size', root)).read('lines_of_code')).toBeGreaterThan(0);
  });
});
