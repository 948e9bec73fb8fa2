import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import Table from 'cli-table3';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { unpackDebianPackages } from '../../../src/shared/debian-packages.ts';
import { silentLogger } from '../../../src/shared/logger.ts';
import { packagePath } from '../../../src/shared/package-root.ts';
import * as py from './by-hand-python.ts';
import * as byHand from './by-hand.ts';

/** Compares `maestro gates` with the tools run by hand, number by number, on packages that others published. */

const COLLECTORS = ['build', 'quality', 'tests', 'stubs', 'security', 'docs-coverage', 'size', 'licences', 'sbom'];
const DAY = 86_400_000;

const Report = z.object({
  measurements: z.array(
    z.looseObject({
      metric: z.string(),
      value: z.number().optional(),
      examined: z.number().optional(),
      reason: z.string().optional(),
      evidence: z.array(z.looseObject({ summary: z.string() })),
    }),
  ),
  findings: z.array(z.looseObject({ metric: z.string().optional(), rule: z.string(), severity: z.string() })),
});
type Report = z.infer<typeof Report>;
type Answer = number | string;
interface Row {
  what: string;
  maestro: Answer;
  tools: Answer;
  /** Why the two differ rightly. */
  because?: string;
}

let work = '';
beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), 'compare-'));
  const { policyOfEverything } = z
    .object({
      policyOfEverything:
        z.custom<(fleet: string, isWanted: (metric: string, collector: string) => boolean) => string>(),
    })
    .parse(await import(packagePath('bench', 'gates', 'policy-of-everything.mjs')));
  const wanted = (metric: string, collector: string): boolean =>
    COLLECTORS.includes(collector) && metric !== 'security_testing_complete';
  await writeFile(join(work, 'policy.yaml'), policyOfEverything(packagePath(), wanted));
});
afterAll(async () => rm(work, { recursive: true, force: true }));

async function gates(root: string, flags: readonly string[] = []): Promise<Report> {
  const argv = ['node', packagePath('bin', 'maestro'), 'gates', root, '--phase', 'everything', '--format', 'json'];
  const ran = await byHand.run([...argv, '--policy', join(work, 'policy.yaml'), '--no-reuse', ...flags], work);
  if (![0, 3].includes(ran.exitCode)) throw new Error(ran.stderr);
  return Report.parse(JSON.parse(ran.stdout));
}

const measurement = (report: Report, metric: string): Report['measurements'][number] => {
  const found = report.measurements.find((each) => each.metric === metric);
  if (found === undefined) throw new Error(`${metric} is not in the report`);
  return found;
};
const value = (report: Report, metric: string): Answer => {
  const { value: number, reason } = measurement(report, metric);
  return number ?? reason ?? 'nothing';
};
const examined = (report: Report, metric: string): Answer => measurement(report, metric).examined ?? 'none';
const found = (report: Report, rule: RegExp, severity = /./, metric = /./): number =>
  report.findings.filter(
    (each) => rule.test(each.rule) && severity.test(each.severity) && metric.test(each.metric ?? ''),
  ).length;
const told = (report: Report, metric: string, pattern: RegExp): Answer => {
  const texts = measurement(report, metric).evidence.map(({ summary }) => pattern.exec(summary)?.[1]);
  const text = texts.find((each) => each !== undefined);
  return text === undefined ? 'not told' : Number(text);
};
const rounded = (number: number): number => Math.round(number * 1e6) / 1e6;
const near = (answer: Answer): Answer => (typeof answer === 'number' ? rounded(answer) : answer);

/** Prints the rows, and gives back those that differ without an explanation. */
function judge(name: string, rows: readonly Row[]): Row[] {
  const table = new Table({
    head: [name, 'maestro', 'by hand', ''],
    style: { head: [], border: [] },
    colWidths: [44, 24, 18, 60],
    wordWrap: true,
  });
  for (const row of rows)
    table.push([
      row.what,
      String(near(row.maestro)),
      String(near(row.tools)),
      near(row.maestro) === near(row.tools) ? '=' : (row.because ?? 'DIFFERS'),
    ]);
  process.stdout.write(`${table.toString()}\n`);
  return rows.filter((row) => near(row.maestro) !== near(row.tools) && row.because === undefined);
}

async function filesBelow(root: string, folder: string, pattern: RegExp): Promise<string[]> {
  const names = await readdir(join(root, folder), { recursive: true }).catch((): string[] => []);
  return names
    .map((name) => join(folder, name))
    .filter((path) => pattern.test(path))
    .toSorted();
}

const must = async (argv: readonly string[], cwd: string): Promise<string> => {
  const ran = await byHand.run(argv, cwd);
  if (ran.exitCode !== 0) throw new Error(`${argv.join(' ')}: ${ran.stderr.slice(-600)}`);
  return ran.stdout;
};

/** Fetches a package with everything that it asks for, its tests included. */
async function fetchPackage(spec: string): Promise<string> {
  const root = join(work, spec.replaceAll(/[@/]/g, '_'));
  await mkdir(root);
  const tarball = (await must(['npm', 'pack', spec, '--silent'], work)).trim();
  await must(['tar', 'xzf', join(work, tarball), '-C', root, '--strip-components=1'], work);
  await must(['npm', 'install', '--ignore-scripts', '--no-audit', '--no-fund', '--silent'], root);
  return root;
}

const Installed = z.array(z.looseObject({ name: z.string(), license: z.unknown().optional(), location: z.string() }));
const ALLOWED = [
  'MIT',
  'ISC',
  'Apache-2.0',
  'BSD-2-Clause',
  'BSD-3-Clause',
  '0BSD',
  'BlueOak-1.0.0',
  'CC0-1.0',
  'Unlicense',
];
/** A licence as people read it: one of those that are joined by OR will do. */
const isFine = (license: unknown): boolean =>
  typeof license === 'string' &&
  license
    .replaceAll(/[()]/g, '')
    .split(' OR ')
    .some((each) => each.split(' AND ').every((part) => ALLOWED.includes(part)));

async function packageRows(root: string, report: Report): Promise<Row[]> {
  const query = await must(['npm', 'query', '*', '--package-lock-only'], root);
  const installed = Installed.parse(JSON.parse(query)).filter(({ location }) => location !== '');
  const audit = await byHand.run(['npm', 'audit', '--json'], root);
  const answer = z
    .object({ metadata: z.object({ vulnerabilities: z.object({ total: z.number() }) }) })
    .safeParse(JSON.parse(audit.stdout));
  const [first] = installed;
  const name = first?.name ?? '';
  const planted = {
    id: 'PLANTED-1',
    affected: [{ package: { ecosystem: 'npm', name }, ranges: [{ type: 'SEMVER', events: [{ introduced: '0' }] }] }],
  };
  const taken = new Date(Date.now() - DAY).toISOString();
  await writeFile(
    join(work, 'advisories.json'),
    JSON.stringify({
      schema: 'maestro.advisories/v1',
      source: 'planted',
      taken,
      ecosystem: 'npm',
      covers: 'all',
      vulns: [planted],
    }),
  );
  const warned = await gates(root, ['--advisories', join(work, 'advisories.json')]);
  return [
    {
      what: 'vulnerabilities, no advisories given',
      maestro: 'not evaluable',
      tools: answer.success ? answer.data.metadata.vulnerabilities.total : 'refused',
      because: 'npm audit asks a service; maestro reads a snapshot and says that none was given',
    },
    {
      what: `packages under a planted advisory (${name})`,
      maestro: found(warned, /^advisory\//),
      tools: installed.filter((each) => each.name === name).length,
    },
    {
      what: 'locked packages',
      maestro: told(report, 'sbom_complete', /of (\d+) locked packages/),
      tools: installed.length,
    },
    {
      what: 'licences not allowed',
      maestro: value(report, 'licence_violations'),
      tools: installed.filter(({ license }) => !isFine(license)).length,
    },
  ];
}

async function sloc(root: string, files: readonly string[]): Promise<number> {
  const stdout = await must(
    ['npm', 'exec', '--yes', '--package=sloc@0.3.2', '--', 'sloc', '--format', 'json', ...files],
    root,
  );
  return z.object({ summary: z.object({ source: z.number() }) }).parse(JSON.parse(stdout)).summary.source;
}

interface Case {
  spec: string;
  emptyTests?: readonly string[];
  /** Its code holds texts such as `'/*'`. */
  wildcards?: boolean;
}
const CASES: Case[] = [
  { spec: '@fastify/proxy-addr@5.1.3' },
  { spec: 'safe-regex2@5.1.2' },
  { spec: 'process-warning@5.1.1', emptyTests: ['test/jest.test.js'] },
  { spec: 'find-my-way@9.3.0', wildcards: true },
];
describe.each(CASES)('$spec', ({ spec, emptyTests = [], wildcards = false }: Case) => {
  test('has the numbers of its tools', async () => {
    const root = await fetchPackage(spec);
    const sources = ['index.js', ...(await filesBelow(root, 'lib', /\.js$/))];
    const tests = await filesBelow(root, 'test', /(?:^|[/.-])test\.js$/);
    const report = await gates(root);
    const outcomes = await byHand.nodeTests(root, tests);
    const covered = await byHand.nodeCoverage(root, sources, tests);
    const lint = await byHand.eslint(root, sources);
    const exports = await byHand.declared(root, sources);
    const manifest = z
      .object({ dependencies: z.record(z.string(), z.string()).default({}) })
      .parse(JSON.parse(await readFile(join(root, 'package.json'), 'utf8')));
    const empty =
      emptyTests.length === 0
        ? {}
        : {
            because: `node counts ${emptyTests.join(', ')}, which holds no test for node, as one that passed; maestro says so and measures nothing`,
          };
    const undeclared =
      exports.undeclared.length === 0
        ? {}
        : { because: `tsc writes no declarations for ${exports.undeclared.join(', ')}` };
    const rows: Row[] = [
      { what: 'tests', maestro: value(report, 'test_count'), tools: outcomes.tests, ...empty },
      {
        what: 'share that passed',
        maestro: value(report, 'test_pass_rate'),
        tools: outcomes.passed / outcomes.tests,
        ...empty,
      },
      { what: 'lines to cover', maestro: examined(report, 'test_coverage'), tools: covered.lines, ...empty },
      {
        what: 'share of lines covered',
        maestro: value(report, 'test_coverage'),
        tools: covered.covered / covered.lines,
        ...empty,
      },
      {
        what: 'lint errors',
        maestro: found(report, /^eslint\/(?!complexity)/, /error/, /quality/),
        tools: lint.errors,
      },
      {
        what: 'lint warnings',
        maestro: found(report, /^eslint\/(?!complexity)/, /warning/, /quality/),
        tools: lint.warnings,
      },
      { what: 'highest complexity', maestro: value(report, 'component_complexity'), tools: lint.complexity },
      { what: 'functions', maestro: examined(report, 'component_complexity'), tools: lint.functions },
      { what: 'copied passages', maestro: found(report, /^jscpd\//), tools: await byHand.copies(root, sources) },
      {
        what: 'lines of code',
        maestro: value(report, 'lines_of_code'),
        tools: await sloc(root, sources),
        ...(wildcards ? { because: "sloc takes the '/*' of a text for the beginning of a comment" } : {}),
      },
      {
        what: 'exported functions and classes',
        maestro: measurement(report, 'documentation_coverage').examined ?? 0,
        tools: exports.exported,
        ...undeclared,
      },
      {
        what: 'share with a doc comment',
        maestro: measurement(report, 'documentation_coverage').value ?? 'nothing exported',
        tools: exports.exported === 0 ? 'nothing exported' : exports.documented / exports.exported,
        ...undeclared,
      },
      {
        what: 'dependencies',
        maestro: value(report, 'service_dependencies'),
        tools: Object.keys(manifest.dependencies).length,
      },
      ...(await packageRows(root, report)),
    ];
    expect(judge(spec, rows)).toEqual([]);
  });
});

const PYTHON_TOOLS = ['python3-pytest', 'python3-coverage', 'python3-bandit', 'mypy', 'radon', 'python3-pyflakes'];

/** The source of a Debian package as its authors released it, fetched with lists of this script's own. */
async function fetchDebianSource(name: string): Promise<string> {
  const apt = join(work, 'apt');
  await mkdir(join(apt, 'lists', 'partial'), { recursive: true });
  const folder = '/etc/apt/sources.list.d';
  for (const file of (await readdir(folder)).filter((each) => each.endsWith('.sources'))) {
    const text = await readFile(join(folder, file), 'utf8');
    await writeFile(join(apt, file), text.replaceAll(/^Types:.*$/gm, 'Types: deb-src'));
  }
  const options = [
    'APT::Sandbox::User=root',
    'Dir::Etc::sourcelist=/dev/null',
    `Dir::Etc::sourceparts=${apt}`,
    `Dir::State::lists=${join(apt, 'lists')}`,
  ].flatMap((each) => ['-o', each]);
  await must(['apt-get', '-qq', ...options, 'update'], apt);
  const fetched = await byHand.run(['apt-get', '-qq', ...options, 'source', '--download-only', name], apt);
  const archive = (await readdir(apt)).find((file) => /[.]orig[.]tar[.]/.test(file));
  if (archive === undefined) throw new Error(`the source of ${name} cannot be had: ${fetched.stderr.slice(-400)}`);
  const root = join(work, name);
  await mkdir(root);
  await must(['tar', 'xf', join(apt, archive), '-C', root, '--strip-components=1'], work);
  return root;
}

test('toolz, a Python package, has the numbers of its tools', async () => {
  const cache = join(homedir(), '.cache', 'maestro-fleet');
  const tree = await unpackDebianPackages({ packages: PYTHON_TOOLS, cache, logger: silentLogger() });
  const tools = { packages: join(tree, 'usr', 'lib', 'python3', 'dist-packages') };
  const root = await fetchDebianSource('toolz');
  const folders = ['toolz', 'tlz'];
  const all = (await Promise.all(folders.map((folder) => filesBelow(root, folder, /\.py$/)))).flat();
  const sources = all.filter((file) => !file.includes('/tests/'));
  const beside = (await filesBelow(root, '.', /\.py$/)).filter(
    (file) => /^(?:bench|doc|examples)\/|^setup\.py$/.test(file) && !all.includes(file),
  );
  const report = await gates(root);
  const outcomes = await py.pytest(tools, root, folders);
  const covered = await py.coverage(tools, root, folders, folders);
  const functions = await py.complexity(tools, root, sources);
  const rows: Row[] = [
    { what: 'tests', maestro: value(report, 'test_count'), tools: outcomes.tests },
    { what: 'share that passed', maestro: value(report, 'test_pass_rate'), tools: outcomes.passed / outcomes.tests },
    { what: 'statements to cover', maestro: examined(report, 'test_coverage'), tools: covered.lines },
    { what: 'share covered', maestro: value(report, 'test_coverage'), tools: covered.covered / covered.lines },
    {
      what: 'pyflakes messages',
      maestro: found(report, /^pyflakes\//),
      tools: await py.pyflakes(tools, root, sources),
    },
    { what: 'highest complexity', maestro: value(report, 'component_complexity'), tools: functions.most },
    { what: 'functions', maestro: examined(report, 'component_complexity'), tools: functions.functions },
    {
      what: 'type errors',
      maestro: found(report, /^mypy\//),
      tools: await py.mypy(tools, root, packagePath('config', 'probes', 'python', 'mypy.ini'), sources),
    },
    {
      what: 'static security findings',
      maestro: value(report, 'security_vulnerabilities'),
      tools: await py.bandit(tools, root, [...sources, ...beside]),
    },
    {
      what: 'lines of code',
      maestro: value(report, 'lines_of_code'),
      tools: await py.codeLines(tools, root, sources),
      because: 'radon takes every text over several lines for documentation; maestro only docstrings',
    },
  ];
  expect(judge('toolz 0.12.0', rows)).toEqual([]);
});
