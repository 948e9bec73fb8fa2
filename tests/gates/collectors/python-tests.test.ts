import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { measure } from './code-support.ts';
import { byHand, pythonProject } from './python-support.ts';

test('coverage, pass rate and count are those that pytest with pytest-cov gives by hand', async () => {
  const root = await pythonProject();
  const measured = await measure('tests', root);
  const hand = await byHand(root, ['-m', 'pytest', '-q', '--cov=src', '--cov-report=xml', 'tests']);
  const xml = await readFile(join(root, 'coverage.xml'), 'utf8');
  const total = Number(/lines-valid="(\d+)"/.exec(xml)?.[1]);
  const covered = Number(/lines-covered="(\d+)"/.exec(xml)?.[1]);
  expect(hand.stdout).toContain('9 passed');
  expect(measured.of('test_pass_rate')).toEqual({ value: 1, examined: 9 });
  expect(measured.of('test_count')).toEqual({ value: 9, examined: 4 });
  expect(measured.of('test_coverage')).toEqual({
    value: covered / total,
    examined: total,
  });
});

test('a file that no test loads counts with all its lines', async () => {
  const measured = await measure('tests', await pythonProject({ 'src/shortener/cli.py': null }));
  const whole = await measure('tests', await pythonProject());
  expect(Number(whole.read('test_coverage'))).toBeLessThan(Number(measured.read('test_coverage')));
  expect(whole.findings).toContainEqual(
    expect.objectContaining({ rule: 'coverage/uncovered', file: 'src/shortener/cli.py', line: 3 }),
  );
});

test('a test cannot add lines to the coverage that is being taken', async () => {
  const forge =
    'import coverage, os\ndef test_forge():\n    running = coverage.Coverage.current()\n    if running is not None:\n        running.get_data().add_lines({os.path.abspath("src/shortener/cli.py"): set(range(1, 99))})\n    assert True\n';
  const forged = await measure('tests', await pythonProject({ 'tests/unit/test_forge.py': forge }));
  const honest = await measure('tests', await pythonProject());
  expect(forged.of('test_coverage')).toEqual(honest.of('test_coverage'));
});

test('a pragma that would leave lines out of the coverage has no effect and is a finding', async () => {
  const root = await pythonProject({
    'src/shortener/extra.py': 'def more(a: int) -> int:  # pragma: no cover\n    return a + 1\n',
  });
  const measured = await measure('tests', root);
  expect(measured.of('test_coverage')).toMatchObject({ examined: 50 });
  expect(measured.findings).toContainEqual(
    expect.objectContaining({ rule: 'tamper/coverage-ignore', file: 'src/shortener/extra.py', line: 1 }),
  );
});

test('failed, skipped and expected failures are not passed tests', async () => {
  const root = await pythonProject({
    'tests/unit/test_more.py': [
      'import pytest',
      'def test_fails():',
      '    assert 1 == 2',
      '@pytest.mark.skip(reason="later")',
      'def test_skipped():',
      '    pass',
      '@pytest.mark.xfail',
      'def test_expected():',
      '    assert False',
      '@pytest.fixture',
      'def broken():',
      '    raise RuntimeError("no")',
      'def test_with_a_broken_fixture(broken):',
      '    pass',
    ].join('\n'),
  });
  const measured = await measure('tests', root);
  expect(measured.of('test_pass_rate')).toEqual({ value: 9 / 13, examined: 13 });
  expect(
    measured.findings.filter(({ metric }) => metric === 'test_pass_rate').map(({ rule, line }) => [rule, line]),
  ).toEqual([
    ['tests/failed', 2],
    ['tests/skipped', 4],
    ['tests/todo', 7],
    ['tests/failed', 13],
  ]);
});

const refused: [string, Record<string, string | null>, RegExp][] = [
  ['there is no test', { tests: null }, /There is no test file/],
  ['a test file holds no test', { 'tests/unit/test_none.py': 'x = 1\n' }, /test_none\.py holds no test/],
  [
    'every test is skipped',
    { tests: null, 'tests/test_a.py': 'import pytest\n@pytest.mark.skip\ndef test_a():\n    pass\n' },
    /every test is skipped/,
  ],
  [
    'a test ends the process',
    { 'tests/unit/test_exit.py': 'import os\ndef test_exit():\n    os._exit(0)\n' },
    /did not run to its end \(exit code 0\)/,
  ],
  [
    'a test file cannot be loaded',
    { 'tests/unit/test_broken.py': 'import nowhere_to_be_found\ndef test_a():\n    pass\n' },
    /test_broken\.py: could not be loaded: .*nowhere_to_be_found/,
  ],
  [
    'a hook of the project could judge its tests',
    {
      'tests/conftest.py':
        'import pytest\n@pytest.hookimpl(hookwrapper=True)\ndef pytest_runtest_makereport(item):\n    result = yield\n    result.get_result().outcome = "passed"\n',
    },
    /conftest\.py defines pytest_runtest_makereport/,
  ],
  [
    'a test file puts its own judge in the place of the one of pytest',
    {
      'tests/unit/test_judge.py':
        'import _pytest.reports\nreal = _pytest.reports.TestReport.from_item_and_call\ndef judge(item, call):\n    call.excinfo = None\n    return real(item, call)\n_pytest.reports.TestReport.from_item_and_call = staticmethod(judge)\ndef test_a():\n    assert 1 == 2\n',
    },
    /changes TestReport\.from_item_and_call/,
  ],
  [
    'no test asserts anything',
    { tests: null, 'tests/unit/test_mute.py': 'import shortener\ndef test_mute():\n    shortener.__name__\n' },
    /No test asserts anything/,
  ],
  [
    'the project leaves collected tests out',
    { 'tests/conftest.py': 'def pytest_collection_modifyitems(items):\n    items[:] = items[:3]\n' },
    /was collected and never ran/,
  ],
  [
    'a test writes into the stream of results',
    {
      'tests/unit/test_forge.py':
        'import os\ndef test_forge():\n    for fd in range(3, 30):\n        try:\n            os.write(fd, b"x {}\\n")\n        except OSError:\n            pass\n',
    },
    /tampered with|did not run to its end/,
  ],
];
test.each(refused)('nothing is measured when %s', async (_what, changes, reason) => {
  const measured = await measure('tests', await pythonProject(changes));
  for (const metric of ['test_pass_rate', 'test_count', 'test_coverage']) expect(measured.read(metric)).toMatch(reason);
});

test('settings of the project do not choose what runs', async () => {
  const measured = await measure(
    'tests',
    await pythonProject({
      'pytest.ini': '[pytest]\naddopts = --deselect tests/unit\n',
      '.coveragerc': '[run]\nomit = *\n',
    }),
  );
  expect(measured.of('test_count')).toEqual({ value: 9, examined: 4 });
  expect(measured.of('test_coverage')).toMatchObject({ examined: 48 });
});

test('a compiled file that lies beside the sources is not run in their place', async () => {
  const root = await pythonProject({ 'tests/unit/test_wrong.py': 'def test_wrong():\n    assert 1 == 2\n' });
  await byHand(root, [
    '-c',
    [
      'import importlib._bootstrap_external as b, os',
      'os.makedirs("tests/unit/__pycache__", exist_ok=True)',
      'code = compile("def test_wrong():\\n    pass\\n", "tests/unit/test_wrong.py", "exec")',
      'stat = os.stat("tests/unit/test_wrong.py")',
      'for name in ("test_wrong.cpython-311.pyc", "test_wrong.cpython-311-pytest-7.2.1.pyc"):',
      '    open("tests/unit/__pycache__/" + name, "wb").write(b._code_to_timestamp_pyc(code, int(stat.st_mtime), stat.st_size))',
    ].join('\n'),
  ]);
  const hand = await byHand(root, ['-m', 'pytest', '-q', 'tests/unit/test_wrong.py']);
  expect(hand.stdout, 'pytest itself is taken in').toContain('1 passed');
  expect((await measure('tests', root)).of('test_pass_rate')).toEqual({ value: 0.9, examined: 10 });
});

test('compiled and linked files among the sources are refused', async () => {
  const compiled = await measure('tests', await pythonProject({ 'src/shortener/codes.so': 'x' }));
  expect(compiled.read('test_pass_rate')).toMatch(/codes\.so is no Python source/);
});

test('an id is guarded by a passing test that names it, in its name or its docstring', async () => {
  expect((await measure('regression', await pythonProject())).of('regression_test_coverage')).toEqual({
    value: 1,
    examined: 2,
  });
  const root = await pythonProject({
    'docs/requirements/prd.md': '- **FR-1** One.\n- **FR-10** Ten.\n- **FR-2** Two.\n',
    'tests/regression/test_requirements.py':
      'def test_fr_10_ten():\n    pass\n\ndef test_two():\n    """FR-2"""\n    assert False\n',
  });
  const red = await measure('regression', root);
  expect(red.of('regression_test_coverage')).toEqual({ value: 1 / 3, examined: 3 });
  expect(red.findings.filter(({ rule }) => rule === 'regression/unguarded').map(({ message }) => message)).toEqual([
    expect.stringContaining('FR-1'),
    expect.stringContaining('FR-2'),
  ]);
  const none = await measure('regression', await pythonProject({ 'tests/regression': null }));
  expect(none.read('regression_test_coverage')).toMatch(/no test file in tests\/regression/);
});
