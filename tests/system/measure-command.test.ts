import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { policyOf } from '../support/small-project.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { type Ended, cleanEnv, run } from './maestro.ts';

const LONG = { timeout: 180_000 };

/** A command that leaves the given text as its report. */
const leaving = (format: string, text: string, metrics: Record<string, unknown>, exitCode = 0) => ({
  id: 'it',
  argv: ['sh', '-c', 'printf %s "$1" > "$2"; exit "$3"', 'sh', text, '{out}/report', String(exitCode)],
  produces: { path: 'report', format },
  metrics,
});
const junit = (inner: string): string => `<testsuites><testsuite><testcase name="a"/>${inner}</testsuite></testsuites>`;
const lcov = (hits: number): string => `SF:lib/add.go\nDA:1,1\nDA:2,${hits}\nend_of_record\n`;
const cobertura = (hits: number): string =>
  `<coverage><packages><package><classes><class filename="lib/add.go"><lines><line number="1" hits="1"/><line number="2" hits="${hits}"/></lines></class></classes></package></packages></coverage>`;
const sarif = (results: unknown[]): string =>
  JSON.stringify({ version: '2.1.0', runs: [{ tool: { driver: { name: 'gosec' } }, artifacts: [{}], results }] });
const fault = (uri: string) => ({
  ruleId: 'G101',
  level: 'error',
  message: { text: 'a secret' },
  locations: [{ physicalLocation: { artifactLocation: { uri }, region: { startLine: 1 } } }],
});
const TESTS = { test_pass_rate: { from: 'junit' } };
const COVERAGE = (from: string) => ({ test_coverage: { from, sources: ['lib/*.go'] } });
const FAULTS = { security_vulnerabilities: { from: 'sarif' } };
const SIZE = { lines_of_code: { from: 'json', pointer: '/total/lines', examined: '/files' } };
const size = (lines: number): string => JSON.stringify({ total: { lines }, files: ['lib/add.go'] });

interface Place {
  folder: string;
  project: string;
  measure: (declared: unknown, file?: string) => Promise<string>;
  gates: (...args: string[]) => Promise<Ended>;
}

/** A small project of another stack, and a policy beside it of one gate. */
async function placeWith(condition: string): Promise<Place> {
  const folder = await tempFolder();
  const project = join(folder, 'project');
  const write = async (name: string, text: string): Promise<string> => {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), text);
    return name;
  };
  await write('project/lib/add.go', 'package lib\n\nfunc Add(a, b int) int { return a + b }\n');
  await write('phase_slos.yaml', policyOf({ only: condition }).text);
  const judged = ['--phase', 'custom_component', '--policy', 'phase_slos.yaml', '--format', 'json'];
  return {
    folder,
    project,
    measure: (declared, file = 'measure.yaml') =>
      write(file, typeof declared === 'string' ? declared : JSON.stringify({ commands: [declared] }, null, 2)),
    gates: (...args) => run(['gates', project, ...judged, ...args], cleanEnv(), folder),
  };
}

const Document = z.looseObject({
  verdict: z.string(),
  gates: z.tuple([z.looseObject({ outcome: z.string(), message: z.string() })]),
  findings: z.array(z.looseObject({ rule: z.string(), file: z.string().optional() })),
});
const outcomeOf = (ended: Ended): string => {
  const { gates } = Document.parse(JSON.parse(ended.stdout));
  return `${ended.exit} ${gates[0].outcome}: ${gates[0].message}`;
};

test.each([
  ['junit', 'test_pass_rate >= 1', junit(''), junit('<testcase name="b"><failure/></testcase>'), TESTS],
  ['lcov', 'test_coverage >= 0.8', lcov(3), lcov(0), COVERAGE('lcov')],
  ['cobertura', 'test_coverage >= 0.8', cobertura(2), cobertura(0), COVERAGE('cobertura')],
  ['sarif', 'security_vulnerabilities == 0', sarif([]), sarif([fault('lib/add.go')]), FAULTS],
  ['json', 'lines_of_code <= 100', size(3), size(300), SIZE],
] as const)(
  'gates measures by the %s report of a declared command',
  LONG,
  async (format, condition, good, bad, metrics) => {
    const { measure, gates } = await placeWith(condition);
    const [fine, poor] = [
      await measure(leaving(format, good, metrics)),
      await measure(leaving(format, bad, metrics), 'b'),
    ];
    expect(outcomeOf(await gates('--measure', fine))).toMatch(/^0 passed: /);
    expect(outcomeOf(await gates('--measure', poor))).toMatch(/^3 failed: /);
  },
);

test.each([
  [
    'the pointer leads nowhere',
    leaving('json', '{"total":{},"files":1}', SIZE),
    /there is no number at \/total\/lines/,
  ],
  ['no report is written', { ...leaving('json', '', SIZE), argv: ['true'] }, /left no regular file report/],
  ['it ends with another code', leaving('json', size(3), SIZE, 9), /exit code 9/],
  ['it writes beside {out}', { ...leaving('json', '', SIZE), argv: ['sh', '-c', 'echo {} > ../report'] }, /it: /],
])('gates calls a metric not evaluable, and blocks, when %s', LONG, async (_what, declared, reason) => {
  const { measure, gates } = await placeWith('lines_of_code <= 100');
  const outcome = outcomeOf(await gates('--measure', await measure(declared)));
  expect(outcome).toMatch(/^3 error: not evaluable/);
  expect(outcome).toMatch(reason);
});

test.each([
  ['an unknown key', { ...leaving('json', '', SIZE), shell: true }, /measure\.yaml:\d+:\d+: .*unknown key "shell"/],
  ['an unknown metric', leaving('json', '', { lines_of_cod: SIZE.lines_of_code }), /did you mean "lines_of_code"/],
  [
    'a report out of its folder',
    { ...leaving('json', '', SIZE), produces: { path: '../r', format: 'json' } },
    /one file at the top of \{out\}/,
  ],
  ['no YAML', 'commands: [', /measure\.yaml:\d+:\d+/],
])('gates refuses a measure file with %s, and says where', async (_what, declared, message) => {
  const { measure, gates } = await placeWith('lines_of_code <= 100');
  const ended = await gates('--measure', await measure(declared));
  expect(ended).toMatchObject({ exit: 2, stdout: '' });
  expect(ended.stderr).toMatch(message);
});

test('gates keeps findings inside the project, whatever a report says of other places', LONG, async () => {
  const { measure, gates } = await placeWith('security_vulnerabilities == 0');
  const places = ['lib/add.go', '../outside.go', '/etc/passwd', 'file:///etc/passwd'];
  const ended = await gates('--measure', await measure(leaving('sarif', sarif(places.map(fault)), FAULTS)));
  const { findings } = Document.parse(JSON.parse(ended.stdout));
  expect(findings.map(({ rule, file }) => [rule, file])).toEqual([
    ['G101', undefined],
    ['G101', undefined],
    ['G101', undefined],
    ['G101', 'lib/add.go'],
  ]);
});

test(
  'gates believes a declaration in an overlay, but none that the author of the files could have written',
  LONG,
  async () => {
    const { folder, project, measure, gates } = await placeWith('lines_of_code <= 100');
    const overlay = (declared: unknown): string =>
      JSON.stringify({ apiVersion: 'maestro/v1', extends: 'phase_slos', measure: { commands: [declared] } });
    const declared = leaving('json', size(3), SIZE);
    const outside = await measure(overlay(declared), 'overlay.yaml');
    expect(outcomeOf(await gates('--overlay', outside))).toMatch(/^0 passed: lines_of_code 3/);

    const file = await measure(declared);
    const both = await gates('--overlay', outside, '--measure', file);
    expect(both).toMatchObject({ exit: 2, stdout: '' });
    expect(both.stderr).toContain('declare commands');

    await measure(overlay(declared), 'project/maestro.policies.yaml');
    await measure(declared, 'project/measure.yaml');
    await symlink(join(folder, file), join(project, 'link.yaml'));
    for (const args of [[], ['--measure', 'project/measure.yaml'], ['--measure', 'project/link.yaml']]) {
      const refused = await gates(...args);
      expect(refused).toMatchObject({ exit: 2, stdout: '' });
      expect(refused.stderr).toContain('lies in what they measure');
    }
    // Outside of the project, the overlay is the operator's word, and the one inside is not looked at.
    expect(outcomeOf(await gates('--overlay', outside))).toMatch(/^0 passed/);
  },
);
