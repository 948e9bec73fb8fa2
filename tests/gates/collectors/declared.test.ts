import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import type { CollectContext, CollectedValue, Collector } from '../../../src/gates/collector.ts';
import { assertDeclaredOutside, loadDeclared } from '../../../src/gates/collectors/code/declared/load-declared.ts';
import { parseMeasureFile } from '../../../src/gates/collectors/code/declared/measure-file.ts';
import { provenWithDeclared } from '../../../src/gates/collectors/code/declared/prove-readers.ts';
import { withDeclared } from '../../../src/gates/collectors/code/declared/with-declared.ts';
import { faultOfProof } from '../../../src/gates/selftest/self-test.ts';
import { MetricSpec } from '../../../src/gates/policy-schema.ts';
import { readConfig } from '../../../src/shared/config.ts';
import { silentLogger } from '../../../src/shared/logger.ts';
import { packagePath } from '../../../src/shared/package-root.ts';
import { openSandbox } from '../../../src/shared/sandbox/open-sandbox.ts';
import type { Finding } from '../../../src/shared/verdict.ts';
import { shippedPolicies } from '../support.ts';

const made: string[] = [];
afterAll(async () => {
  await Promise.all(made.map((folder) => rm(folder, { recursive: true, force: true })));
});
const folderWith = async (files: Record<string, string>): Promise<string> => {
  const root = await mkdtemp(join(tmpdir(), 'declared-'));
  made.push(root);
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), text);
  }
  return root;
};

const spec = (collector: string, type: MetricSpec['type'], direction: MetricSpec['direction']): MetricSpec =>
  MetricSpec.parse({ description: '', type, unit: '', direction, collector, examined: '', minimum_examined: 1 });
const CATALOGUE = {
  test_pass_rate: spec('tests', 'ratio', 'min'),
  test_count: spec('tests', 'count', 'min'),
  test_coverage: spec('tests', 'ratio', 'min'),
  security_vulnerabilities: spec('security', 'count', 'max'),
  deployment_success: spec('deployment', 'flag', 'min'),
  response_time_ms: spec('service', 'amount', 'max'),
  stakeholder_approval: spec('approval', 'flag', 'min'),
};

let opened: ReturnType<typeof openSandbox> | undefined;
const sandbox = (): ReturnType<typeof openSandbox> =>
  (opened ??= openSandbox({
    mode: 'auto',
    cache: readConfig(process.env, packagePath()).cache,
    logger: silentLogger(),
  }));

interface Measured {
  values: Record<string, CollectedValue>;
  findings: Finding[];
  version: string;
}
/** Measures a folder by one declared command, through the collector that the metric belongs to. */
async function measure(root: string, command: Record<string, unknown>): Promise<Measured> {
  const text = JSON.stringify({ commands: [{ id: 'it', ...command }] });
  const { commands } = parseMeasureFile({ file: 'maestro.measure.yaml', text }, CATALOGUE);
  const result: Measured = { values: {}, findings: [], version: '' };
  for (const collector of withDeclared([], commands, CATALOGUE).collectors) {
    const metrics = Object.fromEntries(Object.entries(CATALOGUE).filter(([name]) => collector.metrics.includes(name)));
    const context: CollectContext = {
      root,
      outDir: await folderWith({}),
      sandbox: await sandbox(),
      phase: 'backend',
      metrics,
      artifacts: {},
      run: { approvals: [], judgements: [], phaseStartedAt: undefined, round: 0, inputs: {} },
      tree: 'tree',
      signal: AbortSignal.timeout(60_000),
      logger: silentLogger(),
    };
    const collected = await collector.collect(context);
    Object.assign(result.values, collected.values);
    result.findings.push(...collected.findings);
    result.version = collector.version;
  }
  return result;
}
const reasonOf = (measured: Measured, metric: string): string => {
  const value = measured.values[metric];
  return value === undefined ? 'left out' : 'notEvaluable' in value ? value.notEvaluable : `measured ${value.value}`;
};

const PROJECT = {
  'lib/add.js': 'export const add = (a, b) => a + b;\nexport function unused() {\n  return 1;\n}\n',
  'check/add.test.js':
    "import assert from 'node:assert';\nimport { test } from 'node:test';\nimport { add } from '../lib/add.js';\ntest('adds', () => assert.equal(add(1, 2), 3));\ntest('later', { skip: true }, () => {});\n",
  'package.json': '{"type":"module"}',
};
const RUN = [
  'node',
  '--test',
  '--test-reporter=junit',
  '--test-reporter-destination={out}/junit.xml',
  'check/add.test.js',
];
const TESTS = { test_pass_rate: { from: 'junit' }, test_count: { from: 'junit' } };

test('tests are read from the JUnit report of a declared command; skipped ones did not pass', async () => {
  const root = await folderWith(PROJECT);
  const measured = await measure(root, { argv: RUN, produces: { path: 'junit.xml', format: 'junit' }, metrics: TESTS });
  expect(measured.values).toMatchObject({
    test_pass_rate: { value: 0.5, examined: 2 },
    test_count: { value: 2, examined: 2 },
  });
  expect(measured.findings.map(({ rule }) => rule)).toEqual(['tests/skipped']);
  expect(measured.version).toMatch(/^1\+declared\.[0-9a-f]{12}$/);
});

test('coverage is read from LCOV, over every file that the declaration names', async () => {
  const argv = [
    'node',
    '--test',
    '--experimental-test-coverage',
    '--test-reporter=lcov',
    '--test-reporter-destination={out}/lcov.info',
    'check/add.test.js',
  ];
  const declared = (sources: string[]) => ({
    argv,
    produces: { path: 'lcov.info', format: 'lcov' },
    metrics: { test_coverage: { from: 'lcov', sources } },
  });
  const root = await folderWith(PROJECT);
  const measured = await measure(root, declared(['lib/**/*.js']));
  expect(measured.values['test_coverage']).toMatchObject({ value: 0.5, examined: 4 });
  expect(measured.findings).toEqual([
    expect.objectContaining({ rule: 'coverage/uncovered', file: 'lib/add.js', line: 3 }),
  ]);
  const more = await folderWith({ ...PROJECT, 'lib/never.js': 'export const never = 1;\n' });
  expect(reasonOf(await measure(more, declared(['lib/**/*.js'])), 'test_coverage')).toMatch(
    /says nothing of 1 files, among them lib\/never\.js/,
  );
  expect(reasonOf(await measure(root, declared(['nowhere/*.js'])), 'test_coverage')).toMatch(
    /no file of the project matches/,
  );
});

/** A command that leaves the given text as its report. */
const leaving = (format: string, text: string, metrics: Record<string, unknown>, exitCode = 0) => ({
  argv: ['sh', '-c', 'printf %s "$1" > "$2"; exit "$3"', 'sh', text, '{out}/report', String(exitCode)],
  produces: { path: 'report', format },
  metrics,
});

const cobertura = (
  file: string,
  doctype = "<!DOCTYPE coverage SYSTEM 'http://cobertura.sourceforge.net/xml/coverage-04.dtd'>",
) =>
  `<?xml version="1.0"?>\n${doctype}\n<coverage line-rate="1"><sources><source>/build/lib</source><source>lib</source></sources><packages><package name="p"><classes><class name="add" filename="${file}"><methods/><lines><line number="1" hits="4"/><line number="2" hits="0"/></lines></class></classes></package></packages></coverage>`;
const COVERED = { test_coverage: { from: 'cobertura', sources: ['lib/*.js'] } };

test('coverage is read from Cobertura, counted by its lines and not by its own rate', async () => {
  const root = await folderWith(PROJECT);
  const measured = await measure(root, leaving('cobertura', cobertura('add.js'), COVERED));
  expect(measured.values['test_coverage']).toMatchObject({ value: 0.5, examined: 2 });
  expect(measured.findings[0]).toMatchObject({ file: 'lib/add.js', line: 2 });
});

const sarif = (extra: Record<string, unknown>): string =>
  JSON.stringify({
    version: '2.1.0',
    runs: [
      {
        tool: { driver: { name: 'scan', rules: [{ id: 'R1', defaultConfiguration: { level: 'error' } }] } },
        artifacts: [{ location: { uri: 'lib/add.js' } }],
        results: [
          {
            ruleId: 'R1',
            message: { text: 'unsafe' },
            suppressions: [{ kind: 'inSource' }],
            locations: [{ physicalLocation: { artifactLocation: { uri: 'lib/add.js' }, region: { startLine: 2 } } }],
          },
          { ruleId: 'R2', message: { text: 'maybe' } },
        ],
        ...extra,
      },
    ],
  });
const FAULTS = { security_vulnerabilities: { from: 'sarif', levels: ['error'] } };

test('faults are read from SARIF by level, with places, and a suppression hides none', async () => {
  const root = await folderWith(PROJECT);
  const red = await measure(root, leaving('sarif', sarif({}), FAULTS));
  expect(red.values['security_vulnerabilities']).toMatchObject({ value: 1, examined: 1 });
  expect(red.findings).toEqual([
    expect.objectContaining({ rule: 'R1', file: 'lib/add.js', line: 2, severity: 'error' }),
  ]);
  const green = await measure(root, leaving('sarif', sarif({ results: [] }), FAULTS));
  expect(green.values['security_vulnerabilities']).toMatchObject({ value: 0, examined: 1 });
});

test('any number is read by JSON pointer, and a metric without a collector gets one', async () => {
  const root = await folderWith(PROJECT);
  const metrics = {
    deployment_success: { from: 'json', pointer: '/deployed/ok', examined: '/hosts' },
    response_time_ms: { from: 'json', pointer: '/a~1b/0', examined: '/requests' },
  };
  const text = JSON.stringify({ deployed: { ok: 1 }, hosts: ['a', 'b'], 'a/b': [12.5], requests: 40 });
  const measured = await measure(root, leaving('json', text, metrics));
  expect(measured.values).toMatchObject({
    deployment_success: { value: 1, examined: 2 },
    response_time_ms: { value: 12.5, examined: 40 },
  });
  const impossible = await measure(root, leaving('json', text.replace('"ok":1', '"ok":7'), metrics));
  expect(reasonOf(impossible, 'deployment_success')).toMatch(/7 is no flag/);
});

const suite = (inner: string, attributes = ''): string =>
  `<testsuites ${attributes}><testsuite name="s">${inner}</testsuite></testsuites>`;
const PASS = '<testcase name="a"/>';
const bomb = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>';
const nothing: [string, Record<string, unknown>, RegExp][] = [
  ['the report is missing', { ...leaving('junit', '', TESTS), argv: ['true'] }, /left no regular file report/],
  ['the report is empty', leaving('junit', '', TESTS), /report is empty/],
  [
    'the report is a link',
    { ...leaving('junit', '', TESTS), argv: ['ln', '-s', '/etc/passwd', '{out}/report'] },
    /left no regular file/,
  ],
  [
    'the report is a pipe',
    { ...leaving('junit', '', TESTS), argv: ['mkfifo', '{out}/report'] },
    /left no regular file/,
  ],
  [
    'the report is oversize',
    { ...leaving('junit', '', TESTS), argv: ['truncate', '-s', '33M', '{out}/report'] },
    /at most 32 MiB/,
  ],
  ['there is no test', leaving('junit', suite(''), TESTS), /holds no test/],
  [
    'every test is skipped',
    leaving('junit', suite('<testcase name="a"><skipped/></testcase>'), TESTS),
    /every test is skipped/,
  ],
  ['a count does not agree', leaving('junit', suite(PASS, 'tests="90"'), TESTS), /says 90 tests and lists 1/],
  [
    'failures are told and not listed',
    leaving('junit', suite(PASS, 'failures="2"'), TESTS),
    /says 2 failures and lists none/,
  ],
  [
    'an exit code has no failed test',
    leaving('junit', suite(PASS), TESTS, 1),
    /ended with code 1, which no failed test/,
  ],
  ['the exit code was not declared', leaving('junit', suite(PASS), TESTS, 3), /failed with exit code 3/],
  [
    'the command does not end',
    { ...leaving('junit', '', TESTS), argv: ['sleep', '30'], timeout_seconds: 1 },
    /did not end within its time limit/,
  ],
  ['the program is not there', { ...leaving('junit', '', TESTS), argv: ['no-such-program'] }, /failed with exit code/],
  ['the XML is cut off', leaving('junit', '<testsuites><testsuite>', TESTS), /not well-formed/],
  [
    'the XML defines entities',
    leaving('junit', bomb + suite('<testcase name="&b;"/>'), TESTS),
    /document type or entities/,
  ],
  ['another report is there', leaving('junit', cobertura('add.js'), TESTS), /not <coverage>/],
  ['Cobertura defines entities', leaving('cobertura', cobertura('add.js', bomb), COVERED), /document type or entities/],
  ['Cobertura speaks of other files', leaving('cobertura', cobertura('other.js'), COVERED), /says nothing of 1 files/],
  [
    'LCOV is cut off',
    leaving('lcov', 'SF:lib/add.js\nDA:1,1\n', { test_coverage: { from: 'lcov', sources: ['lib/*.js'] } }),
    /cut off/,
  ],
  [
    'LCOV hides lines',
    leaving('lcov', 'SF:lib/add.js\nDA:1,1\nLF:4\nend_of_record\n', {
      test_coverage: { from: 'lcov', sources: ['lib/*.js'] },
    }),
    /names 1 lines/,
  ],
  [
    'LCOV holds no line',
    leaving('lcov', 'SF:lib/add.js\nend_of_record\n', { test_coverage: { from: 'lcov', sources: ['lib/*.js'] } }),
    /names no line/,
  ],
  [
    'SARIF scanned nothing',
    leaving('sarif', sarif({ artifacts: [], results: [] }), FAULTS),
    /does not say that anything was scanned/,
  ],
  [
    'SARIF tells of a failed scan',
    leaving('sarif', sarif({ invocations: [{ executionSuccessful: false }] }), FAULTS),
    /did not succeed/,
  ],
  ['SARIF holds no run', leaving('sarif', '{"version":"2.1.0","runs":[]}', FAULTS), /holds no run/],
  [
    'JSON has no such number',
    leaving('json', '{"a":"1"}', { response_time_ms: { from: 'json', pointer: '/a', examined: '/n' } }),
    /no number at \/a/,
  ],
  [
    'JSON does not say how much',
    leaving('json', '{"a":1}', { response_time_ms: { from: 'json', pointer: '/a', examined: '/n' } }),
    /no count at \/n/,
  ],
  [
    'JSON is none',
    leaving('json', 'NaN', { response_time_ms: { from: 'json', pointer: '/a', examined: '/n' } }),
    /is no JSON/,
  ],
];
test.each(nothing)('nothing is measured when %s', async (_what, command, reason) => {
  const measured = await measure(await folderWith(PROJECT), command);
  expect(Object.keys(measured.values).length).toBeGreaterThan(0);
  for (const metric of Object.keys(measured.values)) expect(reasonOf(measured, metric)).toMatch(reason);
});

test('the project is read-only unless the declaration says otherwise, and then a copy is written to', async () => {
  const root = await folderWith(PROJECT);
  const command = {
    ...leaving('junit', '', TESTS),
    argv: ['sh', '-c', 'echo changed > lib/add.js && printf %s "$1" > "$2"', 'sh', suite(PASS), '{out}/report'],
  };
  expect(reasonOf(await measure(root, { ...command, exit_codes: [0] }), 'test_count')).toMatch(/[Rr]ead-only/);
  expect(reasonOf(await measure(root, { ...command, writes_project: true }), 'test_count')).toBe('measured 1');
  const again = await measure(root, { argv: RUN, produces: { path: 'junit.xml', format: 'junit' }, metrics: TESTS });
  expect(reasonOf(again, 'test_pass_rate'), 'the project itself is as it was').toBe('measured 0.5');
});

const command = (changes: Record<string, unknown>): string =>
  JSON.stringify({ commands: [{ ...leaving('junit', '', TESTS), id: 'it', ...changes }] });
const wrong: [string, string, RegExp][] = [
  [
    'an unknown metric',
    command({ metrics: { test_pas_rate: { from: 'junit' } } }),
    /unknown metric "test_pas_rate" \(did you mean "test_pass_rate"\?\)/,
  ],
  ['an unknown key', command({ shell: 'x' }), /unknown key "shell"/],
  [
    'a judgement',
    command({
      produces: { path: 'r', format: 'json' },
      metrics: { stakeholder_approval: { from: 'json', pointer: '/a', examined: '/b' } },
    }),
    /no command can measure it/,
  ],
  [
    'a report of another format',
    command({ metrics: { test_coverage: { from: 'lcov', sources: ['a'] } } }),
    /but it produces junit/,
  ],
  [
    'a metric that the format cannot give',
    command({ metrics: { test_coverage: { from: 'junit' } } }),
    /cannot be read from junit/,
  ],
  ['coverage without sources', command({ metrics: { test_coverage: { from: 'lcov' } } }), /sources/],
  ['a report outside its folder', command({ produces: { path: '../x', format: 'junit' } }), /one file at the top/],
  ['no metric', command({ metrics: {} }), /measures no metric/],
  [
    'the same metric twice',
    JSON.stringify({ commands: ['a', 'b'].map((id) => ({ ...leaving('junit', '', TESTS), id })) }),
    /metric test_pass_rate is declared twice/,
  ],
];
test.each(wrong)('%s is refused when the file is loaded, with its place', (_what, text, message) => {
  const load = (): unknown => parseMeasureFile({ file: 'maestro.measure.yaml', text }, CATALOGUE);
  expect(load).toThrow(message);
  expect(load).toThrow(/maestro\.measure\.yaml:\d+:\d+/);
});

test('a measure file inside the measured folder is refused, and so is one behind a link of its', async () => {
  const text = command({});
  const root = await folderWith({ ...PROJECT, 'measure.yaml': text });
  const beside = await folderWith({ 'measure.yaml': text });
  const load = (path: string) => loadDeclared({ name: 'measure.yaml', path, catalogue: CATALOGUE });
  await expect(load(join(root, 'nowhere.yaml'))).rejects.toThrow(/cannot be read/);
  expect((await load(join(beside, 'measure.yaml'))).commands.map(({ id }) => id)).toEqual(['it']);

  const isOutside = (path: string) => assertDeclaredOutside(root, { name: 'measure.yaml', path });
  await expect(isOutside(join(root, 'measure.yaml'))).rejects.toThrow(/lies in what they measure/);
  await symlink(join(beside, 'measure.yaml'), join(root, 'link.yaml'));
  await symlink(beside, join(root, 'folder'));
  await symlink(join(root, 'measure.yaml'), join(beside, 'link.yaml'));
  for (const path of [join(root, 'link.yaml'), join(root, 'folder', 'measure.yaml'), join(beside, 'link.yaml')])
    await expect(isOutside(path)).rejects.toThrow(/lies in what they measure/);
  await isOutside(join(beside, 'measure.yaml'));
});

test('declared readings are believed only where the readers are proven, and the rest as far as its own proof goes', async () => {
  const own: Collector = {
    id: 'tests',
    version: '1',
    metrics: ['test_pass_rate', 'test_coverage'],
    timeoutMs: 1000,
    collect: () => Promise.resolve({ values: {}, findings: [], evidence: [] }),
  };
  const { commands } = parseMeasureFile({ file: 'measure.yaml', text: command({}) }, CATALOGUE);
  const { collectors, replaced } = withDeclared([own], commands, CATALOGUE);
  const [collector] = collectors;
  if (collector === undefined) throw new Error('no collector');
  const signal = AbortSignal.timeout(5000);
  const unproven = provenWithDeclared({ resultOf: () => Promise.resolve(undefined) }, replaced, 'here');
  expect(faultOfProof(collector, await unproven.resultOf(collector, signal))).toMatch(/never self-tested/);
  expect(faultOfProof(own, await unproven.resultOf(own, signal))).toMatch(/never self-tested/);
  const alone = withDeclared([], commands, CATALOGUE);
  const proof = await provenWithDeclared(unproven, alone.replaced, 'here').resultOf(collector, signal);
  expect(proof?.checks.length).toBe(10);
  expect(faultOfProof(collector, proof)).toBeUndefined();
});

test('the documented example can be used as it stands', async () => {
  const page = await readFile(packagePath('docs', 'declared-commands.md'), 'utf8');
  const text = /```yaml\n(commands:[^]*?)```/.exec(page)?.[1] ?? '';
  const { commands } = parseMeasureFile({ file: 'docs/declared-commands.md', text }, shippedPolicies.metrics);
  expect(commands.map(({ id }) => id)).toEqual(['unit-tests', 'size']);
});
