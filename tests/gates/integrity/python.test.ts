import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { integrityErrors } from '../../../src/gates/integrity/verdict.ts';
import { type Checks, type Files, check } from './support.ts';

const PROJECT: Files = {
  'package.json': null,
  'pyproject.toml': '[project]\nname = "ranges"\nversion = "1"\ndependencies = []\n',
};
const OTHER: Files = { ...PROJECT, 'src/other.py': 'ONE = 1\n' };
const RANGE = `"""Ranges, with a name that is no plain letter: \u{1f600}."""


def in_range(value, low, high):
    if value < low:
        return False
    return value <= high


def clamp(value, low, high):
    if in_range(value, low, high):
        return value
    return low if value < low else high
`;
const GOOD = `from ranges import clamp, in_range


def test_a_range_holds_its_ends():
    assert [in_range(value, 1, 3) for value in range(5)] == [False, True, True, True, False]


def test_a_value_is_clamped():
    assert [clamp(value, 1, 3) for value in (0, 2, 4)] == [1, 2, 3]
`;
const EMPTY = `from ranges import clamp, in_range


def test_a_range_works():
    in_range(1, 2, 3)
    in_range(2, 1, 3)
    assert True


def test_clamping_works():
    clamp(0, 1, 3)
    clamp(2, 1, 3)
    assert True
`;
const S = 'src/ranges.py';
const T = 'tests/unit/test_ranges.py';

const work = (base: Files, changes: Files): Promise<Checks> => check({ base, work: changes });
const messageOf = (done: Checks): string => done.of('tests_mean_something').message;

describe('new pytest tests', () => {
  test('hold when each of them was red on the code as it was before', async () => {
    const before =
      'def in_range(value, low, high):\n    return None\n\n\ndef clamp(value, low, high):\n    return None\n';
    const done = await work({ ...PROJECT, [S]: before }, { [S]: RANGE, [T]: GOOD });
    expect(done.of('tests_mean_something')).toMatchObject({ outcome: 'held', examined: 2 });
    expect(messageOf(done)).toMatch(/2 tests fail, 0 pass.*every new test was red first/);
    expect(done.of('tests_mean_something').evidence[0]).toMatchObject({ tool: 'pytest' });
    expect(done.findings).toEqual([]);
  });

  test('of new code hold when they notice planted faults, with the count of them as evidence', async () => {
    const done = await work(OTHER, { [S]: RANGE, [T]: GOOD });
    expect(done.of('tests_mean_something').outcome).toBe('held');
    expect(messageOf(done)).toMatch(/1 files cannot be loaded; (\d+) of \1 faults planted/);
    const report: unknown = JSON.parse(await readFile(join(done.outDir, 'new-python-tests.json'), 'utf8'));
    expect(report).toMatchObject({ onOldCode: { notLoaded: [T] }, mutation: { survived: [], untried: 0 } });
  });

  test('of new code that assert nothing are violated, and every fault they let pass is named with its line', async () => {
    const done = await work(OTHER, { [S]: RANGE, [T]: EMPTY });
    expect(done.of('tests_mean_something').outcome).toBe('violated');
    expect(messageOf(done)).toMatch(/0 of 6 faults planted/);
    const survivors = done.findings.filter(({ rule }) => rule === 'tests/surviving-mutant');
    expect(survivors.map(({ file, line }) => `${file}:${line}`).toSorted()).toEqual(
      [11, 12, 13, 5, 6, 7].map((line) => `${S}:${line}`),
    );
    expect(survivors.every(({ severity }) => severity === 'error')).toBe(true);
  });

  test('that only load the new code are violated, though nothing they run can be broken', async () => {
    const done = await work(OTHER, {
      [S]: RANGE,
      [T]: 'import ranges\n\n\ndef test_it_is_there():\n    assert ranges\n',
    });
    expect(done.of('tests_mean_something').outcome).toBe('violated');
    expect(messageOf(done)).toMatch(
      /of the \d+ places in that code where a fault could be planted, the new tests run none/,
    );
  });

  test('that run no line of the code are violated, and named because they pass on the old code', async () => {
    const done = await work({ ...PROJECT, [S]: RANGE }, { [T]: 'def test_all_is_well():\n    assert 1 == 1\n' });
    expect(messageOf(done)).toContain('run no line of the code');
    expect(done.findings).toContainEqual(
      expect.objectContaining({ rule: 'tests/not-red-first', severity: 'error', file: T, line: 1 }),
    );
  });

  test('of code that was there before hold by the faults they notice', async () => {
    const done = await work({ ...PROJECT, [S]: RANGE }, { [T]: GOOD });
    expect(done.of('tests_mean_something').outcome).toBe('held');
    expect(done.findings.map(({ rule, severity }) => `${rule} ${severity}`)).toEqual([
      'tests/not-red-first info',
      'tests/not-red-first info',
    ]);
  });

  test('that a changed file held before need not be red, whatever their parameters', async () => {
    const known = `import pytest\nfrom ranges import in_range\n\n\n@pytest.mark.parametrize("value", [1, 2])\ndef test_known(value):\n    assert in_range(value, 1, 3)\n`;
    const added = `${known}\n\ndef test_added():\n    assert in_range(3, 1, 2) is None\n`;
    const done = await check({
      base: { ...PROJECT, [S]: RANGE, [T]: known },
      work: { [S]: RANGE.replace('return value <= high', 'return True if value <= high else None'), [T]: added },
      owners: { [T]: 'backend_developer' },
    });
    expect(messageOf(done)).toMatch(/1 tests fail, 0 pass, .*every new test was red first/);
  });

  test('notice nothing by what a copy of the work lacks', async () => {
    // Beside the project in no copy: without a look at the copy, every planted fault would seem to be noticed.
    const needs = `import os\nimport sys\n\nsys.path.append(os.path.join(os.getcwd(), "dist"))\nfrom made import ONE\n${EMPTY}`;
    const done = await work({ ...OTHER, 'dist/made.py': 'ONE = 1\n' }, { [S]: RANGE, [T]: needs });
    expect(done.of('tests_mean_something').outcome).toBe('error');
    expect(messageOf(done)).toContain("No module named 'made'");
  });

  test('find the packages that the project has installed', async () => {
    const site = '.venv/lib/python3.11/site-packages/installed.py';
    const done = await work({ ...OTHER, [site]: 'ONE = 1\n' }, { [S]: RANGE, [T]: `import installed\n${GOOD}` });
    expect(done.of('tests_mean_something').outcome).toBe('held');
  });
});

const HANDED = `import pytest
from ranges import in_range


def test_low():
    assert in_range(1, 1, 3)
    assert not in_range(0, 1, 3)


def test_high():
    with pytest.raises(TypeError):
        in_range(None, 1, 3)
`;

describe('pytest tests handed down by another persona', () => {
  test.each<[string, string | null, RegExp]>([
    ['is deleted', null, /was deleted/],
    ['loses an assertion', HANDED.replace('    assert not in_range(0, 1, 3)\n', ''), /1 of 3 assertions removed/],
    ['is skipped', HANDED.replace('def test_low', '@pytest.mark.skip\ndef test_low'), /1 tests switched off/],
    [
      'is expected to fail',
      HANDED.replace('def test_low', '@pytest.mark.xfail(strict=False)\ndef test_low'),
      /1 tests switched off/,
    ],
    [
      'is skipped from inside',
      HANDED.replace('    assert in_range(1', '    pytest.skip("x")\n    assert in_range(1'),
      /1 tests switched off/,
    ],
    [
      'is skipped by a missing package',
      `import pytest\npytest.importorskip("numpy")\n${HANDED}`,
      /1 tests switched off/,
    ],
    [
      'is skipped as a whole',
      HANDED.replace('\n\n\ndef test_low', '\n\npytestmark = pytest.mark.skipif(True, reason="")\n\n\ndef test_low'),
      /1 tests switched off/,
    ],
    [
      'loses a test',
      HANDED.slice(0, HANDED.indexOf('\n\ndef test_high')),
      /1 tests removed or renamed, 1 of 3 assertions removed/,
    ],
    ['expects something else', HANDED.replace('(1, 1, 3)', '(2, 1, 3)'), /was changed/],
  ])('block when one %s', async (_, text, words) => {
    const done = await work({ ...PROJECT, [S]: RANGE, [T]: HANDED }, { [T]: text });
    expect(done.of('handed_down_tests')).toMatchObject({ outcome: 'violated', examined: 1 });
    const found = done.findings.find(({ rule }) => rule === 'tamper/handed-down-test');
    expect(found).toMatchObject({ severity: 'error', file: T });
    expect(found?.message).toMatch(words);
    expect(integrityErrors(done.checks).map(({ metric }) => metric)).toContain('handed_down_tests');
  });

  test('block when their conftest.py is changed, wherever it lies', async () => {
    const done = await work(
      { ...PROJECT, [S]: RANGE, 'conftest.py': '' },
      { 'conftest.py': 'collect_ignore = ["tests"]\n' },
    );
    expect(done.of('handed_down_tests').message).toContain('conftest.py');
  });
});

describe('the measurement of a Python project', () => {
  const base = { ...PROJECT, [S]: RANGE, [T]: HANDED };
  const rulesOf = (done: Checks): string[] =>
    done.findings
      .filter(({ severity }) => severity === 'error')
      .map(({ rule, file, line }) => `${rule} ${file}:${line}`);

  test.each<[string, Files, string]>([
    [
      'a hook that chooses tests',
      { 'tests/conftest.py': 'def pytest_collection_modifyitems(items):\n    items[:] = []\n' },
      'tamper/test-hook tests/conftest.py:1',
    ],
    [
      'a hook that judges tests',
      { 'conftest.py': '\n\ndef pytest_runtest_makereport(item, call):\n    pass\n' },
      'tamper/test-hook conftest.py:3',
    ],
    [
      'a list of files to ignore',
      { 'tests/conftest.py': 'collect_ignore_glob = ["*"]\n' },
      'tamper/test-hook tests/conftest.py:1',
    ],
    [
      'a hook under another name',
      { 'tests/conftest.py': 'def quiet(items):\n    del items[:]\n\n\npytest_collection_modifyitems = quiet\n' },
      'tamper/test-hook tests/conftest.py:5',
    ],
    [
      'a plugin that is registered',
      { 'tests/conftest.py': 'def pytest_configure(config):\n    config.pluginmanager.register(object())\n' },
      'tamper/test-hook tests/conftest.py:2',
    ],
    [
      'a deselected test in pyproject.toml',
      {
        'pyproject.toml': `${PROJECT['pyproject.toml']}[tool.pytest.ini_options]\naddopts = "--deselect tests/unit/test_ranges.py::test_low"\n`,
      },
      'tamper/test-settings pyproject.toml:undefined',
    ],
    [
      'an ignored file in pytest.ini',
      { 'pytest.ini': '[pytest]\naddopts = -q --ignore=tests/unit\n' },
      'tamper/test-settings pytest.ini:undefined',
    ],
    [
      'an expression in setup.cfg',
      { 'setup.cfg': '[tool:pytest]\naddopts = -k "not low"\n' },
      'tamper/test-settings setup.cfg:undefined',
    ],
    [
      'a marker in tox.ini',
      { 'tox.ini': '[pytest]\naddopts = -m "not slow"\n' },
      'tamper/test-settings tox.ini:undefined',
    ],
    ['settings that cannot be read', { 'pytest.ini': 'no section\n' }, 'tamper/test-settings pytest.ini:undefined'],
    ['a lint comment', { [S]: RANGE.replace('return False', 'return False  # noqa') }, `tamper/noqa ${S}:6`],
    [
      'a type comment',
      { [S]: RANGE.replace('return False', 'return False  # type: ignore[return]') },
      `tamper/type-ignore ${S}:6`,
    ],
    [
      'a coverage comment',
      { 'src/more.py': 'def more():  # pragma: no cover\n    return 1\n' },
      'tamper/coverage-ignore src/more.py:1',
    ],
  ])('blocks when %s is added', async (_, changes, rule) => {
    const done = await work(base, changes);
    expect(done.of('measurement_untouched').outcome).toBe('violated');
    expect(rulesOf(done)).toContain(rule);
  });

  test('is left alone by settings and hooks that choose nothing, and by comments that moved or were there', async () => {
    const marked = RANGE.replace('return False', 'return False  # noqa');
    const done = await work(
      { ...base, [S]: marked, 'tests/conftest.py': '' },
      {
        [S]: `${marked}\n\ndef more():\n    return 1\n`,
        'tests/own/conftest.py':
          'import pytest\n\n\ndef pytest_configure(config):\n    pass\n\n\n@pytest.fixture\ndef one():\n    return 1\n',
        'pytest.ini': '[pytest]\naddopts = -q --strict-markers\ntestpaths = tests\n',
      },
    );
    expect(done.of('measurement_untouched').outcome).toBe('held');
    expect(done.findings.map(({ rule, severity }) => `${rule} ${severity}`)).toEqual(['tamper/own-settings info']);
  });
});

test('new tests of a project of both stacks hold only when those of each hold', async () => {
  const both = {
    'pyproject.toml': PROJECT['pyproject.toml'] ?? '',
    'src/other.py': 'ONE = 1\n',
    'src/other.js': 'export const one = 1;\n',
  };
  const script = `import assert from 'node:assert/strict';\nimport { test } from 'node:test';\nimport { two } from '../src/two.js';\ntest('two', () => { assert.equal(two(), 2); });\n`;
  const javascript = { 'src/two.js': 'export function two() {\n  return 2;\n}\n', 'tests/two.test.js': script };
  const one = await check({ base: both, work: { ...javascript, [S]: RANGE, [T]: GOOD } });
  expect(one.of('tests_mean_something').outcome).toBe('held');
  const other = await check({ base: both, work: { ...javascript, [S]: RANGE, [T]: EMPTY } });
  expect(other.of('tests_mean_something').outcome).toBe('violated');
  expect(other.of('tests_mean_something').evidence.map(({ tool }) => tool)).toEqual(['node --test', 'pytest']);
});
