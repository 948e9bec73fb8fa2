import { execFileSync } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { packagePath } from '../../src/shared/package-root.ts';
import { type Files, put } from '../gates/integrity/support.ts';
import { tempFolder } from '../support/temp-folder.ts';
import { type Ended, cleanEnv, jsonOf, run } from './maestro.ts';

/** A phase that reads what tests establish, and nothing else. */
const CODE = `phases:
  code:
    phase_name: Code
    phase_id: code
    description: What is tested.
    success_criteria: {}
    required_artifacts: []
    optional_artifacts: []
    exit_gates:
      - { gate: tested, condition: 'test_pass_rate >= 1.0', severity: BLOCKING }
    metrics: []
`;
const FORMATS = ['table', 'json', 'junit', 'sarif', 'markdown', 'html'];

/** A git repository with code and tests on `main`, the policy beside it, and the command run beside both. */
async function repository(files: Files) {
  const home = await tempFolder();
  const work = join(home, 'work');
  const text = await readFile(packagePath('policies', 'phase_slos.yaml'), 'utf8');
  await writeFile(join(home, 'p.yaml'), text.replace('phases:\n', CODE));
  await put(work, files);
  for (const args of [
    ['init', '-q', '-b', 'main'],
    ['add', '-A'],
    ['commit', '-q', '-m', 'first'],
  ])
    execFileSync('git', ['-c', 'user.name=A', '-c', 'user.email=a@example.invalid', ...args], { cwd: work });
  const env = cleanEnv({ MAESTRO_HOME: home });
  const gates = (...more: string[]): Promise<Ended> =>
    run(['gates', 'work', '--phase', 'code', '--policy', 'p.yaml', ...more], env, home);
  return { home, work, gates };
}

const Report = z.looseObject({
  verdict: z.string(),
  notes: z.array(z.string()),
  errors: z.array(z.looseObject({ metric: z.string() })),
  findings: z.array(z.looseObject({ rule: z.string(), file: z.string().optional() })),
  integrity: z
    .looseObject({
      against: z.string(),
      checks: z.array(
        z.looseObject({
          check: z.string(),
          outcome: z.string(),
          evidence: z.array(z.looseObject({ summary: z.string() })),
        }),
      ),
    })
    .nullable(),
});
const reportOf = (ended: Ended, exit: number): z.infer<typeof Report> => Report.parse(jsonOf(ended, exit));
const outcomesOf = ({ integrity }: z.infer<typeof Report>): string[] =>
  (integrity?.checks ?? []).map(({ check, outcome }) => `${check} ${outcome}`);

const PYTHON: Files = {
  'pyproject.toml': '[project]\nname = "calc"\nversion = "1"\ndependencies = []\n',
  'src/calc.py': 'def double(n: int) -> int:\n    return n * 2\n',
  'tests/test_calc.py':
    'from calc import double\n\n\ndef test_double():\n    assert double(2) == 4\n    assert double(0) == 0\n',
};
const MORE = 'def triple(n: int) -> int:\n    if n == 0:\n        return 0\n    return n * 3\n';
const TESTED = 'from more import triple\n\n\ndef test_triple():\n    assert triple(2) == 6\n';

test('a folder is held against a revision, in every format, and without one says that nothing was proven', async () => {
  const { work, gates } = await repository(PYTHON);
  await put(work, { 'src/more.py': MORE, 'tests/test_more.py': TESTED });
  const unproven = reportOf(await gates('--format', 'json'), 0);
  expect(unproven.integrity).toBeNull();
  expect(unproven.notes).toEqual([expect.stringContaining('not proven to mean something')]);

  const honest = reportOf(await gates('--format', 'json', '--against', 'main'), 0);
  expect(outcomesOf(honest)).toEqual([
    'handed_down_tests held',
    'measurement_untouched held',
    'tests_mean_something held',
  ]);

  // The same files and the same revision: no fault is planted twice.
  const again = reportOf(await gates('--format', 'json', '--against', 'main'), 0);
  expect(again.integrity?.checks[2]?.evidence.at(-1)?.summary).toMatch(/^reused from/);

  await put(work, {
    'tests/test_calc.py': 'from calc import double\n\n\ndef test_double():\n    assert double(2) == 4\n',
    'tests/test_more.py': 'import more\n\n\ndef test_triple():\n    assert more\n',
  });
  const bad = reportOf(await gates('--format', 'json', '--against', 'main'), 3);
  expect(bad.verdict).toBe('blocked');
  expect(outcomesOf(bad)).toEqual([
    'handed_down_tests violated',
    'measurement_untouched held',
    'tests_mean_something violated',
  ]);
  expect(bad.errors.map(({ metric }) => metric)).toEqual(['handed_down_tests', 'tests_mean_something']);
  expect(bad.findings).toContainEqual(
    expect.objectContaining({ rule: 'tamper/handed-down-test', file: 'tests/test_calc.py' }),
  );
  for (const format of FORMATS) {
    const shown = await gates('--format', format, '--against', 'main');
    expect(shown.exit).toBe(3);
    const words = `${format}: ${shown.stdout}`.replaceAll('\\', '');
    expect(words).toContain('handed_down_tests');
    expect(words).toMatch(/weakened: 1 of 2 assertions removed/);
    expect(words).toContain('held against main');
  }
}, 300_000);

test('a revision or a repository that is not there is a mistake, told in one line with the remedy', async () => {
  const { home, work, gates } = await repository(PYTHON);
  const unknown = await gates('--against', 'nowhere');
  expect(unknown.exit).toBe(2);
  expect(unknown.stderr.trim().split('\n').at(-1)).toMatch(/--against nowhere: .* no such revision.*Name a branch/);
  await put(work, { '.git': null });
  await put(home, { '.git': null });
  const none = await gates('--against', 'main');
  expect(none.exit).toBe(2);
  expect(none.stderr).toMatch(/is in no git repository.*leave --against out/s);
});
